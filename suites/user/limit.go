package user

import (
	"context"
	"errors"
	"os"
	"syscall"
	"unsafe"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

var kinds = []nsx.Kinds{nsx.User, nsx.PID, nsx.Net, nsx.Mount, nsx.IPC, nsx.UTS, nsx.Cgroup, nsx.Time}

// limitOf is the sysctl with the number of namespaces of a kind that there may be.
func limitOf(kind nsx.Kinds) string { return "/proc/sys/user/max_" + kind.String() + "_namespaces" }

// makes is the answer to somebody who makes a namespace.
func makes(ctx context.Context, kind nsx.Kinds) (errno syscall.Errno, err error) {
	_, err = nsx.Run(ctx, nsx.Spec{How: nsx.Unshare, Kinds: kind}, whoAmI, nil)
	if errors.As(err, &errno) {
		err = nil
	}
	return errno, err
}

// A ban is the answers before and after a limit was set to 0.
type ban struct{ Before, After syscall.Errno }

// limit sets the limit of each kind.
var limit = nsx.Register("user/limit", func(*nsx.Parent, any) (bans []ban, err error) {
	for _, kind := range kinds {
		var b ban
		if b.Before, err = makes(context.Background(), kind); err != nil {
			return nil, err
		}
		if err := os.WriteFile(limitOf(kind), []byte("0"), 0); err != nil {
			return nil, err
		}
		if b.After, err = makes(context.Background(), kind); err != nil {
			return nil, err
		}
		bans = append(bans, b)
	}
	return bans, nil
})

// makeQueue makes a POSIX message queue of 10 messages of 8 KiB, which is there as long as the process. It reports the
// answer.
var makeQueue = nsx.Register("user/make-queue", func(parent *nsx.Parent, _ any) (any, error) {
	name := []byte("user-limit\x00")
	attr := [8]int{1: 10, 2: 8192} // struct mq_attr: the number of messages, and the size of each
	fd, _, errno := unix.RawSyscall6(unix.SYS_MQ_OPEN, uintptr(unsafe.Pointer(&name[0])), unix.O_CREAT|unix.O_EXCL|unix.O_RDWR, 0o600,
		uintptr(unsafe.Pointer(&attr)), 0, 0)
	if errno == 0 {
		defer unix.Close(int(fd))
		if _, _, errno := unix.RawSyscall(unix.SYS_MQ_UNLINK, uintptr(unsafe.Pointer(&name[0])), 0, 0); errno != 0 {
			return nil, errno
		}
	}
	return nil, parent.Report(errno, nil)
})

// queued is a process that has tried to make a queue in a user namespace of its own.
func queued() (p *nsx.Process[any], errno syscall.Errno, err error) {
	if p, err = nsx.Spawn(context.Background(), nsx.Spec{Kinds: nsx.IPC}.AsRoot(), makeQueue, nil); err != nil {
		return nil, 0, err
	}
	if err := p.Await(&errno); err != nil {
		return nil, 0, errors.Join(err, p.Close())
	}
	return p, errno, nil
}

// share lowers its limit for the bytes of message queues, and has children make queues in user namespaces of their own.
// It returns the answers to one, to a second one beside it, and to one after the first is gone.
var share = nsx.Register("user/share", func(_ *nsx.Parent, bytes uint64) (_ []syscall.Errno, err error) {
	if err := unix.Setrlimit(unix.RLIMIT_MSGQUEUE, &unix.Rlimit{Cur: bytes, Max: bytes}); err != nil {
		return nil, err
	}
	first, alone, err := queued()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, first.Close()) }()
	second, beside, err := queued()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(second.Close(), first.Close()); err != nil {
		return nil, err
	}
	third, after, err := queued()
	if err != nil {
		return nil, err
	}
	return []syscall.Errno{alone, beside, after}, third.Close()
})

func registerLimits() {
	property.It("R16", func(ctx SpecContext, c *property.Check) {
		outside := func() (limits []int) {
			GinkgoHelper()
			for _, kind := range kinds {
				limits = append(limits, number(limitOf(kind)))
			}
			return limits
		}
		before := outside()
		bans, err := nsx.Run(ctx, nsx.Spec{}.AsRoot(), limit, nil)
		Expect(err).NotTo(HaveOccurred())
		for i, kind := range kinds {
			c.Positive("inside, root makes "+kind.String()+" namespaces until it sets their limit to 0", func() {
				c.Saw("before", spoken(bans[i].Before))
				c.Saw("after", spoken(bans[i].After))
				Expect(bans[i]).To(Equal(ban{0, unix.ENOSPC}))
			})
		}
		c.Negative("outside, the limits are what they were, and namespaces are made", func() {
			c.Saw("limits", outside())
			Expect(outside()).To(Equal(before))
			Expect(before).To(HaveEach(BeNumerically(">", 0)))
			for _, kind := range kinds {
				Expect(makes(ctx, kind)).To(BeZero())
			}
		})
		c.Negative("so they are when an environment's root does it", func() {
			file := limitOf(nsx.UTS)
			inner := nstest.New(GinkgoTB(), nstest.Config{}).Self()
			Expect(inner.Command("sh", "-c", "echo 7 >"+file).Run()).To(Succeed())
			there, err := inner.Command("cat", file).Output()
			Expect(err).NotTo(HaveOccurred())
			c.Saw("there", string(there))
			c.Saw("here", number(file))
			Expect(string(there)).To(Equal("7\n"))
			Expect(outside()).To(Equal(before))
		})
	})

	property.It("R19", func(ctx SpecContext, c *property.Check) {
		const queue = 10 * 8192 // and its book-keeping
		answers := func(bytes uint64) []syscall.Errno {
			GinkgoHelper()
			got, err := nsx.Run(ctx, nsx.Spec{}.AsRoot(), share, bytes)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("RLIMIT_MSGQUEUE of who makes two namespaces", bytes)
			c.Saw("a queue in the first", spoken(got[0]))
			c.Saw("one in the second", spoken(got[1]))
			c.Saw("one when the first has ended", spoken(got[2]))
			return got
		}
		c.Positive("a limit that is enough for two queues is enough for one in each", func() {
			Expect(answers(3 * queue)).To(HaveEach(syscall.Errno(0)))
		})
		c.Negative("one that is enough for a single queue is so for both namespaces together", func() {
			Expect(answers(queue * 3 / 2)).To(Equal([]syscall.Errno{0, unix.EMFILE, 0}))
		})
	})
}
