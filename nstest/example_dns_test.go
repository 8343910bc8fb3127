package nstest_test

import (
	"context"
	"fmt"
	"log"

	"github.com/hermetic-go/nstest/nstest"
)

// The name of a service moves to another host, then it cannot be looked up.
func ExampleDNS() {
	env, err := nstest.Open(context.Background(), nstest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer env.Close()
	for _, name := range []string{"db1", "db2"} {
		if _, err := env.AddHost(nstest.HostConfig{Name: name}); err != nil {
			log.Fatal(err)
		}
	}
	look := func(changed error) {
		addrs, err := env.Self().LookupNetIP(context.Background(), "db")
		fmt.Println(changed, addrs, err)
	}
	names := env.DNS()
	look(names.Set(nstest.DNSConfig{Records: []string{"db 60 IN CNAME db1", "_sql._tcp 60 IN SRV 0 0 5432 db"}}))
	look(names.Replace("db 60 IN CNAME db2"))
	look(names.Set(nstest.DNSConfig{Faults: []nstest.DNSFault{{Name: "db", Answer: nstest.NXDomain}}}))
	fmt.Println(names.Set(nstest.DNSConfig{Records: []string{"db 60 IN A db1"}}))

	queries, err := names.Queries()
	if err != nil {
		log.Fatal(err)
	}
	for _, q := range queries {
		if q.Type == "A" {
			fmt.Println(q.Host, q.Name, q.RCode, q.Answers, q.Fault)
		}
	}
	// Output:
	// <nil> [10.1.0.3 fd6e:7374:6573:7401::3] <nil>
	// <nil> [10.1.0.4 fd6e:7374:6573:7401::4] <nil>
	// <nil> [] lookup db on 127.0.0.53:53: no such host
	// nstest: set DNS: record "db 60 IN A db1": dns: bad A A: "db1" at line: 1:14
	// self db. NOERROR [db. 60 IN CNAME db1. db1. 0 IN A 10.1.0.3] false
	// self db. NOERROR [db. 60 IN CNAME db2. db2. 0 IN A 10.1.0.4] false
	// self db. NXDOMAIN [] true
}
