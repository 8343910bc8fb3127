package ipc

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/matchers"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/internal/require"
	"github.com/hermetic-go/nstest/suites/property"
)

// A segment is a line of /proc/sysvipc/shm.
type segment struct{ Key, CreatorPID int }

const segmentsFile = "/proc/sysvipc/shm"

// readSegments reads an open segmentsFile.
func readSegments(f io.Reader) ([]segment, error) {
	content, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	list := []segment{}
	for i, line := range strings.Split(strings.TrimSpace(string(content)), "\n") {
		if i == 0 { // the heading
			continue
		}
		var s segment
		var id, permissions, size int
		if _, err := fmt.Sscan(line, &s.Key, &id, &permissions, &size, &s.CreatorPID); err != nil {
			return nil, fmt.Errorf("read %s: %w in %q", segmentsFile, err, line)
		}
		list = append(list, s)
	}
	return list, nil
}

// segments are those that the caller sees.
func segments() ([]segment, error) {
	f, err := os.Open(segmentsFile)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readSegments(f)
}

// listings are what a process lists that has made a segment.
type listings struct {
	PID    int       // as it counts itself
	Own    []segment // in a file that it has opened
	Passed []segment // in a file that it was given
}

// makeAndList makes a segment and lists what there is, in a file of its own and, if there is one, in that of its parent.
var makeAndList = nsx.Register("ipc/make-and-list", func(parent *nsx.Parent, key int) (listings, error) {
	l := listings{PID: os.Getpid()}
	_, err := shmget(key, unix.IPC_CREAT|0o600)
	if err != nil {
		return l, err
	}
	if l.Own, err = segments(); err != nil {
		return l, err
	}
	for _, f := range parent.Files {
		if l.Passed, err = readSegments(f); err != nil {
			return l, err
		}
	}
	return l, parent.Report(l, nil) // so that its number stays its own
})

// listed are the listings of a process of the given spec, and what we list then.
func listed(ctx SpecContext, s nsx.Spec, key int) (inside listings, outside []segment, pid int) {
	GinkgoHelper()
	p, err := nsx.Spawn(ctx, s, makeAndList, key)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(p.Close)
	Expect(p.Await(&inside)).To(Succeed())
	outside, err = segments()
	Expect(err).NotTo(HaveOccurred())
	return inside, outside, p.PID()
}

// command is what a command prints.
var command = nsx.Register("ipc/command", func(_ *nsx.Parent, argv []string) (string, error) {
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%v: %w: %s", argv, err, out)
	}
	return string(out), nil
})

// queueKeys are the keys in what "ipcs -q" prints.
func queueKeys(printed string) []int32 {
	GinkgoHelper()
	keys := []int32{}
	for line := range strings.Lines(printed) {
		var key uint32
		if !strings.HasPrefix(line, "0x") {
			continue
		}
		_, err := fmt.Sscanf(line, "0x%x", &key)
		Expect(err).NotTo(HaveOccurred(), "a line of ipcs: %q", line)
		keys = append(keys, int32(key))
	}
	return keys
}

