package nstest_test

import (
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest"
)

// A host makes sockets for all who ask at once.
func TestSocketsConcurrently(t *testing.T) {
	env := nstest.New(t, nstest.Config{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				c, err := env.Self().ListenPacket("udp4", ":0")
				if err != nil {
					t.Error(err)
					return
				}
				c.Close()
			}
		})
	}
	wg.Wait()
}

// As a fork does, another descriptor keeps the socket for some milliseconds longer than its owner.
func TestPortIsFreeWhenItsSocketIsClosed(t *testing.T) {
	g := NewWithT(t)
	host := nstest.New(t, nstest.Config{}).Self()
	l, err := host.Listen("tcp", ":80")
	g.Expect(err).NotTo(HaveOccurred())
	held, err := l.(*net.TCPListener).File()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(l.Close()).To(Succeed())
	time.AfterFunc(10*time.Millisecond, func() { held.Close() })
	l, err = host.Listen("tcp", ":80")
	g.Expect(err).NotTo(HaveOccurred())
	defer l.Close()
	_, err = host.Listen("tcp", ":80")
	g.Expect(err).To(MatchError(syscall.EADDRINUSE))
}
