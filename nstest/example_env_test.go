package nstest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/hermetic-go/nstest/nstest"
)

// A server in one host, a client in another: both are goroutines of this program, whose sockets live in the hosts.
func Example() {
	env, err := nstest.Open(context.Background(), nstest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer env.Close()
	web, err := env.AddHost(nstest.HostConfig{Name: "web"})
	if err != nil {
		log.Fatal(err)
	}
	l, err := web.Listen("tcp", ":80")
	if err != nil {
		log.Fatal(err)
	}
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello from %s", r.Host)
	}))

	resp, err := env.Self().HTTPClient().Get("http://web/")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	fmt.Println(string(body), err)
	// Output: hello from web <nil>
}

func ExampleEnv_AddHost() {
	env, err := nstest.Open(context.Background(), nstest.Config{
		Network: nstest.NetworkConfig{Name: "office", Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, NoIPv6: true},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer env.Close()
	printer, err := env.AddHost(nstest.HostConfig{
		Name:     "printer",
		Networks: []nstest.Attachment{{Network: "office", Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.99")}}},
	})
	if err != nil {
		log.Fatal(err)
	}
	addrs, err := env.Self().LookupNetIP(context.Background(), "printer")
	fmt.Println(printer.Addr(), addrs, err)

	_, err = env.AddHost(nstest.HostConfig{Name: "printer"})
	fmt.Println(err)
	// Output:
	// 192.0.2.99 [192.0.2.99] <nil>
	// nstest: add host printer: a host "printer" exists already
}

func ExampleEnv_AddPartition() {
	env, err := nstest.Open(context.Background(), nstest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer env.Close()
	db, err := env.AddHost(nstest.HostConfig{Name: "db"})
	if err != nil {
		log.Fatal(err)
	}
	l, err := db.Listen("tcp", ":5432")
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	dial := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer cancel()
		c, err := env.Self().DialContext(ctx, "tcp", "db:5432")
		if err == nil {
			c.Close()
		}
		return err
	}

	fmt.Println("before:", dial())
	fault, err := env.AddPartition([]*nstest.Host{env.Self()}, []*nstest.Host{db})
	if err != nil {
		log.Fatal(err)
	}
	var nerr net.Error
	fmt.Println("cut: timeout", errors.As(dial(), &nerr) && nerr.Timeout())
	if err := fault.Close(); err != nil {
		log.Fatal(err)
	}
	fmt.Println("healed:", dial())
	// Output:
	// before: <nil>
	// cut: timeout true
	// healed: <nil>
}

// The cable of a host is pulled at the switch: the host sees that it has no carrier.
func ExampleLink_Down() {
	env, err := nstest.Open(context.Background(), nstest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer env.Close()
	carrier := func() string {
		out, err := env.Self().Command("cat", "/sys/class/net/eth0/carrier").Output()
		if err != nil {
			log.Fatal(err)
		}
		return string(out)
	}
	cable := env.Self().Link("")
	fmt.Print(carrier())
	if err := cable.Down(); err != nil {
		log.Fatal(err)
	}
	fmt.Print(carrier())
	if err := cable.Up(); err != nil {
		log.Fatal(err)
	}
	fmt.Print(carrier())
	// Output:
	// 1
	// 0
	// 1
}

// Do runs a function on a thread inside the host, if the program may enter it.
func ExampleHost_Do() {
	env, err := nstest.Open(context.Background(), nstest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer env.Close()
	host, err := env.AddHost(nstest.HostConfig{Name: "inside"})
	if err != nil {
		log.Fatal(err)
	}
	var name string
	err = host.Do(func() error {
		name, err = os.Hostname()
		return err
	})
	switch {
	case errors.Is(err, nstest.ErrNotPrivileged): // an ordinary user: ask a process instead
		out, err := host.Command("hostname").Output()
		if err != nil {
			log.Fatal(err)
		}
		name = strings.TrimSpace(string(out))
	case err != nil:
		log.Fatal(err)
	}
	fmt.Println(name)
	// Output: inside
}
