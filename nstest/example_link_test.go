package nstest_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"

	"github.com/hermetic-go/nstest/nstest"
)

// A laptop is carried from the office to the café: its device stays the same, and its address is no good there until it is
// renewed.
func ExampleLink_Move() {
	env, err := nstest.Open(context.Background(), nstest.Config{
		Network: nstest.NetworkConfig{Name: "office", Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, NoIPv6: true},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer env.Close()
	if _, err := env.AddNetwork(nstest.NetworkConfig{Name: "cafe", Prefixes: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}, NoIPv6: true}); err != nil {
		log.Fatal(err)
	}
	laptop, err := env.AddHost(nstest.HostConfig{Name: "laptop"})
	if err != nil {
		log.Fatal(err)
	}

	link := laptop.Link("office")
	fmt.Println(link.Interface(), link.Network(), link.Addrs())
	if err := link.Move("cafe"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(link.Interface(), link.Network(), link.Addrs())
	if err := link.Renew(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(link.Interface(), link.Network(), link.Addrs())
	// Output:
	// eth0 office [192.0.2.3]
	// eth0 cafe [192.0.2.3]
	// eth0 cafe [198.51.100.2]
}

func ExampleHost_Handle() {
	env, err := nstest.Open(context.Background(), nstest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer env.Close()
	web, err := env.AddHost(nstest.HostConfig{Name: "web"})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := web.Handle(":80", http.NotFoundHandler()); err != nil {
		log.Fatal(err)
	}
	resp, err := env.Self().HTTPClient().Get("http://web/")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 404 Not Found
}

func ExampleHost_HandleConn() {
	env, err := nstest.Open(context.Background(), nstest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer env.Close()
	clock, err := env.AddHost(nstest.HostConfig{Name: "clock"})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := clock.HandleConn("tcp", ":13", func(c net.Conn) { fmt.Fprint(c, "noon") }); err != nil {
		log.Fatal(err)
	}
	c, err := env.Self().DialContext(context.Background(), "tcp", "clock:13")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	text, err := io.ReadAll(c)
	fmt.Println(string(text), err)
	// Output: noon <nil>
}
