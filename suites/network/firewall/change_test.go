package firewall_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/google/nftables"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest"
)

// connect opens a connection that lasts until the spec ends.
func connect(from *nstest.Host, to netip.Addr, port uint16) net.Conn {
	GinkgoHelper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := from.DialContext(ctx, "tcp", netip.AddrPortFrom(to, port).String())
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(c.Close)
	return c
}

var _ = Describe("A new firewall", func() {
	It("cuts the connections that it forbids, and no others", func() {
		p := newPlace()
		to := func(ports ...uint16) nstest.Firewall {
			f := nstest.Firewall{Default: nstest.Reject}
			for _, port := range ports {
				f.Rules = append(f.Rules, nstest.FirewallRule{Protocol: "tcp", Ports: []nstest.PortRange{{First: port}}, From: "client"})
			}
			return f
		}
		for _, h := range []*nstest.Host{p.server, p.router.Host, p.client} {
			for _, a := range addrs(p.server) {
				first, second := connect(p.client, a, 80), connect(p.client, a, 81)
				By("setting the first on " + h.Name())
				set(h, to(80))
				Expect(exchange(first, patience)).To(Succeed())
				Expect(outcomeOf(exchange(second, patience))).To(Equal(refused))

				By("replacing it")
				second = connect(p.client, a, 80)
				set(h, to(80, 82))
				Expect(exchange(first, patience)).To(Succeed())
				set(h, to(82))
				Expect(outcomeOf(exchange(first, patience))).To(Equal(refused))
				drop := to(82)
				drop.Default = nstest.Drop
				set(h, drop)
				Expect(outcomeOf(exchange(second, silence))).To(Equal(silent))

				By("taking it away")
				set(h, nstest.Firewall{})
				Expect(exchange(connect(p.client, a, 80), patience)).To(Succeed())
			}
		}
	})

	It("comes into force at one instant", func() {
		const changes = 200
		p := newPlace()
		// Port 80 is open by either, and port 81 by neither.
		sets := []nstest.Firewall{
			{Default: nstest.Drop, Rules: []nstest.FirewallRule{{Protocol: "udp", Ports: ports(80)}}},
			{Default: nstest.Allow, Rules: []nstest.FirewallRule{{Verdict: nstest.Drop, Protocol: "udp", Ports: ports(81)}}},
		}
		var arrived atomic.Int64
		closed, err := p.server.ListenPacket("udp", ":8181")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(closed.Close)
		go func() {
			for b := make([]byte, 100); ; {
				if _, _, err := closed.ReadFrom(b); err != nil {
					return
				}
				arrived.Add(1)
			}
		}()
		sets[1].Rules[0].Ports = ports(8181)
		set(p.server, sets[0])

		stop := make(chan struct{})
		var wg sync.WaitGroup
		var answers, attempts atomic.Int64
		failed := make(chan error, 4)
		until := func(f func() error) {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if err := f(); err != nil {
						failed <- err
						return
					}
				}
			})
		}
		for _, to := range addrs(p.server) {
			until(func() error {
				got, err := probe{p.client, "udp", to, 80}.try(patience)
				if got != answered {
					return fmt.Errorf("port 80 was closed for a moment: %s, %w", got, err)
				}
				answers.Add(1)
				return nil
			})
			c, err := p.client.DialContext(context.Background(), "udp", netip.AddrPortFrom(to, 8181).String())
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(c.Close)
			until(func() error {
				_, err := c.Write([]byte("let me in"))
				attempts.Add(1)
				return err
			})
		}
		for i := range changes {
			set(p.server, sets[(i+1)%2])
		}
		close(stop)
		wg.Wait()
		close(failed)
		var errs []error
		for err := range failed {
			errs = append(errs, err)
		}
		Expect(errors.Join(errs...)).NotTo(HaveOccurred())
		Expect(answers.Load()).To(BeNumerically(">", 0))
		Expect(attempts.Load()).To(BeNumerically(">", changes))
		Expect(arrived.Load()).To(BeZero(), "packets came through port 8181, of %d", attempts.Load())

		By("the control: without a firewall, they come")
		set(p.server, nstest.Firewall{})
		for _, to := range addrs(p.server) {
			before := arrived.Load()
			c, err := p.client.DialContext(context.Background(), "udp", netip.AddrPortFrom(to, 8181).String())
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(c.Close)
			Eventually(func() (int64, error) {
				_, err := c.Write([]byte("let me in"))
				return arrived.Load(), err
			}).Should(BeNumerically(">", before))
		}
	})

	It("that lets everything through leaves nothing behind", func() {
		p := newPlace()
		tables := func() (names []string) {
			GinkgoHelper()
			Expect(p.router.Do(func() error {
				c, err := nftables.New()
				if err != nil {
					return err
				}
				list, err := c.ListTables()
				for _, t := range list {
					names = append(names, t.Name)
				}
				return err
			})).To(Succeed())
			return names
		}
		Expect(tables()).To(BeEmpty())
		set(p.router.Host, nstest.Firewall{Default: nstest.Drop})
		Expect(tables()).To(HaveLen(1))
		set(p.router.Host, nstest.Firewall{})
		Expect(tables()).To(BeEmpty())
		set(p.router.Host, nstest.Firewall{})
	})

	It("that is refused leaves the one before in force", func() {
		p := newPlace()
		set(p.server, nstest.Firewall{Default: nstest.Reject})
		Expect(p.server.SetFirewall(nstest.Firewall{Rules: []nstest.FirewallRule{{From: "nobody"}}})).NotTo(Succeed())
		probe{p.client, "tcp", addrs(p.server)[0], 80}.ends(refused)
	})

	It("is for the environment's own host too", func() {
		p := newPlace()
		self := nstest.Current().Self()
		echo(self, 80)
		lan := host("peer", "lan", "home")
		for _, to := range addrs(self) {
			set(self, nstest.Firewall{})
			probe{lan, "tcp", to, 80}.ends(answered)
			set(self, nstest.Firewall{Rules: []nstest.FirewallRule{{Verdict: nstest.Reject, To: "self"}}})
			probe{lan, "tcp", to, 80}.ends(refused)
		}
		_ = p
	})
})
