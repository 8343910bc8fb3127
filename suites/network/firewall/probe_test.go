package firewall_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/hermetic-go/nstest/nstest"
)

// An outcome is what becomes of somebody's attempt to reach somebody.
type outcome string

const (
	answered  outcome = "answered"
	refused   outcome = "refused"   // by TCP RST or ICMP
	silent    outcome = "silent"    // nothing came back
	forbidden outcome = "forbidden" // EPERM: it did not leave the host
)

const (
	silence  = 150 * time.Millisecond // after which nothing is expected any more
	patience = 20 * time.Second       // with what is expected to come
)

// A probe is an attempt: "tcp", "udp" or "icmp", to a port unless it is ICMP.
type probe struct {
	from     *nstest.Host
	protocol string
	to       netip.Addr
	port     uint16
}

func (p probe) String() string {
	return fmt.Sprintf("%s from %s to %s", p.protocol, p.from.Name(), netip.AddrPortFrom(p.to, p.port))
}

// denied is what becomes of an attempt that meets Drop or Reject. A process of the same host is told so, unless it is TCP, which
// tries again.
func denied(v nstest.Verdict, itself bool, protocol string) outcome {
	switch {
	case itself && protocol != "tcp":
		return forbidden
	case v == nstest.Reject:
		return refused
	}
	return silent
}

// ends expects an outcome. Silence is not waited for. Anything else is asked for again: the kernel does not answer each packet
// by an ICMP error.
func (p probe) ends(want outcome) {
	GinkgoHelper()
	wait := silence
	if want != silent {
		wait = time.Second
	}
	got, err := p.try(wait)
	for end := time.Now().Add(patience); want != silent && got == silent && time.Now().Before(end); {
		got, err = p.try(wait)
	}
	Expect(got).To(Equal(want), "%s: %v", p, err)
}

func (p probe) try(wait time.Duration) (outcome, error) {
	if p.protocol == "icmp" {
		return p.ping(wait)
	}
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	c, err := p.from.DialContext(ctx, p.protocol, netip.AddrPortFrom(p.to, p.port).String())
	if err != nil {
		return outcomeOf(err), err
	}
	defer c.Close()
	err = exchange(c, wait)
	return outcomeOf(err), err
}

// exchange sends something, and expects it back.
func exchange(c net.Conn, wait time.Duration) error {
	if err := c.SetDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, "hello"); err != nil {
		return err
	}
	b := make([]byte, 5)
	if _, err := io.ReadFull(c, b); err != nil {
		return err
	}
	if string(b) != "hello" {
		return fmt.Errorf("got %q", b)
	}
	return nil
}

func outcomeOf(err error) outcome {
	switch {
	case err == nil:
		return answered
	case errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded):
		return silent
	case errors.Is(err, syscall.EPERM):
		return forbidden
	case errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.EACCES):
		return refused
	}
	return outcome(err.Error())
}

// ping sends one ICMP echo request.
func (p probe) ping(wait time.Duration) (outcome, error) {
	var c *icmp.PacketConn
	network, local, number, request := "ip4:icmp", "0.0.0.0", 1, icmp.Type(ipv4.ICMPTypeEcho)
	if p.to.Is6() {
		network, local, number, request = "ip6:ipv6-icmp", "::", 58, ipv6.ICMPTypeEchoRequest
	}
	err := p.from.Do(func() (err error) {
		c, err = icmp.ListenPacket(network, local)
		return err
	})
	if err != nil {
		return outcomeOf(err), err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(wait)); err != nil {
		return "", err
	}
	const id = 4711
	b, err := (&icmp.Message{Type: request, Body: &icmp.Echo{ID: id, Seq: 1, Data: []byte("hello")}}).Marshal(nil)
	if err != nil {
		return "", err
	}
	if _, err := c.WriteTo(b, &net.IPAddr{IP: p.to.AsSlice()}); err != nil {
		return outcomeOf(err), err
	}
	for b := make([]byte, 1500); ; {
		n, _, err := c.ReadFrom(b)
		if err != nil {
			return outcomeOf(err), err
		}
		m, err := icmp.ParseMessage(number, b[:n])
		if err != nil {
			return "", err
		}
		switch echo, _ := m.Body.(*icmp.Echo); {
		case (m.Type == ipv4.ICMPTypeEchoReply || m.Type == ipv6.ICMPTypeEchoReply) && echo.ID == id:
			return answered, nil
		case m.Type == ipv4.ICMPTypeDestinationUnreachable && m.Code == 13, m.Type == ipv6.ICMPTypeDestinationUnreachable && m.Code == 1:
			return refused, nil
		}
	}
}

// echo has a host send back what comes to these ports, by TCP and UDP.
func echo(h *nstest.Host, ports ...uint16) {
	GinkgoHelper()
	for _, port := range ports {
		address := fmt.Sprintf(":%d", port)
		l, err := h.Listen("tcp", address)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(l.Close)
		go serve(l, func(c net.Conn) { _, _ = io.Copy(c, c) })
		u, err := h.ListenPacket("udp", address)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(u.Close)
		go func() {
			for b := make([]byte, 1500); ; {
				n, from, err := u.ReadFrom(b)
				if errors.Is(err, net.ErrClosed) {
					return
				}
				if err == nil {
					_, _ = u.WriteTo(b[:n], from)
				}
			}
		}()
	}
}

// serve calls f for each connection, until the listener is closed.
func serve(l net.Listener, f func(net.Conn)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			f(c)
		}()
	}
}
