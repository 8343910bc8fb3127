package mount

import (
	"os"
	"runtime"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// directories are the working directories of two threads of one process.
type directories struct{ Mine, Others string }

// A departure is one thread's, which leaves namespaces (or none) before it goes to a directory.
type departure struct {
	Leave nsx.Kinds
	To    string
}

// depart has one of two threads depart, and returns where both are then.
var depart = nsx.Register("mount/depart", func(_ *nsx.Parent, d departure) (directories, error) {
	const workingDirectory = "/proc/thread-self/cwd"
	ready, gone, others := make(chan any), make(chan any), make(chan string)
	go func() {
		runtime.LockOSThread()
		close(ready)
		<-gone
		at, _ := os.Readlink(workingDirectory) // "" is nowhere
		others <- at
	}()
	<-ready // a thread that is started later would begin where we are
	if d.Leave != 0 {
		if err := nsx.UnshareThread(d.Leave); err != nil {
			return directories{}, err
		}
	}
	if err := unix.Chdir(d.To); err != nil {
		return directories{}, err
	}
	mine, err := os.Readlink(workingDirectory)
	close(gone)
	return directories{mine, <-others}, err
})

func registerDirectories() {
	property.It("M14", func(ctx SpecContext, c *property.Check) {
		dir := ground(alone)
		departed := func(leave nsx.Kinds) directories {
			GinkgoHelper()
			at, err := nsx.Run(ctx, nsx.Spec{}, depart, departure{leave, dir})
			Expect(err).NotTo(HaveOccurred())
			c.Saw("the thread that has changed it is in", at.Mine)
			c.Saw("another one of the process is in", at.Others)
			Expect(at.Mine).To(Equal(dir))
			Expect(at.Others).NotTo(BeEmpty())
			return at
		}
		c.Positive("threads share their working directory", func() {
			Expect(departed(0).Others).To(Equal(dir))
		})
		c.Positive("also when one has left the UTS namespace", func() {
			Expect(departed(nsx.UTS).Others).To(Equal(dir))
		})
		c.Negative("one that has left the mount namespace has its own", func() {
			Expect(departed(nsx.Mount).Others).NotTo(Equal(dir))
		})
	})
}
