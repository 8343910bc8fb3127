// Package links_test shows that the cables of running hosts can be changed: plugged in, taken out, carried to another switch,
// numbered anew, made wider, and made to fail, while processes are at work on the hosts and see what they would see on a
// machine.
package links_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/leaks"
	"github.com/hermetic-go/nstest/suites/internal/rtnetlink"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestMain(m *testing.M) { os.Exit(leaks.Main(m)) }

func TestLinks(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(30 * time.Second)
	nstest.RunSpecs(t, "Links")
}

const (
	patience = 20 * time.Second       // for an answer that has to come
	silence  = 150 * time.Millisecond // after which no answer comes
)

// echo has hosts answer packets, at whatever addresses they come to have.
func echo(hosts ...*nstest.Host) {
	GinkgoHelper()
	for _, h := range hosts {
		_, err := h.HandlePackets("udp", ":7", func(_ net.Addr, packet []byte) []byte { return packet })
		Expect(err).NotTo(HaveOccurred())
	}
}

// ask sends a packet from a host and waits for the answer.
func ask(from *nstest.Host, to netip.Addr, wait time.Duration) error {
	c, err := from.DialContext(context.Background(), "udp", netip.AddrPortFrom(to, 7).String())
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	if _, err := c.Write([]byte("ping")); err != nil {
		return err
	}
	_, err = c.Read(make([]byte, 16))
	return err
}

// reach is that the first packet is answered.
func reach(from *nstest.Host, to netip.Addr) {
	GinkgoHelper()
	Expect(ask(from, to, patience)).To(Succeed(), "from %s to %s", from.Name(), to)
}

// notReach is that none is. Its control is a reach between the same two at another moment: the other way round where it
// comes later, because who has asked for a neighbour in vain does so once a second.
func notReach(from *nstest.Host, to netip.Addr) {
	GinkgoHelper()
	err := ask(from, to, silence)
	Expect(err).To(HaveOccurred(), "from %s to %s", from.Name(), to)
	Expect(err).To(Or(MatchError(os.ErrDeadlineExceeded), MatchError(ContainSubstring("unreachable")), MatchError(ContainSubstring("no route to host"))))
}

func network(name string) *nstest.Network {
	GinkgoHelper()
	return nstest.Current().Network(name)
}

func add(cfg nstest.NetworkConfig) *nstest.Network {
	GinkgoHelper()
	n, err := nstest.Current().AddNetwork(cfg)
	Expect(err).NotTo(HaveOccurred())
	return n
}

func hostOn(name string, networks ...string) *nstest.Host {
	GinkgoHelper()
	cfg := nstest.HostConfig{Name: name}
	for _, n := range networks {
		cfg.Networks = append(cfg.Networks, nstest.Attachment{Network: n})
	}
	h, err := nstest.Current().AddHost(cfg)
	Expect(err).NotTo(HaveOccurred())
	return h
}

func plug(h *nstest.Host, a nstest.Attachment) *nstest.Link {
	GinkgoHelper()
	l, err := h.AddLink(a)
	Expect(err).NotTo(HaveOccurred())
	return l
}

// in runs f in a host.
func in[T any](h *nstest.Host, f func() (T, error)) T {
	GinkgoHelper()
	var result T
	Expect(h.Do(func() (err error) {
		result, err = f()
		return err
	})).To(Succeed())
	return result
}

// watch hears what happens to the devices of a host, as any process of it can.
func watch(h *nstest.Host) *rtnetlink.Watch {
	GinkgoHelper()
	w := in(h, rtnetlink.NewWatch)
	DeferCleanup(w.Close)
	return w
}

// awaitEvent returns when the events of a device include one like this.
func awaitEvent(ctx context.Context, w *rtnetlink.Watch, what string, like func(rtnetlink.Event) bool) {
	GinkgoHelper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var heard []string
	for {
		e, err := w.Next(ctx)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			Fail(fmt.Sprintf("no event: %s, among %q", what, heard))
		}
		Expect(err).NotTo(HaveOccurred())
		if like(e) {
			return
		}
		heard = append(heard, fmt.Sprintf("%s up=%v carrier=%v", e, e.Link.Up, e.Link.Carrier))
	}
}

// addrsOf are the addresses that a name stands for, as a host is told.
func addrsOf(asker *nstest.Host, name string) []netip.Addr {
	GinkgoHelper()
	addrs, err := asker.LookupNetIP(context.Background(), name)
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound {
		return nil
	}
	Expect(err).NotTo(HaveOccurred())
	return addrs
}

func hostsFile(h *nstest.Host) string {
	GinkgoHelper()
	return string(in(h, func() ([]byte, error) { return os.ReadFile("/etc/hosts") }))
}
