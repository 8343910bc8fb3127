package ipc

import (
	"encoding/binary"
	"os"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// awaitMessage makes a queue, reports, and returns who has sent a message to it, as the signal says. SIGUSR1 is blocked.
var awaitMessage = nsx.Register("ipc/await-message", func(parent *nsx.Parent, name string) (sender int, err error) {
	q, err := openQueue(name, unix.O_CREAT|unix.O_EXCL|unix.O_RDWR)
	if err != nil {
		return 0, err
	}
	if err := q.notify(unix.SIGUSR1); err != nil {
		return 0, err
	}
	if err := parent.Report(nil, nil); err != nil {
		return 0, err
	}
	fd, err := unix.Signalfd(-1, &unix.Sigset_t{Val: [16]uint64{1 << (unix.SIGUSR1 - 1)}}, unix.SFD_CLOEXEC)
	if err != nil {
		return 0, err
	}
	signals := os.NewFile(uintptr(fd), "signals")
	defer signals.Close()
	var info unix.SignalfdSiginfo
	err = binary.Read(signals, binary.NativeEndian, &info)
	return int(info.Pid), err
})

// sendMessage sends a message, and returns the number of its process as that counts.
var sendMessage = nsx.Register("ipc/send-message", func(_ *nsx.Parent, name string) (pid int, err error) {
	q, err := openQueue(name, unix.O_RDWR)
	if err != nil {
		return 0, err
	}
	return os.Getpid(), q.send()
})

// sender is who has sent a message, by its own count and as the receiver is told. Both share our IPC namespace.
func sender(ctx SpecContext, c *property.Check, queue string, receiver nsx.Spec, from func(receiver *os.File) nsx.Spec) (own, told int) {
	GinkgoHelper()
	receiver.Blocked = []syscall.Signal{unix.SIGUSR1}
	p, err := nsx.Spawn(ctx, receiver, awaitMessage, queue)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(p.Close)
	Expect(p.Await(nil)).To(Succeed())
	own, err = nsx.Run(ctx, from(p.PIDFD()), sendMessage, queue)
	Expect(err).NotTo(HaveOccurred())
	Expect(p.Continue(nil)).To(Succeed())
	told, err = p.Result()
	Expect(err).NotTo(HaveOccurred())
	c.Saw("the sender is, for itself", own)
	c.Saw("the sender is, as the receiver is told", told)
	return own, told
}

func registerNotification() {
	property.It("I9", func(ctx SpecContext, c *property.Check) {
		inNewPID := nsx.Spec{Kinds: nsx.PID}
		c.Positive("a sender in the receiver's PID namespace has the number there that it has for itself", func() {
			own, told := sender(ctx, c, "same", inNewPID, func(receiver *os.File) nsx.Spec {
				return nsx.Spec{How: nsx.Setns, Kinds: nsx.PID, Into: []*os.File{receiver}}
			})
			Expect(told).To(Equal(own))
			Expect(told).NotTo(BeZero())
		})
		c.Negative("one in the PID namespace above has none: 0", func() {
			own, told := sender(ctx, c, "above", inNewPID, func(*os.File) nsx.Spec { return nsx.Spec{} })
			Expect(own).NotTo(BeZero())
			Expect(told).To(BeZero())
		})
		c.Negative("one in a PID namespace below, where it is 1, has another one", func() {
			own, told := sender(ctx, c, "below", nsx.Spec{}, func(*os.File) nsx.Spec { return inNewPID })
			Expect(own).To(Equal(1))
			Expect(told).To(BeNumerically(">", 1))
		})
	})
}
