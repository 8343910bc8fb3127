package daemons_test

import (
	"bytes"
	"net"
	"sync"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/mdlayher/packet"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// A capture has the frames that come and go at one of a host's devices, from when it was made.
type capture struct {
	mu     sync.Mutex
	frames [][]byte
}

// newCapture looks at the host's end of a link.
func newCapture(l *nstest.Link) *capture {
	GinkgoHelper()
	conn := packetSocket(l)
	c := &capture{}
	go func() {
		buf := make([]byte, 1<<16)
		for {
			n, _, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			c.mu.Lock()
			c.frames = append(c.frames, bytes.Clone(buf[:n]))
			c.mu.Unlock()
		}
	}()
	return c
}

// packetSocket is a socket for frames at the host's end of a link. It can be used from any goroutine.
func packetSocket(l *nstest.Link) (conn *packet.Conn) {
	GinkgoHelper()
	Expect(l.Host().Do(func() error {
		device, err := net.InterfaceByName(l.Interface())
		if err != nil {
			return err
		}
		conn, err = packet.Listen(device, packet.Raw, unix.ETH_P_ALL, nil)
		return err
	})).To(Succeed())
	DeferCleanup(conn.Close)
	return conn
}

// with are the frames that contain all of some bytes.
func (c *capture) with(parts ...[]byte) (list [][]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.frames {
		all := true
		for _, p := range parts {
			all = all && bytes.Contains(f, p)
		}
		if all {
			list = append(list, f)
		}
	}
	return list
}
