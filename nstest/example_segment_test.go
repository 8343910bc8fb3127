package nstest_test

import (
	"context"
	"fmt"
	"log"

	"github.com/hermetic-go/nstest/nstest"
)

// Two switches, cabled together, are one segment: hosts have addresses of the same prefix, and reach each other while the
// trunk is plugged in.
func ExampleNetwork_Trunk() {
	env, err := nstest.Open(context.Background(), nstest.Config{Network: nstest.NetworkConfig{Name: "office"}})
	if err != nil {
		log.Fatal(err)
	}
	defer env.Close()
	lab, err := env.AddNetwork(nstest.NetworkConfig{Name: "lab", Trunks: []string{"office"}})
	if err != nil {
		log.Fatal(err)
	}
	web, err := env.AddHost(nstest.HostConfig{Name: "web", Networks: []nstest.Attachment{{Network: "lab"}}})
	if err != nil {
		log.Fatal(err)
	}
	l, err := web.Listen("tcp", ":80")
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	fmt.Println(env.Self().Addr(), web.Addr())

	_, err = env.Self().DialContext(context.Background(), "tcp", "web:80")
	fmt.Println("through the trunk:", err)
	err = lab.Trunk("office").Down()
	fmt.Println("pulled:", err)

	_, err = env.AddNetwork(nstest.NetworkConfig{Name: "hall", Trunks: []string{"office", "lab"}})
	fmt.Println(err)
	// Output:
	// 10.1.0.2 10.1.0.3
	// through the trunk: <nil>
	// pulled: <nil>
	// nstest: add network hall: networks office, lab and hall form a loop: set STP on each
}

// A network of virtual machines over one of their hypervisors: its frames are UDP packets between those.
func ExampleVXLAN() {
	env, err := nstest.Open(context.Background(), nstest.Config{Network: nstest.NetworkConfig{Name: "underlay"}})
	if err != nil {
		log.Fatal(err)
	}
	defer env.Close()
	if _, err := env.AddNetwork(nstest.NetworkConfig{Name: "cloud", Medium: nstest.VXLAN, Over: "underlay", VNI: 42}); err != nil {
		log.Fatal(err)
	}
	both := []nstest.Attachment{{Network: "underlay"}, {Network: "cloud"}}
	a, err := env.AddHost(nstest.HostConfig{Name: "a", Networks: both})
	if err != nil {
		log.Fatal(err)
	}
	b, err := env.AddHost(nstest.HostConfig{Name: "b", Networks: both})
	if err != nil {
		log.Fatal(err)
	}
	l, err := b.Listen("tcp", ":80")
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	address := b.Link("cloud").Addrs()[0]
	_, err = a.DialContext(context.Background(), "tcp", address.String()+":80")
	fmt.Println(a.Link("cloud").Interface(), address, err)
	// Output: eth1 10.2.0.3 <nil>
}
