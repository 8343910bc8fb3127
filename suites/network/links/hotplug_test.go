package links_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/internal/rtnetlink"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func devices(h *nstest.Host) []string {
	GinkgoHelper()
	list := in(h, rtnetlink.Links)
	var names []string
	for _, l := range list {
		names = append(names, fmt.Sprintf("%d %s", l.Index, l.Name))
	}
	return names
}

var _ = Describe("A link that is added", func() {
	It("to the host of the spec comes before the eyes of its processes, and is ready at once", func(ctx context.Context) {
		env := nstest.Current()
		dmz := network("dmz")
		web := hostOn("web", "dmz")
		echo(web)
		w := watch(env.Self())
		before := len(env.Self().Addrs())

		l := plug(env.Self(), nstest.Attachment{Network: "dmz"})
		Expect(l.Interface()).To(Equal("eth1"))
		Expect(l.Network()).To(Equal("dmz"))
		for _, a := range l.Addrs() {
			Expect(slices.ContainsFunc(dmz.Prefixes(), func(p netip.Prefix) bool { return p.Contains(a) })).To(BeTrue(), "%s", a)
		}
		awaitEvent(ctx, w, "eth1 with a carrier", func(e rtnetlink.Event) bool {
			return e.Kind == "RTM_NEWLINK" && e.Link.Name == "eth1" && e.Link.Up && e.Link.Carrier
		})
		for _, a := range web.Addrs() {
			reach(env.Self(), a)
		}
		own, err := net.InterfaceByName("eth1") // this process is the host
		Expect(err).NotTo(HaveOccurred())
		Expect(own.HardwareAddr.String()).To(Equal(l.MAC()))
		Expect(env.Self().Addrs()).To(HaveLen(before + 2))
		Expect(dmz.Hosts()).To(ContainElement(env.Self()))
		for _, name := range []string{"self", "spec"} {
			Expect(addrsOf(web, name)).To(ContainElements(l.Addrs()), "DNS: %s", name)
		}
		Expect(hostsFile(env.Self())).To(ContainSubstring(l.Addrs()[0].String()))
	})

	It("is the first one of an environment without a network", nstest.With(nstest.Config{Loopback: true}), func() {
		env := nstest.Current()
		Expect(env.Self().Links()).To(BeEmpty())
		_, err := env.Self().AddLink(nstest.Attachment{})
		Expect(err).To(MatchError(ContainSubstring("the environment has no network")))
		network("dmz")
		web := hostOn("web", "dmz")
		echo(web)
		Expect(plug(env.Self(), nstest.Attachment{Network: "dmz"}).Interface()).To(Equal("eth0"))
		reach(env.Self(), web.Addr())
		Expect(addrsOf(web, "self")).To(ConsistOf(env.Self().Addrs()))
	})

	It("to another host comes before the eyes of its processes", func(ctx context.Context) {
		network("dmz")
		web, client := hostOn("web"), hostOn("client", "dmz")
		echo(web)
		w := watch(web)
		l := plug(web, nstest.Attachment{Network: "dmz"})
		awaitEvent(ctx, w, "eth1 with a carrier", func(e rtnetlink.Event) bool { return e.Link.Name == "eth1" && e.Link.Carrier })
		for _, a := range l.Addrs() {
			reach(client, a)
		}
		Expect(addrsOf(client, "web")).To(ConsistOf(web.Addrs()))
		Expect(hostsFile(web)).To(ContainSubstring(l.Addrs()[0].String() + "\tweb"))
	})

	It("has the MAC and IP addresses that were asked for", func() {
		web := hostOn("web")
		want := network("dmz").Prefixes()[0].Addr().Next().Next().Next().Next()
		l := plug(web, nstest.Attachment{Network: "dmz", MAC: "02:00:5e:10:00:01", Addrs: []netip.Addr{want}})
		Expect(l.Addrs()).To(ContainElement(want))
		Expect(l.MAC()).To(Equal("02:00:5e:10:00:01"))
		Expect(in(web, func() (string, error) {
			d, err := net.InterfaceByName("eth1")
			return d.HardwareAddr.String(), err
		})).To(Equal("02:00:5e:10:00:01"))
	})

	It("has a device whose name and number nothing else has", func() {
		for _, n := range []string{"one", "two", "three"} {
			network(n)
		}
		web := hostOn("web")
		Expect(devices(web)).To(Equal([]string{"1 lo", "2 eth0"}))
		By("having a process take the name eth1, as a device that gets the number 3")
		in(web, func() (any, error) { return nil, rtnetlink.Add("eth1", "bridge") })
		Expect(plug(web, nstest.Attachment{Network: "one"}).Interface()).To(Equal("eth2"))
		in(web, func() (any, error) { return nil, rtnetlink.Delete("eth1") })
		Expect(plug(web, nstest.Attachment{Network: "two"}).Interface()).To(Equal("eth1"), "what is free again is used again")
		Expect(web.Link("one").Remove()).To(Succeed())
		Expect(plug(web, nstest.Attachment{Network: "three"}).Interface()).To(Equal("eth2"))
		Expect(devices(web)).To(ConsistOf("1 lo", "2 eth0", "3 eth1", "4 eth2"))
		Expect(web.Links()).To(HaveExactElements(HaveField("Interface()", "eth0"), HaveField("Interface()", "eth1"), HaveField("Interface()", "eth2")))
	})

	It("is kept by the partitions in force from whom they keep its host", func() {
		env := nstest.Current()
		network("dmz")
		a, b, c := hostOn("a"), hostOn("b", "dmz"), hostOn("c", "dmz")
		echo(a, b)
		fault := env.Partition([]*nstest.Host{a}, []*nstest.Host{b})
		l := plug(a, nstest.Attachment{Network: "dmz"})
		for _, addr := range l.Addrs() {
			reach(c, addr)
			notReach(b, addr)
		}
		fault.Heal()
		for _, addr := range b.Addrs() {
			reach(a, addr)
		}
	})

	It("can be one of many at the same time", func() {
		env := nstest.Current()
		network("dmz")
		hosts := []*nstest.Host{env.Self()}
		for i := range 5 {
			hosts = append(hosts, hostOn(fmt.Sprintf("h%d", i)))
		}
		echo(hosts...)
		const rounds = 3
		for range rounds {
			var wg sync.WaitGroup
			errs := make(chan error, 2*len(hosts))
			for _, h := range hosts {
				wg.Go(func() {
					l, err := h.AddLink(nstest.Attachment{Network: "dmz"})
					if err != nil {
						errs <- err
						return
					}
					errs <- l.Remove()
				})
				wg.Go(func() { errs <- h.Link("lan").SetMTU(1400) })
			}
			wg.Wait()
			close(errs)
			for err := range errs {
				Expect(err).NotTo(HaveOccurred())
			}
		}
		Expect(env.Network("dmz").Hosts()).To(BeEmpty())
		for _, h := range hosts[1:] {
			Expect(devices(h)).To(Equal([]string{"1 lo", "2 eth0"}))
			reach(env.Self(), h.Addr())
		}
	})
})

