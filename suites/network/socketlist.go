package network

import (
	"fmt"
	"os"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// listings say which lists have a listening TCP socket.
type listings struct {
	Proc bool // /proc/net/tcp, which netstat(8) reads
	Diag bool // sock_diag(7), which ss(8) asks
}

// isListed looks for a port in the lists of the calling process; or in a file like /proc/net/tcp and no other.
func isListed(port int) (l listings, err error) {
	if l.Proc, err = isInFile("/proc/net/tcp", port); err != nil {
		return l, err
	}
	sockets, err := netlink.SocketDiagTCP(unix.AF_INET)
	for _, s := range sockets {
		l.Diag = l.Diag || int(s.ID.SourcePort) == port
	}
	return l, err
}

func isInFile(path string, port int) (bool, error) {
	text, err := os.ReadFile(path)
	return strings.Contains(string(text), fmt.Sprintf(" 00000000:%04X 00000000:0000 0A ", port)), err
}

// listenOn listens on a port of all addresses and reports whether that is listed where it is.
var listenOn = nsx.Register("network/listen-on", func(parent *nsx.Parent, port int) (any, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: port}); err != nil {
		return nil, err
	}
	if err := unix.Listen(fd, 1); err != nil {
		return nil, err
	}
	l, err := isListed(port)
	if err != nil {
		return nil, err
	}
	return nil, parent.Report(l, nil)
})

func registerSocketLists() {
	property.It("N28", func(ctx SpecContext, c *property.Check) {
		const port = 9999
		both := listings{true, true}
		listening := func(s nsx.Spec) (p *nsx.Process[any], inside listings) {
			GinkgoHelper()
			p, err := nsx.Spawn(ctx, s, listenOn, port)
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(p.Close)
			Expect(p.Await(&inside)).To(Succeed())
			c.Saw("listed inside", inside)
			return p, inside
		}
		outside := func() listings {
			GinkgoHelper()
			l, err := isListed(port)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("listed in ours", l)
			return l
		}
		c.Negative("who listens in another namespace is listed there, and not in ours", func() {
			p, inside := listening(nsx.Spec{Kinds: nsx.Net})
			Expect(inside).To(Equal(both))
			Expect(outside()).To(Equal(listings{}))
			file := fmt.Sprintf("/proc/%d/net/tcp", p.PID())
			inFile, err := isInFile(file, port)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("listed in /proc/PID/net/tcp of that process", inFile)
			Expect(inFile).To(BeTrue(), "/proc/net is /proc/self/net: the namespace is that of the process that is asked for")
			Expect(p.Close()).To(Succeed())
		})
		c.Positive("who listens in ours is listed in ours", func() {
			_, inside := listening(nsx.Spec{})
			Expect(inside).To(Equal(both))
			Expect(outside()).To(Equal(both))
		})
	})
}
