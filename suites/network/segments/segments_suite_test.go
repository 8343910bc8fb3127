// Package segments_test holds the specs of networks that are more than one switch: switches that are cabled together, with
// loops and without, networks that are carried by others, networks with many hosts, and devices of the machine.
package segments_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/leaks"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { os.Exit(leaks.Main(m)) }

func TestSegments(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(30 * time.Second)
	nstest.RunSpecs(t, "Segments")
}

// port is where every host answers what it is sent (RFC 862).
const port = 7

// answering has a host answer on all of its addresses, until the spec ends.
func answering(h *nstest.Host) *nstest.Host {
	GinkgoHelper()
	conn, err := h.ListenPacket("udp", fmt.Sprintf(":%d", port))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { _ = conn.Close() })
	go func() {
		p := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFrom(p)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(p[:n], from) // whoever waits for the answer finds out
		}
	}()
	return h
}

// patience is how long an answer may take that is to come, and silence how long one is waited for that is not.
const (
	patience = 20 * time.Second
	silence  = 150 * time.Millisecond
)

// ask sends a datagram to an address and returns when the same has come back, or not within the limit.
func ask(from *nstest.Host, to netip.Addr, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	conn, err := from.DialContext(ctx, "udp", netip.AddrPortFrom(to, port).String())
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("hello")); err != nil {
		return err
	}
	p := make([]byte, 16)
	n, err := conn.Read(p)
	if err == nil && string(p[:n]) != "hello" {
		err = fmt.Errorf("%s answered %q", to, p[:n])
	}
	return err
}

// reach asks every address of a host.
func reach(from, to *nstest.Host) error {
	for _, a := range to.Addrs() {
		if err := ask(from, a, patience); err != nil {
			return fmt.Errorf("%s asks %s at %s: %w", from.Name(), to.Name(), a, err)
		}
	}
	return nil
}

// expectSilence sees for each pair of hosts that the first asks every address of the second, gets no answer, and is not told
// why. All ask at once.
func expectSilence(pairs ...[2]*nstest.Host) {
	GinkgoHelper()
	var wg sync.WaitGroup
	for _, p := range pairs {
		for _, a := range p[1].Addrs() {
			wg.Go(func() {
				defer GinkgoRecover()
				err := ask(p[0], a, silence)
				var timeout net.Error
				Expect(errors.As(err, &timeout) && timeout.Timeout()).To(BeTrue(), "%s asked %s at %s and got: %v", p[0].Name(), p[1].Name(), a, err)
			})
		}
	}
	wg.Wait()
}

func addNetwork(c nstest.NetworkConfig) *nstest.Network {
	GinkgoHelper()
	n, err := nstest.Current().AddNetwork(c)
	Expect(err).NotTo(HaveOccurred())
	return n
}

// addHost is a small host on networks, which answers.
func addHost(name string, networks ...string) *nstest.Host {
	GinkgoHelper()
	c := nstest.HostConfig{Name: name, NetOnly: true}
	for _, n := range networks {
		c.Networks = append(c.Networks, nstest.Attachment{Network: n})
	}
	h, err := nstest.Current().AddHost(c)
	Expect(err).NotTo(HaveOccurred())
	return answering(h)
}

// broadcast sends one datagram to everybody on the host's first network.
func broadcast(from *nstest.Host, port int) error {
	conn, err := from.ListenPacket("udp4", ":0")
	if err != nil {
		return err
	}
	defer conn.Close()
	raw, err := conn.(*net.UDPConn).SyscallConn()
	if err != nil {
		return err
	}
	var option error
	if err := raw.Control(func(fd uintptr) { option = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_BROADCAST, 1) }); err != nil {
		return err
	}
	if option != nil {
		return option
	}
	p := nstest.Current().Network(from.Links()[0].Network()).Prefixes()[0]
	last := p.Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		last[i/8] |= 0x80 >> (i % 8)
	}
	_, err = conn.WriteTo([]byte("all"), net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom4(last), uint16(port))))
	return err
}
