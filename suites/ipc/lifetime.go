package ipc

import (
	"os"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// What dies with a namespace is seen by what it has used up: both limits below are the user's in all namespaces together,
// and nobody else in the spec's environment locks memory or has queues.

// shmLock is SHM_LOCK, shmctl(2).
const shmLock = 11

// lockSegment makes a segment by a key and locks it, where no more than that may be locked.
var lockSegment = nsx.Register("ipc/lock-segment", func(_ *nsx.Parent, key int) (any, error) {
	if err := limit(unix.RLIMIT_MEMLOCK, segmentSize); err != nil {
		return nil, err
	}
	id, err := shmget(key, unix.IPC_CREAT|0o600)
	if err != nil {
		return nil, err
	}
	_, err = unix.SysvShmCtl(id, shmLock, nil)
	return nil, err
})

// makeQueue makes a POSIX queue, where there may be no second one.
var makeQueue = nsx.Register("ipc/make-queue", func(_ *nsx.Parent, name string) (any, error) {
	const one = 10 * 8192 // and what the kernel needs to manage them, which is less than a second one
	if err := limit(unix.RLIMIT_MSGQUEUE, one*3/2); err != nil {
		return nil, err
	}
	_, err := openQueue(name, unix.O_CREAT|unix.O_EXCL|unix.O_RDWR)
	return nil, err
})

// limit lowers a limit of the process.
func limit(resource int, soft uint64) error {
	var l unix.Rlimit
	if err := unix.Getrlimit(resource, &l); err != nil {
		return err
	}
	l.Cur = soft
	return unix.Setrlimit(resource, &l)
}

// idle is in its namespaces until it is ended.
var idle = nsx.Register("ipc/idle", func(parent *nsx.Parent, _ any) (any, error) { return nil, parent.Report(nil, nil) })

// lonely is an IPC namespace without processes, which ends when the file is closed.
func lonely(ctx SpecContext) *os.File {
	GinkgoHelper()
	last, err := nsx.Spawn(ctx, nsx.Spec{Kinds: nsx.IPC}, idle, nil)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(last.Close)
	Expect(last.Await(nil)).To(Succeed())
	f, err := last.Open(nsx.IPC)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { f.Close() }) // again, if the spec has come that far
	Expect(last.Close()).To(Succeed())
	return f
}

func registerLifetime() {
	const key = 0x6e73

	property.It("I5", func(ctx SpecContext, c *property.Check) {
		namespace := lonely(ctx)
		inThere := nsx.Spec{How: nsx.Setns, Kinds: nsx.IPC, Into: []*os.File{namespace}}
		inNew := nsx.Spec{Kinds: nsx.IPC}
		_, err := nsx.Run(ctx, inThere, lockSegment, key)
		Expect(err).NotTo(HaveOccurred())

		c.Positive("a file holds the namespace: its segment is there, and is all that may be locked", func() {
			found, err := nsx.Run(ctx, inThere, find, search{Key: key})
			Expect(err).NotTo(HaveOccurred())
			c.Saw("the segment", found.ByKey["shared memory"])
			Expect(found.ByKey).To(HaveKeyWithValue("shared memory", "found"))
			_, err = nsx.Run(ctx, inNew, lockSegment, key)
			c.Saw("lock another one: error", err)
			Expect(err).To(MatchError(unix.ENOMEM))
		})
		c.Negative("the file is closed: another one can be locked", func() {
			Expect(namespace.Close()).To(Succeed())
			Eventually(func() error {
				_, err := nsx.Run(ctx, inNew, lockSegment, key)
				return err
			}).WithContext(ctx).Should(Succeed(), "the kernel frees namespaces in its own time")
			c.Saw("lock another one: error", nil)
		})
	})

	property.Seed("freed with the namespace: POSIX queues, which nobody has removed", func(ctx SpecContext) {
		namespace := lonely(ctx)
		inThere := nsx.Spec{How: nsx.Setns, Kinds: nsx.IPC, Into: []*os.File{namespace}}
		makeIn := func(s nsx.Spec) error {
			_, err := nsx.Run(ctx, s, makeQueue, "queue")
			return err
		}
		Expect(makeIn(inThere)).To(Succeed())

		By("the namespace is held by a file: the queue is there, and is all that the user may have")
		_, err := nsx.Run(ctx, inThere, lookUpQueue, "queue")
		Expect(err).NotTo(HaveOccurred())
		Expect(makeIn(nsx.Spec{Kinds: nsx.IPC})).To(MatchError(unix.EMFILE))

		By("the file is closed")
		Expect(namespace.Close()).To(Succeed())
		Eventually(makeIn).WithArguments(nsx.Spec{Kinds: nsx.IPC}).WithContext(ctx).Should(Succeed())
	})
}
