package network

import (
	"io"
	"net"
	"os"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// A callee is a Unix socket to connect to. The address of an abstract one begins with @.
type callee struct {
	Address string
	Cover   string // a directory that an empty one is mounted over before, for the caller alone
}

// call connects and returns what it hears.
var call = nsx.Register("network/call", func(_ *nsx.Parent, to callee) (string, error) {
	if to.Cover != "" {
		if err := unshareMounts(); err != nil {
			return "", err
		}
		if err := unix.Mount("tmpfs", to.Cover, "tmpfs", 0, ""); err != nil {
			return "", os.NewSyscallError("mount tmpfs", err)
		}
	}
	conn, err := net.Dial("unix", to.Address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	text, err := io.ReadAll(conn)
	return string(text), err
})

// greet says hello to whoever connects to a Unix socket of the spec's.
func greet(address string) {
	GinkgoHelper()
	l, err := net.Listen("unix", address)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(l.Close)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "hello")
			conn.Close()
		}
	}()
}

func registerUnixSockets() {
	property.It("N7", func(ctx SpecContext, c *property.Check) {
		const address = "@nstest/network/N7"
		greet(address)
		for _, others := range []nsx.Kinds{0, nsx.Mount, nsx.User, nsx.User | nsx.PID | nsx.Mount | nsx.IPC | nsx.UTS | nsx.Cgroup} {
			s, what := nsx.Spec{Kinds: others}, "a child"
			if others.Has(nsx.User) {
				s = s.AsRoot()
			}
			if others != 0 {
				what += " in new namespaces (" + others.String() + ")"
			}
			c.Positive(what+" is connected, as it is in our network namespace", func() {
				heard, err := nsx.Run(ctx, s, call, callee{Address: address})
				Expect(err).NotTo(HaveOccurred())
				c.Saw("it hears", heard)
				Expect(heard).To(Equal("hello"))
			})
		}
		for _, how := range ways {
			c.Negative("one in a network namespace made by "+how.String()+" is refused", func() {
				_, err := nsx.Run(ctx, nsx.Spec{How: how, Kinds: nsx.Net}, call, callee{Address: address})
				c.Saw("error", err)
				Expect(err).To(MatchError(unix.ECONNREFUSED))
			})
		}
	})

	property.It("N8", func(ctx SpecContext, c *property.Check) {
		dir := GinkgoTB().TempDir()
		address := filepath.Join(dir, "socket")
		greet(address)
		for _, how := range ways {
			c.Positive("one in a network namespace made by "+how.String()+" is connected: the path is all that counts", func() {
				heard, err := nsx.Run(ctx, nsx.Spec{How: how, Kinds: nsx.Net}, call, callee{Address: address})
				Expect(err).NotTo(HaveOccurred())
				c.Saw("it hears", heard)
				Expect(heard).To(Equal("hello"))
			})
		}
		c.Negative("it is the mount namespace that confines it: where the directory is covered there is no such file", func() {
			_, err := nsx.Run(ctx, nsx.Spec{}, call, callee{Address: address, Cover: dir})
			c.Saw("error", err)
			Expect(err).To(MatchError(unix.ENOENT))
		})
	})
}
