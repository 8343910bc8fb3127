package nstest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/netip"
	"syscall"

	"github.com/hermetic-go/nstest/nstest"
)

// A server that is open for the web to everybody, for the rest to nobody, and may itself ask whom it likes.
func ExampleHost_SetFirewall() {
	env, err := nstest.Open(context.Background(), nstest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer env.Close()
	server, err := env.AddHost(nstest.HostConfig{Name: "server"})
	if err != nil {
		log.Fatal(err)
	}
	for _, address := range []string{":80", ":5432"} {
		l, err := server.Listen("tcp", address)
		if err != nil {
			log.Fatal(err)
		}
		defer l.Close()
	}
	err = server.SetFirewall(nstest.Firewall{
		Rules: []nstest.FirewallRule{
			{Verdict: nstest.Allow, Direction: nstest.In, Protocol: "tcp", Ports: []nstest.PortRange{{First: 80}}},
			{Verdict: nstest.Reject, Direction: nstest.In},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, address := range []string{"server:80", "server:5432"} {
		_, err := env.Self().DialContext(context.Background(), "tcp", address)
		fmt.Println(address, err == nil, errors.Is(err, syscall.ECONNREFUSED))
	}
	// Output:
	// server:80 true false
	// server:5432 false true
}

// A portal that asks guests for their name: what they send to any web server is led to it until they are let through.
func ExampleFirewallRule_portal() {
	env, err := nstest.Open(context.Background(), nstest.Config{Network: nstest.NetworkConfig{Name: "hotel", NoIPv6: true}})
	if err != nil {
		log.Fatal(err)
	}
	defer env.Close()
	if _, err := env.AddNetwork(nstest.NetworkConfig{Name: "internet", NoIPv6: true}); err != nil {
		log.Fatal(err)
	}
	router, err := env.AddRouter(nstest.RouterConfig{Name: "router", Networks: []nstest.Attachment{{Network: "hotel"}, {Network: "internet"}}})
	if err != nil {
		log.Fatal(err)
	}
	server, err := env.AddHost(nstest.HostConfig{Name: "server", Networks: []nstest.Attachment{{Network: "internet"}}})
	if err != nil {
		log.Fatal(err)
	}
	serve := func(h *nstest.Host, address, page string) {
		l, err := h.Listen("tcp", address)
		if err != nil {
			log.Fatal(err)
		}
		go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, page) }))
	}
	serve(server, ":80", "welcome")
	serve(router.Host, ":8080", "who are you?")

	portal := nstest.FirewallRule{
		Direction: nstest.Through, Protocol: "tcp", Ports: []nstest.PortRange{{First: 80}},
		Redirect: netip.AddrPortFrom(router.Addr(), 8080),
	}
	for _, rules := range [][]nstest.FirewallRule{{portal}, {{Direction: nstest.Through, From: "self"}, portal}} {
		if err := router.SetFirewall(nstest.Firewall{Rules: rules, Default: nstest.Reject}); err != nil {
			log.Fatal(err)
		}
		resp, err := env.Self().HTTPClient().Get("http://server/")
		if err != nil {
			log.Fatal(err)
		}
		page, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		fmt.Println(string(page), err)
	}
	// Output:
	// who are you? <nil>
	// welcome <nil>
}