func registerListings() {
	const ours, theirs = 101, 102
	haveKey := func(key int) OmegaMatcher { return ContainElement(HaveField("Key", key)) }

	property.It("I4", func(ctx SpecContext, c *property.Check) {
		_, err := shmget(ours, unix.IPC_CREAT|0o600)
		Expect(err).NotTo(HaveOccurred())
		c.Positive("a clone without CLONE_NEWIPC lists our segment and its own, and so do we", func() {
			inside, outside, _ := listed(ctx, nsx.Spec{}, theirs)
			c.Saw("inside", inside.Own)
			c.Saw("outside", outside)
			Expect(inside.Own).To(And(haveKey(ours), haveKey(theirs)))
			Expect(outside).To(And(haveKey(ours), haveKey(theirs)))
		})
		for i, how := range ways {
			c.Negative("with CLONE_NEWIPC, by "+how.String()+", each lists the own one, and the open file stays its opener's", func() {
				key := theirs + 1 + i
				file, err := os.Open(segmentsFile)
				Expect(err).NotTo(HaveOccurred())
				defer file.Close()
				inside, outside, _ := listed(ctx, nsx.Spec{How: how, Kinds: nsx.IPC, Files: []*os.File{file}}, key)
				c.Saw("inside", inside.Own)
				c.Saw("outside", outside)
				c.Saw("inside, in a file opened outside", inside.Passed)
				Expect(inside.Own).To(ConsistOf(HaveField("Key", key)))
				Expect(outside).To(And(haveKey(ours), Not(haveKey(key))))
				Expect(inside.Passed).To(Equal(outside))
			})
		}
	})

	property.Seed("a queue made with `ipcmk -Q` is invisible inside (`ipcs -q`)", func(ctx SpecContext) {
		ipcmk, list := require.Program("ipcmk"), []string{require.Program("ipcs"), "-q"}
		Expect(exec.Command(ipcmk, "-Q").CombinedOutput()).To(ContainSubstring("Message queue id: 0"))
		printed, err := exec.Command(list[0], list[1:]...).CombinedOutput()
		Expect(err).NotTo(HaveOccurred())
		keys := queueKeys(string(printed))
		Expect(keys).To(HaveLen(1))
		Expect(nstest.Current()).To(matchers.HaveMessageQueue(keys[0]))

		By("a clone without CLONE_NEWIPC")
		printedInside, err := nsx.Run(ctx, nsx.Spec{}, command, list)
		Expect(err).NotTo(HaveOccurred())
		Expect(queueKeys(printedInside)).To(Equal(keys))

		for _, how := range ways {
			By(how.String() + " with CLONE_NEWIPC")
			printedInside, err := nsx.Run(ctx, nsx.Spec{How: how, Kinds: nsx.IPC}, command, list)
			Expect(err).NotTo(HaveOccurred())
			Expect(printedInside).To(ContainSubstring("msqid"), "it has printed its heading")
			Expect(queueKeys(printedInside)).To(BeEmpty())
		}

		By("another environment")
		Expect(nstest.New(GinkgoTB(), nstest.Config{})).NotTo(matchers.HaveMessageQueue(keys[0]))
	})

	// Who has made an object is a process number, and is told as the reader counts.
	property.Seed("IPC and PID combined: alone and first in a world of its own", func(ctx SpecContext) {
		_, err := shmget(ours, unix.IPC_CREAT|0o600)
		Expect(err).NotTo(HaveOccurred())

		By("neither: the numbers are the same on both sides")
		inside, outside, pid := listed(ctx, nsx.Spec{}, theirs)
		Expect(inside.PID).To(Equal(pid))
		Expect(outside).To(ContainElement(segment{theirs, pid}))
		Expect(inside.Own).To(ConsistOf(segment{ours, os.Getpid()}, segment{theirs, pid}))

		By("CLONE_NEWPID: the objects are shared; inside we have no number, and outside it is not 1")
		inside, outside, pid = listed(ctx, nsx.Spec{Kinds: nsx.PID}, theirs+1)
		Expect(inside.PID).To(Equal(1))
		Expect(inside.Own).To(And(ContainElement(segment{ours, 0}), ContainElement(segment{theirs + 1, 1})))
		Expect(outside).To(ContainElement(segment{theirs + 1, pid}))
		Expect(pid).NotTo(Equal(1))

		By("CLONE_NEWIPC: the objects are its own, the numbers are not")
		inside, outside, pid = listed(ctx, nsx.Spec{Kinds: nsx.IPC}, theirs+2)
		Expect(inside.Own).To(ConsistOf(segment{theirs + 2, pid}))
		Expect(outside).NotTo(haveKey(theirs + 2))

		for i, how := range ways {
			By("both, by " + how.String())
			key := theirs + 3 + i
			inside, outside, _ := listed(ctx, nsx.Spec{How: how, Kinds: nsx.IPC | nsx.PID}, key)
			Expect(inside.Own).To(ConsistOf(segment{key, 1}))
			Expect(outside).NotTo(haveKey(key))
		}
	})
}
