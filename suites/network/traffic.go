package network

import (
	"net"
	"net/netip"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest"
)

// limit is how long is waited for what has to come.
const limit = 30 * time.Second

// A sink takes in the datagrams that come to a host's port.
type sink struct {
	at netip.AddrPort

	mu       sync.Mutex
	arrivals []arrival
}

// An arrival is a datagram that has come.
type arrival struct {
	when time.Time
	text string
}

// listen makes a sink that ends with the spec.
func listen(h *nstest.Host, address netip.Addr, port uint16) *sink {
	GinkgoHelper()
	s := &sink{at: netip.AddrPortFrom(address, port)}
	conn, err := h.ListenPacket("udp", s.at.String())
	Expect(err).NotTo(HaveOccurred())
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 2000)
		for {
			n, _, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			s.mu.Lock()
			s.arrivals = append(s.arrivals, arrival{time.Now(), string(buf[:n])})
			s.mu.Unlock()
		}
	}()
	DeferCleanup(func() error { err := conn.Close(); <-done; return err })
	return s
}

// received is what has come since the sink was made or emptied.
func (s *sink) received() []arrival {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]arrival(nil), s.arrivals...)
}

// texts are their contents.
func (s *sink) texts() []string {
	var list []string
	for _, a := range s.received() {
		list = append(list, a.text)
	}
	return list
}

// count is the number of them.
func (s *sink) count() int { return len(s.received()) }

func (s *sink) empty() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arrivals = nil
}

// sender is a host's socket, until the spec ends.
func sender(h *nstest.Host) net.PacketConn {
	GinkgoHelper()
	conn, err := h.ListenPacket("udp4", ":0")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(conn.Close)
	return conn
}

// send sends datagrams.
func send(from net.PacketConn, to netip.AddrPort, times int, payload []byte) {
	GinkgoHelper()
	for range times {
		_, err := from.WriteTo(payload, net.UDPAddrFromAddrPort(to))
		Expect(err).NotTo(HaveOccurred())
	}
}
