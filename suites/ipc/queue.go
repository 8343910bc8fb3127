package ipc

import (
	"os"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// lookUpQueue opens a POSIX message queue by its name.
var lookUpQueue = nsx.Register("ipc/look-up-queue", func(_ *nsx.Parent, name string) (any, error) { return nil, findQueue(name) })

// mountQueues makes the queue "first", mounts the queues of its namespace at a directory, and reports. Then it looks for the
// queue "second".
var mountQueues = nsx.Register("ipc/mount-queues", func(parent *nsx.Parent, dir string) (any, error) {
	q, err := openQueue("first", unix.O_CREAT|unix.O_RDWR)
	if err != nil {
		return nil, err
	}
	if err := q.close(); err != nil {
		return nil, err
	}
	if err := unix.Mount("mqueue", dir, "mqueue", 0, ""); err != nil {
		return nil, err
	}
	if err := parent.Report(nil, nil); err != nil {
		return nil, err
	}
	return nil, findQueue("second")
})

func registerQueues() {
	property.It("I6", func(ctx SpecContext, c *property.Check) {
		q, err := openQueue("ours", unix.O_CREAT|unix.O_RDWR)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(q.close)
		c.Positive("a clone without CLONE_NEWIPC opens our queue by its name", func() {
			_, err := nsx.Run(ctx, nsx.Spec{}, lookUpQueue, "ours")
			c.Saw("error", err)
			Expect(err).NotTo(HaveOccurred())
		})
		for _, how := range ways {
			c.Negative(how.String()+" with CLONE_NEWIPC finds none", func() {
				_, err := nsx.Run(ctx, nsx.Spec{How: how, Kinds: nsx.IPC}, lookUpQueue, "ours")
				c.Saw("error", err)
				Expect(err).To(MatchError(unix.ENOENT))
			})
		}
	})

	property.It("I7", func(ctx SpecContext, c *property.Check) {
		dir := GinkgoTB().TempDir()
		create := func(name string) error {
			f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
			if err != nil {
				return err
			}
			return f.Close()
		}
		// It shares our mount namespace, so that its mount is there for us.
		child, err := nsx.Spawn(ctx, nsx.Spec{Kinds: nsx.IPC}, mountQueues, dir)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(child.Close)
		Expect(child.Await(nil)).To(Succeed())
		DeferCleanup(unix.Unmount, dir, unix.MNT_DETACH)

		c.Positive("through the mount we list the child's queue, and make one that it finds", func() {
			Expect(create("second")).To(Succeed())
			Expect(child.Continue(nil)).To(Succeed())
			_, err := child.Result()
			c.Saw("the child opens ours: error", err)
			Expect(err).NotTo(HaveOccurred())
			files, err := filepath.Glob(dir + "/*")
			Expect(err).NotTo(HaveOccurred())
			c.Saw("there are", files)
			Expect(files).To(ConsistOf(HaveSuffix("/first"), HaveSuffix("/second")))
		})
		c.Negative("in our own namespace they are not", func() {
			for _, name := range []string{"first", "second"} {
				err := findQueue(name)
				c.Saw(name, err)
				Expect(err).To(MatchError(unix.ENOENT))
			}
		})
		c.Negative("when the child's namespace has ended they are still mounted, and none can be added", func() {
			Expect(child.Close()).To(Succeed())
			err := create("third")
			c.Saw("error", err)
			Expect(err).To(MatchError(unix.EACCES))
			Expect(filepath.Join(dir, "first")).To(BeAnExistingFile())
		})
	})
}
