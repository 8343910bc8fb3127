package pid

import (
	"io"
	"os"
	"os/signal"
	"syscall"
	"unsafe"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// receive waits for USR1, which is blocked, and is sent by itself to begin with if that is wanted. It returns what comes
// with it.
var receive = nsx.Register("pid/receive", func(parent *nsx.Parent, fromSelf bool) (siginfo, error) {
	fd, err := signalFile(unix.SIGUSR1)
	if err != nil {
		return siginfo{}, err
	}
	if err := parent.Report(nil, nil); err != nil {
		return siginfo{}, err
	}
	if fromSelf {
		if err := unix.Kill(unix.Getpid(), unix.SIGUSR1); err != nil {
			return siginfo{}, err
		}
	}
	return nextSignal(fd)
})

// A siginfo is what comes with a signal (sigaction(2)).
type siginfo struct{ Code, PID, FD int32 }

// signalFile is a signalfd(2) for a signal that is blocked.
func signalFile(sig syscall.Signal) (int, error) {
	var set unix.Sigset_t
	set.Val[0] = bit(sig)
	return unix.Signalfd(-1, &set, unix.SFD_CLOEXEC)
}

// nextSignal waits for a signal.
func nextSignal(fd int) (siginfo, error) {
	var info unix.SignalfdSiginfo
	_, err := unix.Read(fd, (*[unsafe.Sizeof(info)]byte)(unsafe.Pointer(&info))[:])
	return siginfo{info.Code, int32(info.Pid), info.Fd}, err
}

// queue is an init that takes USR1 at once, or, if that is blocked and is to wait, when it may go on. It returns which
// signal came.
var queue = nsx.Register("pid/queue", func(parent *nsx.Parent, wait bool) (string, error) {
	signals := make(chan os.Signal, 1)
	if !wait {
		signal.Notify(signals, unix.SIGUSR1)
	}
	if err := parent.Report(nil, nil); err != nil {
		return "", err
	}
	if wait {
		signal.Notify(signals, unix.SIGUSR1) // which unblocks it in one thread
	}
	return (<-signals).String(), nil
})

// pollIn is the code of a signal that says that something can be read (sigaction(2)).
const pollIn = 1

// expectInput has SIGIO sent to itself when something can be read from its file. It reports the file's number, and then
// what came with the signal. It is an init, and so stays until it may go: its end would be the writer's.
var expectInput = nsx.Register("pid/expectInput", func(parent *nsx.Parent, _ any) (any, error) {
	signals, err := signalFile(unix.SIGIO)
	if err != nil {
		return nil, err
	}
	fd := parent.Files[0].Fd()
	flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0)
	if err != nil {
		return nil, err
	}
	for _, set := range []struct{ command, value int }{
		{unix.F_SETOWN, unix.Getpid()}, {unix.F_SETSIG, int(unix.SIGIO)}, {unix.F_SETFL, flags | unix.O_ASYNC},
	} {
		if _, err := unix.FcntlInt(fd, set.command, set.value); err != nil {
			return nil, err
		}
	}
	if err := parent.Report(fd, nil); err != nil {
		return nil, err
	}
	info, err := nextSignal(signals)
	if err != nil {
		return nil, err
	}
	return nil, parent.Report(info, nil)
})

// write writes to its file, and is the process with a number.
var write = nsx.Register("pid/write", func(parent *nsx.Parent, text string) (int, error) {
	_, err := io.WriteString(parent.Files[0], text)
	return unix.Getpid(), err
})

