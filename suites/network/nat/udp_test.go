package nat_test

import (
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest"
)

// The servers' ports.
var ports = [2]uint16{3478, 3479}

// endpoint is one of the servers' two addresses with one of the two ports.
func (w *world) endpoint(address, port int) netip.AddrPort {
	return netip.AddrPortFrom(w.server(address), ports[port])
}

// serveUDP has both servers answer on both ports. A request names the address and the port from which the answer is to
// come: "1 0". The answer begins with the address that the server has seen, and ends with where it comes from.
func (w *world) serveUDP() {
	GinkgoHelper()
	var sockets [2][2]net.PacketConn
	for i := range sockets {
		for k := range sockets[i] {
			sockets[i][k] = listenPacket(w.servers[i], w.endpoint(i, k))
		}
	}
	for i := range sockets {
		for k := range sockets[i] {
			go func() {
				buf := make([]byte, 100)
				for {
					n, from, err := sockets[i][k].ReadFrom(buf)
					if err != nil {
						return
					}
					a, p, _ := strings.Cut(string(buf[:n]), " ")
					address, _ := strconv.Atoi(a)
					port, _ := strconv.Atoi(p)
					_, _ = sockets[address][port].WriteTo([]byte(from.String()+" "+string(buf[:n])), from)
				}
			}()
		}
	}
}

func listenPacket(h *nstest.Host, at netip.AddrPort) net.PacketConn {
	GinkgoHelper()
	c, err := h.ListenPacket("udp", at.String())
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(c.Close)
	return c
}

// send sends a request to an endpoint that asks for an answer from another.
func (w *world) send(c net.PacketConn, to netip.AddrPort, address, port int) {
	GinkgoHelper()
	_, err := c.WriteTo([]byte(strconv.Itoa(address)+" "+strconv.Itoa(port)), net.UDPAddrFromAddrPort(to))
	Expect(err).NotTo(HaveOccurred())
}

// receive returns what the next packet says: the address that the server has seen, and where the answer comes from.
func receive(c net.PacketConn) (seen netip.AddrPort, from string) {
	GinkgoHelper()
	Expect(c.SetReadDeadline(time.Now().Add(30 * time.Second))).To(Succeed())
	buf := make([]byte, 100)
	n, _, err := c.ReadFrom(buf)
	Expect(err).NotTo(HaveOccurred())
	a, from, _ := strings.Cut(string(buf[:n]), " ")
	return netip.MustParseAddrPort(a), from
}

// seenUDP is the address that a server sees.
func (w *world) seenUDP(c net.PacketConn, address, port int) netip.AddrPort {
	GinkgoHelper()
	w.send(c, w.endpoint(address, port), address, port)
	seen, _ := receive(c)
	return seen
}

// A packet that may have been dropped is taken for lost when so many others have gone to and fro after it, which take the same
// way, and silence has passed as well: the kernel goes on with a packet later where the processor has something else to do, and
// those that another processor sends overtake it.
const (
	trips   = 20
	silence = 150 * time.Millisecond
)

// arrives reports whether an answer from that endpoint comes to a client that has sent to endpoint 0 0 alone.
func (w *world) arrives(c net.PacketConn, address, port int) bool {
	GinkgoHelper()
	w.send(c, w.endpoint(0, 0), address, port)
	wanted, arrived := strconv.Itoa(address)+" "+strconv.Itoa(port), false
	for range trips {
		w.send(c, w.endpoint(0, 0), 0, 0)
		_, from := receive(c)
		if from == wanted {
			arrived = true
			_, from = receive(c)
		}
		Expect(from).To(Equal("0 0"))
	}
	if arrived {
		return true
	}
	Expect(c.SetReadDeadline(time.Now().Add(silence))).To(Succeed())
	buf := make([]byte, 100)
	n, _, err := c.ReadFrom(buf)
	if err != nil {
		Expect(err).To(MatchError(os.ErrDeadlineExceeded))
		return false
	}
	Expect(string(buf[:n])).To(HaveSuffix(" " + wanted))
	return true
}

// classifyUDP finds out how UDP from the host is treated.
func (w *world) classifyUDP(h *nstest.Host) behaviour {
	GinkgoHelper()
	w.serveUDP()
	c := listenPacket(h, netip.AddrPortFrom(w.of(h), 0))
	local := netip.MustParseAddrPort(c.LocalAddr().String())
	first, address, port := w.seenUDP(c, 0, 0), w.seenUDP(c, 1, 0), w.seenUDP(c, 1, 1)
	AddReportEntry("seen", []netip.AddrPort{local, first, address, port}, ReportEntryVisibilityFailureOrVerbose)
	c = listenPacket(h, netip.AddrPortFrom(w.of(h), 0)) // one that nobody has heard of yet
	return behaviour{mapping(local, first, address, port), filtering(w.arrives(c, 1, 1), w.arrives(c, 0, 1))}
}
