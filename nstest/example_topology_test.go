package nstest_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/hermetic-go/nstest/nstest"
)

// What an environment looks like now, as a text. DOT and SVG give drawings.
func ExampleEnv_Topology() {
	env, err := nstest.Open(context.Background(), nstest.Config{Name: "shop"})
	if err != nil {
		log.Fatal(err)
	}
	defer env.Close()
	if _, err := env.AddNetwork(nstest.NetworkConfig{Name: "back", NoIPv6: true}); err != nil {
		log.Fatal(err)
	}
	if _, err := env.AddRouter(nstest.RouterConfig{Name: "gate", Networks: []nstest.Attachment{{Network: "lan"}, {Network: "back"}}}); err != nil {
		log.Fatal(err)
	}
	db, err := env.AddHost(nstest.HostConfig{Name: "db", Networks: []nstest.Attachment{{Network: "back"}}})
	if err != nil {
		log.Fatal(err)
	}
	if err := db.Link("").Down(); err != nil {
		log.Fatal(err)
	}

	top, err := env.Topology()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(top)
	if err := os.WriteFile(os.DevNull, []byte(top.SVG()), 0o644); err != nil { // a file for a browser
		log.Fatal(err)
	}
	// Output:
	// shop: 2 networks, 2 hosts, 1 router
	// networks
	//   lan   10.1.0.0/16  fd6e:7374:6573:7401::/64  gateway 10.1.0.1 fd6e:7374:6573:7401::1
	//   back  10.2.0.0/16  gateway 10.2.0.1
	// hosts
	//   self  eth0  lan   10.1.0.2  fd6e:7374:6573:7401::2  02:42:0a:01:00:02
	//   db    eth0  back  10.2.0.2                          02:42:0a:02:00:02  down
	// routers
	//   gate  eth0  lan   10.1.0.1  fd6e:7374:6573:7401::1  02:42:0a:01:00:01
	//         eth1  back  10.2.0.1                          02:42:0a:02:00:01
}

// What there is, for code that has been handed an environment and nothing else.
func ExampleEnv_Hosts() {
	env, err := nstest.Open(context.Background(), nstest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer env.Close()
	if _, err := env.AddNetwork(nstest.NetworkConfig{Name: "backend"}); err != nil {
		log.Fatal(err)
	}
	for _, name := range []string{"web", "db"} {
		if _, err := env.AddHost(nstest.HostConfig{Name: name, Networks: []nstest.Attachment{{Network: "backend"}}}); err != nil {
			log.Fatal(err)
		}
	}
	for _, h := range env.Hosts() {
		fmt.Println("host", h.Name())
	}
	for _, n := range env.Networks() {
		fmt.Println("network", n.Name())
	}
	// Output:
	// host self
	// host db
	// host web
	// network lan
	// network backend
}
