package firewall_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest"
)

// tell has a host tell its name, and by which address it knows the caller, to who comes to a port.
func tell(h *nstest.Host, port uint16) {
	GinkgoHelper()
	l, err := h.Listen("tcp", fmt.Sprintf(":%d", port))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(l.Close)
	go serve(l, func(c net.Conn) {
		caller := netip.MustParseAddrPort(c.RemoteAddr().String()).Addr().Unmap()
		_, _ = fmt.Fprintf(c, "%s knows %s", h.Name(), caller)
	})
}

// ask is what the caller is told at an address.
func ask(from *nstest.Host, to netip.Addr, port uint16) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := from.DialContext(ctx, "tcp", netip.AddrPortFrom(to, port).String())
	if err != nil {
		return "", err
	}
	defer c.Close()
	said, err := io.ReadAll(c)
	return string(said), err
}

// web serves HTTP on a host.
func web(h *nstest.Host, address string, f http.HandlerFunc) {
	GinkgoHelper()
	l, err := h.Listen("tcp", address)
	Expect(err).NotTo(HaveOccurred())
	s := &http.Server{Handler: f}
	DeferCleanup(s.Close)
	go func() { _ = s.Serve(l) }()
}

func get(h *nstest.Host, url string) (string, error) {
	r, err := h.HTTPClient().Get(url)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	page, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", r.Status, page)
	}
	return string(page), err
}

