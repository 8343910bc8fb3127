package pid

import (
	"fmt"
	"syscall"
	"unsafe"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// ending are signals whose default action ends a process, and which it can handle.
var ending = []syscall.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGUSR1}

// helpless is a process with the default action for ending, as programs have it that are not in Go. It reports each
// time that it is asked, and so whether it lives.
var helpless = nsx.Register("pid/helpless", func(parent *nsx.Parent, _ any) (any, error) {
	for _, sig := range ending {
		if err := setDefault(sig); err != nil {
			return nil, err
		}
	}
	for {
		if err := parent.Report(nil, nil); err != nil {
			return nil, err
		}
	}
})

// setDefault gives a signal its default action. The Go runtime, which handles them all, is not told: signal.Reset keeps
// its handler.
func setDefault(sig syscall.Signal) error {
	var action [4]uint64 // struct sigaction of the kernel: SIG_DFL, no flags, nothing masked
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// alive reports whether a helpless process answers.
func alive(p *nsx.Process[any]) error {
	if err := p.Continue(nil); err != nil {
		return err
	}
	return p.Await(nil)
}

// standing is a helpless process in the namespaces of s, that has begun. Nothing handles what it may be sent.
func standing(ctx SpecContext, s nsx.Spec) *nsx.Process[any] {
	GinkgoHelper()
	p := spawn(ctx, s, helpless, nil)
	Expect(p.Await(nil)).To(Succeed())
	status, err := statusOf(p.PID())
	Expect(err).NotTo(HaveOccurred())
	for _, sig := range ending {
		Expect(status.Caught&bit(sig)).To(BeZero(), "a handler for %v", sig)
	}
	return p
}

// bit is a signal in a process's sets of them.
func bit(sig syscall.Signal) uint64 { return 1 << (sig - 1) }

// send sends signals to process number pid of its PID namespace.
var send = nsx.Register("pid/send", func(_ *nsx.Parent, s sending) (any, error) {
	for _, sig := range s.Signals {
		if err := unix.Kill(s.PID, sig); err != nil {
			return nil, err
		}
	}
	return nil, nil
})

type sending struct {
	PID     int
	Signals []syscall.Signal
}

func registerSignals() {
	property.It("P7", func(ctx SpecContext, c *property.Check) {
		deadly := append([]syscall.Signal{unix.SIGKILL}, ending...)
		init := standing(ctx, nsx.Spec{Kinds: nsx.PID})
		expectInit(init)
		for _, sig := range deadly {
			c.Positive(sig.String()+" from inside ends an ordinary process", func() {
				child := standing(ctx, joining(init))
				pids, err := child.NSPids()
				Expect(err).NotTo(HaveOccurred())
				_, err = nsx.Run(ctx, joining(init), send, sending{pids[1], []syscall.Signal{sig}})
				Expect(err).NotTo(HaveOccurred())
				status, err := child.Wait()
				Expect(err).NotTo(HaveOccurred())
				c.Saw(fmt.Sprintf("process %d inside ended by", pids[1]), status.Signal())
				Expect(status.Signal()).To(Equal(sig))
			})
			c.Negative("and the first process it does not", func() {
				_, err := nsx.Run(ctx, joining(init), send, sending{1, []syscall.Signal{sig}})
				c.Saw("error of kill(2)", err)
				Expect(err).NotTo(HaveOccurred())
				err = alive(init)
				c.Saw("error of a conversation with process 1", err)
				Expect(err).NotTo(HaveOccurred())
			})
		}
		c.Negative("nor the init of an environment", func() {
			Expect(unix.Kill(1, unix.SIGKILL)).To(Succeed())
			init, err := statusOf(1)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("process 1", init.State)
			Expect(init.isZombie()).To(BeFalse())
		})
	})

	property.It("P8", func(ctx SpecContext, c *property.Check) {
		for _, sig := range ending {
			c.Positive(sig.String()+" ends a process that is no init and has no handler", func() {
				p := standing(ctx, nsx.Spec{})
				Expect(p.Signal(sig)).To(Succeed())
				status, err := p.Wait()
				Expect(err).NotTo(HaveOccurred())
				c.Saw("it ended by", status.Signal())
				Expect(status.Signal()).To(Equal(sig))
			})
		}
		init := standing(ctx, nsx.Spec{Kinds: nsx.PID})
		expectInit(init)
		for _, sig := range ending {
			c.Negative(sig.String()+" from outside does not end an init without a handler", func() {
				Expect(init.Signal(sig)).To(Succeed())
				err := alive(init)
				c.Saw("error of a conversation with it", err)
				Expect(err).NotTo(HaveOccurred())
			})
		}
		c.Positive("SIGKILL from outside does", func() {
			Expect(init.Signal(unix.SIGKILL)).To(Succeed())
			status, err := init.Wait()
			Expect(err).NotTo(HaveOccurred())
			c.Saw("it ended by", status.Signal())
			Expect(status.Signal()).To(Equal(unix.SIGKILL))
		})
	})
}