var _ = Describe("A link that is removed", func() {
	It("goes before the eyes of the processes, with its addresses", func(ctx context.Context) {
		env := nstest.Current()
		web := hostOn("web")
		echo(web)
		reach(env.Self(), web.Addr())
		network("dmz")
		l := plug(web, nstest.Attachment{Network: "dmz"})
		gone, kept := l.Addrs(), web.Link("lan").Addrs()
		w := watch(web)
		Expect(l.Remove()).To(Succeed())
		awaitEvent(ctx, w, "eth1 goes", func(e rtnetlink.Event) bool { return e.Kind == "RTM_DELLINK" && e.Link.Name == "eth1" })
		Expect(addrsOf(env.Self(), "web")).To(ConsistOf(kept))
		Expect(hostsFile(web)).NotTo(ContainSubstring(gone[0].String()))
		Expect(devices(web)).To(Equal([]string{"1 lo", "2 eth0"}))
		reach(env.Self(), web.Addr())

		By("giving its addresses to another")
		Expect(hostOn("next", "dmz").Addrs()).To(Equal(gone))
	})

	It("can be the last one", func() {
		env := nstest.Current()
		web := hostOn("web")
		echo(web)
		was := web.Addr()
		reach(env.Self(), was)
		Expect(web.Link("").Remove()).To(Succeed())
		Expect(devices(web)).To(Equal([]string{"1 lo"}))
		Expect(addrsOf(env.Self(), "web")).To(BeEmpty())
		notReach(env.Self(), was)
		Expect(web.Addr().IsValid()).To(BeFalse())
		Expect(func() { web.Link("") }).To(PanicWith(ContainSubstring("has no link: AddLink makes one")))

		By("plugging in another")
		Expect(plug(web, nstest.Attachment{}).Interface()).To(Equal("eth0"))
		reach(env.Self(), web.Addr())
	})

	It("is an error afterwards", func() {
		web := hostOn("web")
		l := web.Link("")
		Expect(l.Remove()).To(Succeed())
		plug(web, nstest.Attachment{})
		for _, err := range []error{l.Remove(), l.Up(), l.Down(), l.Move("lan"), l.Renew(), l.SetMTU(1400)} {
			Expect(err).To(MatchError(ContainSubstring("was removed")))
		}
	})

	It("need not exist any more", func() {
		network("dmz")
		web := hostOn("web")
		l := plug(web, nstest.Attachment{Network: "dmz"})
		in(web, func() (any, error) { return nil, rtnetlink.Delete("eth1") })
		Expect(l.Remove()).To(Succeed())
		Expect(plug(web, nstest.Attachment{Network: "dmz"}).Interface()).To(Equal("eth1"))
	})
})