var _ = Describe("A portal", func() {
	var client, guest, server *nstest.Host
	var gate *nstest.Router

	BeforeEach(func() {
		for _, n := range []string{"home", "office", "dmz"} {
			network(n)
		}
		client, guest, server = host("client", "home"), host("guest", "home"), host("server", "office")
		gate = router("gate", "home", "office", "dmz")
		tell(server, 80)
		echo(server, 82)
	})

	// leading leads what is for a port to a portal, of both families, but not from those that are let through.
	leading := func(port uint16, portal []netip.Addr, let ...string) nstest.Firewall {
		f := nstest.Firewall{Default: nstest.Reject}
		for _, name := range let {
			f.Rules = append(f.Rules, nstest.FirewallRule{Direction: nstest.Through, From: name})
		}
		for _, a := range portal {
			f.Rules = append(f.Rules, nstest.FirewallRule{Direction: nstest.Through, Protocol: "tcp", Ports: ports(port), Redirect: netip.AddrPortFrom(a, 8080)})
		}
		return f
	}
	// meets expects who answers a host that asks the server, and whom it sees.
	meets := func(from *nstest.Host, who string, sees ...netip.Addr) {
		GinkgoHelper()
		for i, to := range addrs(server) {
			said, err := ask(from, to, 80)
			Expect(err).NotTo(HaveOccurred())
			Expect(said).To(Equal(who + " knows " + sees[i].String()))
		}
	}

	for _, where := range []string{"the router itself", "another network", "the clients' network"} {
		It("on "+where+" gets what hosts ask of others, until they are let through", func() {
			portal, seen := gate.Host, addrs(client)
			switch where {
			case "another network":
				portal = host("portal", "dmz")
			case "the clients' network":
				portal, seen = host("portal", "home"), gate.Link("home").Addrs()
			}
			tell(portal, 8080)
			meets(client, "server", addrs(client)...)
			set(gate.Host, leading(80, addrs(portal)))
			for _, to := range addrs(server) {
				probe{client, "tcp", to, 82}.ends(refused)
				probe{client, "icmp", to, 0}.ends(refused)
			}
			meets(client, portal.Name(), seen...)

			By("letting the client through, and not the guest")
			set(gate.Host, leading(80, addrs(portal), "client"))
			meets(client, "server", addrs(client)...)
			for _, to := range addrs(server) {
				probe{client, "tcp", to, 82}.ends(answered)
				said, err := ask(guest, to, 80)
				Expect(err).NotTo(HaveOccurred())
				Expect(said).To(HavePrefix(portal.Name() + " knows "))
				probe{guest, "tcp", to, 82}.ends(refused)
			}
		})
	}

	It("logs a client in while others go on asking", func() {
		web(server, ":8000", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "welcome") })
		var mu sync.Mutex
		var let []string
		portal := addrs(gate.Host)
		web(gate.Host, ":8080", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/login" {
				_, _ = io.WriteString(w, "log in to see "+r.Host)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			let = append(let, netip.MustParseAddrPort(r.RemoteAddr).Addr().Unmap().String())
			if err := gate.SetFirewall(leading(8000, portal, let...)); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
		})
		set(gate.Host, leading(8000, portal))
		for _, to := range addrs(server) {
			url := "http://" + netip.AddrPortFrom(to, 8000).String()
			wall := "log in to see " + netip.AddrPortFrom(to, 8000).String()
			Expect(get(client, url)).To(Equal(wall))

			stop, asked := make(chan struct{}), make(chan error, 1)
			begun := make(chan struct{})
			go func() {
				for n := 0; ; n++ {
					if n == 1 {
						close(begun)
					}
					select {
					case <-stop:
						close(asked)
						return
					default:
					}
					if page, err := get(guest, url); err != nil || page != wall {
						asked <- fmt.Errorf("the guest got %q, %w", page, err)
						return
					}
				}
			}()
			Eventually(begun).Should(BeClosed(), "the guest has asked nothing")
			Expect(get(client, url+"/login")).To(BeEmpty())
			for range 20 {
				Expect(get(client, url)).To(Equal("welcome"))
			}
			close(stop)
			Eventually(asked, patience).Should(BeClosed())
		}
	})

	It("cuts whoever is not let through any more, and goes on with whom it has led", func() {
		echo(server, 8000)
		echo(gate.Host, 8080)
		lead := func(let ...string) nstest.Firewall { return leading(8000, addrs(gate.Host), let...) }
		for _, to := range addrs(server) {
			set(gate.Host, lead("client", "guest"))
			mine, theirs := connect(client, to, 8000), connect(guest, to, 8000)

			By("letting nobody but the client through")
			set(gate.Host, lead("client"))
			Expect(exchange(mine, patience)).To(Succeed())
			Expect(outcomeOf(exchange(theirs, patience))).To(Equal(refused))

			By("letting the guest through who has been led to the portal")
			led := connect(guest, to, 8000)
			Expect(exchange(led, patience)).To(Succeed())
			set(gate.Host, lead("guest"))
			Expect(exchange(led, patience)).To(Succeed())
			Expect(outcomeOf(exchange(mine, patience))).To(Equal(refused))
		}
	})

	It("works for what is for the host itself, and for what it asks", func() {
		tell(server, 8080)
		tell(client, 80)
		redirect := func(d nstest.Direction, port uint16, portal []netip.Addr) (f nstest.Firewall) {
			for _, a := range portal {
				f.Rules = append(f.Rules, nstest.FirewallRule{Direction: d, Protocol: "tcp", Ports: ports(port), Redirect: netip.AddrPortFrom(a, 8080)})
			}
			f.Default = nstest.Reject
			return f
		}
		set(server, redirect(nstest.In, 1234, addrs(server)))
		for i, to := range addrs(server) {
			Expect(ask(client, to, 1234)).To(Equal("server knows " + addrs(client)[i].String()))
			probe{client, "tcp", to, 82}.ends(refused)
		}
		set(server, nstest.Firewall{})
		set(client, redirect(nstest.Out, 80, addrs(server)))
		for i, to := range addrs(guest) {
			Expect(ask(client, to, 80)).To(Equal("server knows " + addrs(client)[i].String()))
			Expect(ask(client, addrs(client)[i], 80)).To(HavePrefix("client knows "), "what it says to itself")
			probe{client, "tcp", addrs(server)[i], 82}.ends(refused)
		}
	})
})
