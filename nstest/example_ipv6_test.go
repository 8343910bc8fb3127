package nstest_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/hermetic-go/nstest/nstest"
)

// pair is an environment with the networks in and out and a host, with the same name as its network, on each.
func pair(inside, outside nstest.NetworkConfig, auto bool) (*nstest.Env, *nstest.Host, *nstest.Host) {
	inside.Name, outside.Name = "in", "out"
	env, err := nstest.Open(context.Background(), nstest.Config{Network: inside})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := env.AddNetwork(outside); err != nil {
		log.Fatal(err)
	}
	in, err := env.AddHost(nstest.HostConfig{Name: "in", Networks: []nstest.Attachment{{Network: "in", Auto: auto}}})
	if err != nil {
		log.Fatal(err)
	}
	out, err := env.AddHost(nstest.HostConfig{Name: "out", Networks: []nstest.Attachment{{Network: "out"}}})
	if err != nil {
		log.Fatal(err)
	}
	return env, in, out
}

// answer has a host answer HTTP with the address of whoever asks.
func answer(h *nstest.Host) {
	l, err := h.Listen("tcp", ":80")
	if err != nil {
		log.Fatal(err)
	}
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "you are %s", netip.MustParseAddrPort(r.RemoteAddr).Addr().Unmap())
	}))
}

// ask returns the answer to a host, or how it failed.
func ask(h *nstest.Host, address string) string {
	resp, err := h.HTTPClient().Get("http://" + net.JoinHostPort(address, "80"))
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return string(body)
}

// A host that is Auto has no address until a router tells it of a prefix.
func ExampleRouter_Advertise() {
	env, in, out := pair(nstest.NetworkConfig{Prefixes: []netip.Prefix{netip.MustParsePrefix("2001:db8:1::/64")}, NoIPv4: true},
		nstest.NetworkConfig{Prefixes: []netip.Prefix{netip.MustParsePrefix("2001:db8:2::/64")}, NoIPv4: true}, true)
	defer env.Close()
	answer(out)
	router, err := env.AddRouter(nstest.RouterConfig{Name: "router", Networks: []nstest.Attachment{{Network: "in"}, {Network: "out"}}})
	if err != nil {
		log.Fatal(err)
	}
	if err := router.Advertise(nstest.Advertisement{Network: "in", MTU: 1400}); err != nil {
		log.Fatal(err)
	}
	for range time.Tick(10 * time.Millisecond) { // the host makes its address in the background
		c, err := in.DialContext(context.Background(), "tcp", "[2001:db8:2::2]:80")
		if err == nil {
			c.Close()
			break
		}
	}
	fmt.Println(in.Addrs(), in.Link("").MAC())
	fmt.Println(ask(in, "2001:db8:2::2"))
	// Output:
	// [] 02:61:00:00:00:01
	// you are 2001:db8:1:0:61:ff:fe00:1
}

// A host with IPv6 alone reaches one with IPv4 alone.
func ExampleNAT64() {
	env, in, out := pair(nstest.NetworkConfig{NoIPv4: true}, nstest.NetworkConfig{Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, NoIPv6: true}, false)
	defer env.Close()
	answer(out)
	_, err := env.AddRouter(nstest.RouterConfig{
		Name:     "router",
		Networks: []nstest.Attachment{{Network: "in"}, {Network: "out", Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.64")}}},
		NAT64:    &nstest.NAT64{Outside: "out"},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(out.Addr())
	fmt.Println(ask(in, "64:ff9b::192.0.2.2"))
	// Output:
	// 192.0.2.2
	// you are 192.0.2.64
}

// NPTv6 gives each host of a private prefix an address of a public one, at which it is reached.
func ExampleNAT_nptv6() {
	env, in, out := pair(nstest.NetworkConfig{Prefixes: []netip.Prefix{netip.MustParsePrefix("fd01:203:405:1::/64")}, NoIPv4: true},
		nstest.NetworkConfig{Prefixes: []netip.Prefix{netip.MustParsePrefix("2001:db8:2::/64")}, NoIPv4: true}, false)
	defer env.Close()
	answer(in)
	answer(out)
	public := netip.MustParsePrefix("2001:db8:1::/48")
	router, err := env.AddRouter(nstest.RouterConfig{
		Name:     "router",
		Networks: []nstest.Attachment{{Network: "in"}, {Network: "out"}},
		NAT:      []nstest.NAT{{Outside: "out", NPTv6: public}},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := out.AddRoute(nstest.Route{To: public, Via: router.Link("out").Addrs()[0]}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(in.Addr())
	fmt.Println(ask(in, "2001:db8:2::2"))
	fmt.Println(ask(out, "2001:db8:1:d550::3"))
	// Output:
	// fd01:203:405:1::3
	// you are 2001:db8:1:d550::3
	// you are 2001:db8:2::2
}
