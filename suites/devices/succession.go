package devices

import (
	"errors"
	"io/fs"
	"net"
	"os"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/internal/inside"
	"github.com/hermetic-go/nstest/suites/property"
)

// The traces that an environment can bear: files in its private directories, a System V message queue, a name.
var traces = []string{"/tmp/trace", "/var/tmp/trace", "/run/trace", "/dev/shm/trace"}

const (
	queueTrace = 0x7ace // the key of a message queue
	nameTrace  = "trace"
)

// leave leaves all traces.
var leave = nsx.Register("devices/leave", func(*nsx.Parent, any) (any, error) {
	for _, path := range traces {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			return nil, err
		}
	}
	if _, _, errno := unix.Syscall(unix.SYS_MSGGET, queueTrace, unix.IPC_CREAT|unix.IPC_EXCL|0o600, 0); errno != 0 {
		return nil, errno
	}
	return nil, unix.Sethostname([]byte(nameTrace))
})

// search finds traces.
var search = nsx.Register("devices/search", func(*nsx.Parent, any) (found []string, err error) {
	for _, path := range traces {
		_, err := os.Stat(path)
		switch {
		case err == nil:
			found = append(found, path)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	if _, _, errno := unix.Syscall(unix.SYS_MSGGET, queueTrace, 0, 0); errno == 0 {
		found = append(found, "message queue")
	}
	name, err := os.Hostname()
	if name == nameTrace {
		found = append(found, "host name")
	}
	return found, err
})

func registerSuccession() {
	property.It("D9", func(_ SpecContext, c *property.Check) {
		cfg := nstest.Config{Name: "shop", Hostname: "shop"}
		open := func() (*nstest.Env, net.Listener) {
			GinkgoHelper()
			env := nstest.New(GinkgoTB(), cfg)
			l, err := env.Host("web").Listen("tcp", ":80")
			Expect(err).NotTo(HaveOccurred())
			return env, l
		}
		first, l := open()
		DeferCleanup(l.Close)
		c.Positive("what is left in an environment is found there", func() {
			_, err := inside.Run(first.Self(), leave, nil)
			Expect(err).NotTo(HaveOccurred())
			found, err := inside.Run(first.Self(), search, nil)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("found", found)
			Expect(found).To(HaveLen(len(traces) + 2))
		})
		clean := func() {
			GinkgoHelper()
			next, l := open()
			defer l.Close()
			found, err := inside.Run(next.Self(), search, nil)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("found", found)
			Expect(found).To(BeEmpty())
			Expect(next.Close()).To(Succeed())
		}
		c.Negative("a second one with the same names, beside it, has nothing of it", clean)
		c.Negative("nor has one after it", func() {
			Expect(first.Close()).To(Succeed())
			clean()
		})
	})
}