func registerSiginfo() {
	blocked := []syscall.Signal{unix.SIGUSR1}

	property.It("P10", func(ctx SpecContext, c *property.Check) {
		look := func(fromSelf bool) siginfo {
			p := spawn(ctx, nsx.Spec{Kinds: nsx.PID, Blocked: blocked}, receive, fromSelf)
			Expect(p.Await(nil)).To(Succeed())
			Expect(p.Continue(nil)).To(Succeed())
			if !fromSelf {
				Expect(p.Signal(unix.SIGUSR1)).To(Succeed())
			}
			info, err := p.Result()
			Expect(err).NotTo(HaveOccurred())
			c.Saw("si_pid", info.PID)
			return info
		}
		c.Positive("a signal that an init sends itself is from 1", func() {
			Expect(look(true).PID).To(BeEquivalentTo(1))
		})
		c.Negative("one from outside is from 0", func() {
			Expect(look(false).PID).To(BeZero())
		})
	})

	property.It("P11", func(ctx SpecContext, c *property.Check) {
		c.Positive("one that is not blocked and has a handler is delivered at once", func() {
			init := spawn(ctx, nsx.Spec{Kinds: nsx.PID}, queue, false)
			Expect(init.Await(nil)).To(Succeed())
			expectInit(init)
			Expect(init.Signal(unix.SIGUSR1)).To(Succeed())
			Eventually(pending(init)).WithContext(ctx).Should(BeFalse())
			c.Saw("pending", false)
			Expect(init.Continue(nil)).To(Succeed())
			got, err := init.Result()
			Expect(err).NotTo(HaveOccurred())
			c.Saw("received", got)
			Expect(got).To(Equal(unix.SIGUSR1.String()))
		})
		c.Negative("one that is blocked waits until the init takes it", func() {
			init := spawn(ctx, nsx.Spec{Kinds: nsx.PID, Blocked: blocked}, queue, true)
			Expect(init.Await(nil)).To(Succeed())
			expectInit(init)
			Expect(init.Signal(unix.SIGUSR1)).To(Succeed())
			waits, err := pending(init)()
			Expect(err).NotTo(HaveOccurred())
			c.Saw("pending", waits)
			Expect(waits).To(BeTrue())
			Expect(init.Continue(nil)).To(Succeed())
			got, err := init.Result()
			Expect(err).NotTo(HaveOccurred())
			c.Saw("received when it is unblocked", got)
			Expect(got).To(Equal(unix.SIGUSR1.String()))
		})
	})

	property.It("P12", func(ctx SpecContext, c *property.Check) {
		look := func(where func(reader *nsx.Process[any]) nsx.Spec) (writerNumber int) {
			pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			Expect(err).NotTo(HaveOccurred())
			ours, theirs := os.NewFile(uintptr(pair[0]), "reader's"), os.NewFile(uintptr(pair[1]), "writer's")
			defer ours.Close()
			defer theirs.Close()
			reader := spawn(ctx, nsx.Spec{Kinds: nsx.PID, Blocked: []syscall.Signal{unix.SIGIO}, Files: []*os.File{ours}}, expectInput, nil)
			var fd int32
			Expect(reader.Await(&fd)).To(Succeed())
			expectInit(reader)
			Expect(reader.Continue(nil)).To(Succeed())
			writer := where(reader)
			writer.Files = []*os.File{theirs}
			number, err := nsx.Run(ctx, writer, write, "x")
			Expect(err).NotTo(HaveOccurred())
			var info siginfo
			Expect(reader.Await(&info)).To(Succeed())
			c.Saw("the writer is, in its namespace", number)
			c.Saw("the reader's file", fd)
			c.Saw("si_code (POLL_IN is 1)", info.Code)
			c.Saw("si_fd", info.FD)
			Expect(info.Code).To(BeEquivalentTo(pollIn))
			Expect(info.FD).To(Equal(fd))
			return number
		}
		c.Positive("the init of a namespace is told of what another process in it writes", func() {
			number := look(func(reader *nsx.Process[any]) nsx.Spec { return joining(reader) })
			Expect(number).NotTo(Equal(1))
		})
		c.Negative("and of what the init of another one writes: a file is none of the namespace's business", func() {
			number := look(func(*nsx.Process[any]) nsx.Spec { return nsx.Spec{Kinds: nsx.PID} })
			Expect(number).To(Equal(1))
		})
	})
}

// pending tells whether USR1 is queued for a process.
func pending(p interface{ PID() int }) func() (bool, error) {
	return func() (bool, error) {
		status, err := statusOf(p.PID())
		return status.Pending&bit(unix.SIGUSR1) != 0, err
	}
}
