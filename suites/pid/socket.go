package pid

import (
	"fmt"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// peers are the process at the other end of a UNIX socket, by its number in the caller's namespace: who connected or
// listens, SO_PEERCRED, and who has sent something, SCM_CREDENTIALS (unix(7)).
type peers struct{ Connected, Sent int32 }

// connect connects to a socket by its path, reports that, and returns who is there.
var connect = nsx.Register("pid/connect", func(parent *nsx.Parent, path string) (peers, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return peers{}, err
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return peers{}, err
	}
	if err := parent.Report(nil, nil); err != nil {
		return peers{}, err
	}
	return meet(fd)
})

// pair returns who is at the other end of a pair of sockets that the probe makes.
var pair = nsx.Register("pid/pair", func(*nsx.Parent, any) (peers, error) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return peers{}, err
	}
	defer unix.Close(ends[0])
	defer unix.Close(ends[1])
	if err := sendCredentials(ends[1]); err != nil {
		return peers{}, err
	}
	return meet(ends[0])
})

// meet says who we are, and returns who is at the other end when that has done likewise.
func meet(fd int) (p peers, err error) {
	connected, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return p, err
	}
	if err := sendCredentials(fd); err != nil {
		return p, err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err != nil {
		return p, err
	}
	control := make([]byte, unix.CmsgSpace(unix.SizeofUcred))
	_, n, _, _, err := unix.Recvmsg(fd, make([]byte, 1), control, 0)
	if err != nil {
		return p, err
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil || len(messages) != 1 {
		return p, fmt.Errorf("%d control messages: %w", len(messages), err)
	}
	sent, err := unix.ParseUnixCredentials(&messages[0])
	if err != nil {
		return p, err
	}
	return peers{connected.Pid, sent.Pid}, nil
}

func sendCredentials(fd int) error {
	self := &unix.Ucred{Pid: int32(unix.Getpid()), Uid: uint32(unix.Getuid()), Gid: uint32(unix.Getgid())}
	return unix.Sendmsg(fd, []byte("x"), unix.UnixCredentials(self), nil, 0)
}

func registerSockets() {
	property.It("P21", func(ctx SpecContext, c *property.Check) {
		// acquaint is who we see, and who sees us, where another process connects to our socket.
		acquaint := func(s nsx.Spec) (number int, us, them peers) {
			path := filepath.Join(GinkgoTB().TempDir(), "socket")
			listener, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			Expect(err).NotTo(HaveOccurred())
			defer unix.Close(listener)
			Expect(unix.Bind(listener, &unix.SockaddrUnix{Name: path})).To(Succeed())
			Expect(unix.Listen(listener, 1)).To(Succeed())
			p := spawn(ctx, s, connect, path)
			Expect(p.Await(nil)).To(Succeed())
			fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
			Expect(err).NotTo(HaveOccurred())
			defer unix.Close(fd)
			Expect(p.Continue(nil)).To(Succeed())
			us, err = meet(fd)
			Expect(err).NotTo(HaveOccurred())
			them, err = p.Result()
			Expect(err).NotTo(HaveOccurred())
			c.Saw("it is, outside", p.PID())
			c.Saw("we see", us)
			c.Saw("it sees", them)
			return p.PID(), us, them
		}
		self := int32(unix.Getpid())
		c.Positive("without CLONE_NEWPID both see each other's number", func() {
			number, us, them := acquaint(nsx.Spec{})
			Expect(us).To(Equal(peers{int32(number), int32(number)}))
			Expect(them).To(Equal(peers{self, self}))
		})
		c.Positive("inside, the first process sees itself as 1", func() {
			got, err := nsx.Run(ctx, nsx.Spec{Kinds: nsx.PID}, pair, nil)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("it sees", got)
			Expect(got).To(Equal(peers{1, 1}))
		})
		c.Negative("we see the first process inside by its number outside, and it sees us, who have none inside, as 0", func() {
			number, us, them := acquaint(nsx.Spec{Kinds: nsx.PID})
			Expect(number).NotTo(Equal(1))
			Expect(us).To(Equal(peers{int32(number), int32(number)}))
			Expect(them).To(Equal(peers{0, 0}))
		})
	})
}
