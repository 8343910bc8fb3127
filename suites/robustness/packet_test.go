package robustness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest"
)

// retransmission is when the kernel sends again what got no answer: an ARP request, a neighbour solicitation or a SYN
// after a second. A round trip that is shorter has lost nothing.
const retransmission = 900 * time.Millisecond

// The first packet that a host sends after it was made arrives, and so does the answer. In turn it is one of UDP over
// IPv4, TCP over IPv4, UDP over IPv6, TCP over IPv6.
func TestFirstPacket(t *testing.T) {
	env, err := nstest.Open(context.Background(), nstest.Config{Name: "packets"})
	if err != nil {
		t.Fatal(err)
	}
	defer env.Close()
	const port = 7
	first := map[string][]time.Duration{}
	var all []time.Duration
	for i := range times(40, 200, 1000) {
		far, err := env.AddHost(nstest.HostConfig{Name: "far"})
		if err != nil {
			t.Fatal(err)
		}
		stop, err := echo(far, port)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(stop)
		near, err := env.AddHost(nstest.HostConfig{Name: "near"})
		if err != nil {
			t.Fatal(err)
		}
		addr := far.Addrs()[i/2%2] // IPv4 comes first
		network := []string{"udp", "tcp"}[i%2]
		took, err := roundTrip(near, network, netip.AddrPortFrom(addr, port))
		if err != nil {
			t.Fatalf("try %d, %s to %s: %v", i, network, addr, err)
		}
		if took >= retransmission {
			t.Errorf("try %d, %s to %s: the first round trip took %v: something was lost", i, network, addr, took)
		}
		kind := fmt.Sprintf("%s over IPv%d", network, 4+2*(i/2%2))
		first[kind] = append(first[kind], took)
		all = append(all, took)
		stop()
		for _, name := range []string{"near", "far"} {
			if err := env.RemoveHost(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, kind := range []string{"udp over IPv4", "tcp over IPv4", "udp over IPv6", "tcp over IPv6"} {
		t.Logf("%s: %s", kind, distribution(first[kind]))
	}
	t.Logf("all: %s", distribution(all))
}

func distribution(d []time.Duration) string {
	slices.Sort(d)
	at := func(p int) time.Duration { return d[(len(d)-1)*p/100].Round(time.Microsecond) }
	return fmt.Sprintf("%d tries, median %v, p90 %v, p99 %v, most %v", len(d), at(50), at(90), at(99), at(100))
}

// echo answers UDP packets and TCP streams in a host until stop is called.
func echo(h *nstest.Host, port int) (stop func(), err error) {
	at := fmt.Sprintf(":%d", port)
	l, err := h.Listen("tcp", at)
	if err != nil {
		return nil, err
	}
	p, err := h.ListenPacket("udp", at)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			buf := make([]byte, 1)
			if _, err := io.ReadFull(c, buf); err == nil {
				_, _ = c.Write(buf)
			}
			c.Close()
		}
	}()
	go func() {
		buf := make([]byte, 100)
		for {
			n, from, err := p.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = p.WriteTo(buf[:n], from)
		}
	}()
	return func() { l.Close(); p.Close() }, nil
}

// roundTrip is how long the first word to a server and its answer take: for TCP with the connection, and without the
// making of the socket.
func roundTrip(h *nstest.Host, network string, to netip.AddrPort) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	began := time.Now() // a TCP connection is made while it is dialled
	c, err := h.DialContext(ctx, network, to.String())
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if _, udp := c.(net.PacketConn); udp {
		began = time.Now()
	}
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return 0, err
	}
	if _, err := c.Write([]byte("x")); err != nil {
		return 0, err
	}
	_, err = io.ReadFull(c, make([]byte, 1))
	return time.Since(began), err
}
