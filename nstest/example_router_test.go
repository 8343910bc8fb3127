package nstest_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"

	"github.com/hermetic-go/nstest/nstest"
)

// A router connects two networks. Their hosts find it by their default routes, also those that were there before.
func ExampleEnv_AddRouter() {
	env, err := nstest.Open(context.Background(), nstest.Config{
		Network: nstest.NetworkConfig{Name: "office", Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer env.Close()
	if _, err := env.AddNetwork(nstest.NetworkConfig{Name: "lab", Prefixes: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}}); err != nil {
		log.Fatal(err)
	}
	bench, err := env.AddHost(nstest.HostConfig{Name: "bench", Networks: []nstest.Attachment{{Network: "lab"}}})
	if err != nil {
		log.Fatal(err)
	}
	l, err := bench.Listen("tcp4", ":7")
	if err != nil {
		log.Fatal(err)
	}
	go tellCaller(l)
	dial := func() {
		c, err := env.Self().DialContext(context.Background(), "tcp4", "bench:7")
		if err != nil {
			fmt.Println(err)
			return
		}
		defer c.Close()
		said, err := io.ReadAll(c)
		fmt.Println(string(said), err)
	}

	dial()
	router, err := env.AddRouter(nstest.RouterConfig{Name: "router", Networks: []nstest.Attachment{{Network: "office"}, {Network: "lab"}}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(router.Addr(), env.Network("lab").Gateway())
	dial()
	// Output:
	// dial tcp4 198.51.100.2:7: connect: network is unreachable
	// 192.0.2.1 198.51.100.1
	// hello, 192.0.2.2 <nil>
}

// A home is behind a NAT: servers see the router's address, and reach what a port leads to, but nothing else.
func ExampleNAT() {
	env, err := nstest.Open(context.Background(), nstest.Config{Network: nstest.NetworkConfig{Name: "internet", NoIPv6: true}})
	if err != nil {
		log.Fatal(err)
	}
	defer env.Close()
	if _, err := env.AddNetwork(nstest.NetworkConfig{Name: "home", NoIPv6: true}); err != nil {
		log.Fatal(err)
	}
	camera, err := env.AddHost(nstest.HostConfig{Name: "camera", Networks: []nstest.Attachment{{Network: "home"}}})
	if err != nil {
		log.Fatal(err)
	}
	box, err := env.AddRouter(nstest.RouterConfig{
		Name: "box", Networks: []nstest.Attachment{{Network: "home"}, {Network: "internet"}},
		NAT: []nstest.NAT{{
			Outside: "internet", Kind: nstest.FullCone,
			Forwards: []nstest.Forward{{Network: "tcp", Port: 8080, To: netip.AddrPortFrom(camera.Addr(), 80)}},
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	for host, address := range map[*nstest.Host]string{env.Self(): ":7", camera: ":80"} {
		l, err := host.Listen("tcp", address)
		if err != nil {
			log.Fatal(err)
		}
		go tellCaller(l)
	}
	outside := box.Link("internet").Addrs()[0].String()
	dial := func(from *nstest.Host, address string) {
		c, err := from.DialContext(context.Background(), "tcp", address)
		if err != nil {
			fmt.Println(err)
			return
		}
		defer c.Close()
		said, err := io.ReadAll(c)
		fmt.Println(string(said), err)
	}

	fmt.Println("the camera has", camera.Addr(), "and the box", outside)
	dial(camera, "self:7")
	dial(env.Self(), net.JoinHostPort(outside, "8080"))
	dial(env.Self(), "camera:80")
	// Output:
	// the camera has 10.2.0.2 and the box 10.1.0.3
	// hello, 10.1.0.3 <nil>
	// hello, 10.1.0.2 <nil>
	// dial tcp 10.2.0.2:80: connect: network is unreachable
}

// tellCaller tells everybody who calls the address that the call comes from.
func tellCaller(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
		fmt.Fprintf(c, "hello, %s", host)
		c.Close()
	}
}
