package pid

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/nsx"
)

// A process is what /proc/PID/status tells of one.
type process struct {
	Name  string
	State string // "S (sleeping)"
	PPid  int    // 0 if its parent is not in the /proc's PID namespace
	NSpid []int  // its number in the /proc's PID namespace, and in those inside of it, down to its own

	Caught, Pending uint64 // signals, a bit each, the lowest for number 1: with a handler; queued for the whole process
}

// number is the process's number in the /proc's PID namespace.
func (p process) number() int { return p.NSpid[0] }

func (p process) isZombie() bool { return strings.HasPrefix(p.State, "Z") }

// statusOf reads the status of a process from the /proc that is mounted.
func statusOf(pid int) (p process, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return p, err
	}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		var err error
		switch key {
		case "Name":
			p.Name = value
		case "State":
			p.State = value
		case "PPid":
			p.PPid, err = strconv.Atoi(value)
		case "SigCgt":
			p.Caught, err = strconv.ParseUint(value, 16, 64)
		case "ShdPnd":
			p.Pending, err = strconv.ParseUint(value, 16, 64)
		case "NSpid":
			for _, field := range strings.Fields(value) {
				n, atoiErr := strconv.Atoi(field)
				p.NSpid, err = append(p.NSpid, n), errors.Join(err, atoiErr)
			}
		}
		if err != nil {
			return p, fmt.Errorf("read status of process %d: %w", pid, err)
		}
	}
	return p, nil
}

// numbers are the processes that a /proc has directories of, in ascending order.
func numbers(proc string) (pids []int, err error) {
	dirs, err := filepath.Glob(proc + "/[0-9]*")
	for _, dir := range dirs {
		pid, atoiErr := strconv.Atoi(filepath.Base(dir))
		pids, err = append(pids, pid), errors.Join(err, atoiErr)
	}
	slices.Sort(pids)
	return pids, err
}

// processes are all that the /proc shows that is mounted.
func processes() (list []process, err error) {
	pids, err := numbers("/proc")
	for _, pid := range pids {
		p, statusErr := statusOf(pid)
		switch {
		case statusErr == nil:
			list = append(list, p)
		case !errors.Is(statusErr, fs.ErrNotExist) && !errors.Is(statusErr, unix.ESRCH): // it has not just ended
			err = errors.Join(err, statusErr)
		}
	}
	return list, err
}

// inside are the processes outside that are in PID namespaces inside of the spec's.
func inside() (list []process, err error) {
	all, err := processes()
	for _, p := range all {
		if len(p.NSpid) > 1 {
			list = append(list, p)
		}
	}
	return list, err
}

// mountProc gives the calling probe, which is in a mount namespace of its own, the /proc of its PID namespace.
func mountProc() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	return nil
}

// spawn starts a probe that ends with the spec.
func spawn[In, Out any](ctx SpecContext, s nsx.Spec, probe nsx.Probe[In, Out], in In) *nsx.Process[Out] {
	GinkgoHelper()
	p, err := nsx.Spawn(ctx, s, probe, in)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(p.Close)
	return p
}

// expectInit makes sure that a process is the first of a PID namespace in ours.
func expectInit(p interface {
	PID() int
	NSPids() ([]int, error)
}) {
	GinkgoHelper()
	pids, err := p.NSPids()
	Expect(err).NotTo(HaveOccurred())
	Expect(pids).To(Equal([]int{p.PID(), 1}))
}

// joining is the spec of a further process in the PID namespace of p.
func joining(p interface{ PIDFD() *os.File }) nsx.Spec {
	return nsx.Spec{How: nsx.Setns, Kinds: nsx.PID, Into: []*os.File{p.PIDFD()}}
}

// stay is a process that does nothing, until it may end.
var stay = nsx.Register("pid/stay", func(parent *nsx.Parent, _ any) (any, error) { return nil, parent.Report(nil, nil) })

// staying is such a process, that has begun.
func staying(ctx SpecContext, s nsx.Spec) *nsx.Process[any] {
	GinkgoHelper()
	p := spawn(ctx, s, stay, nil)
	Expect(p.Await(nil)).To(Succeed())
	return p
}

// observe reports the processes that the /proc of its PID namespace shows, as often as it is asked. As an init it waits
// for none of its children.
var observe = nsx.Register("pid/observe", func(parent *nsx.Parent, _ any) (any, error) {
	if err := mountProc(); err != nil {
		return nil, err
	}
	for {
		list, err := processes()
		if err != nil {
			return nil, err
		}
		if err := parent.Report(list, nil); err != nil {
			return nil, err
		}
	}
})

// An observer is the first process of a PID namespace, and tells what the /proc there shows.
type observer struct{ *nsx.Process[any] }

func observing(ctx SpecContext) observer {
	GinkgoHelper()
	o := observer{spawn(ctx, nsx.Spec{Kinds: nsx.PID | nsx.Mount}, observe, nil)}
	Expect(o.Await(nil)).To(Succeed())
	expectInit(o)
	return o
}

// look is what there is now.
func (o observer) look() (list []process, err error) {
	if err := o.Continue(nil); err != nil {
		return nil, err
	}
	err = o.Await(&list)
	return list, err
}

// see is look for a spec, for the process with a number.
func (o observer) see(number int) process {
	GinkgoHelper()
	list, err := o.look()
	Expect(err).NotTo(HaveOccurred())
	i := slices.IndexFunc(list, func(p process) bool { return p.number() == number })
	Expect(i).NotTo(Equal(-1), "process %d is among %v", number, list)
	return list[i]
}
