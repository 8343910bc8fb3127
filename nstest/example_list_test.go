package nstest_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/hermetic-go/nstest/nstest"
)

// A program that opens an environment, and another one that lists what there is; here it is the same.
func ExampleList() {
	ctx := context.Background()
	env, err := nstest.Open(ctx, nstest.Config{Name: "shop"})
	if err != nil {
		log.Fatal(err)
	}
	defer env.Close()
	if _, err := env.AddHost(nstest.HostConfig{Name: "web"}); err != nil {
		log.Fatal(err)
	}
	list, silent := nstest.List(ctx)
	if silent != nil { // the list has all others
		log.Print(silent)
	}
	for _, l := range list {
		if l.PID == os.Getpid() {
			fmt.Println(l.Kind, l.Name, l.Hosts)
		}
	}
	// Output:
	// open shop [self web]
}

// Attach is a way into the environment of another program; here it is this one's.
func ExampleAttach() {
	ctx := context.Background()
	env, err := nstest.Open(ctx, nstest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer env.Close()
	if _, err := env.AddHost(nstest.HostConfig{Name: "web"}); err != nil {
		log.Fatal(err)
	}

	guest, err := nstest.Attach(ctx, env.ID())
	if err != nil {
		log.Fatal(err)
	}
	out, err := guest.Host("web").Command("hostname").Output()
	fmt.Printf("%s%v\n", out, err)
	if err := guest.Close(); err != nil { // env goes on
		log.Fatal(err)
	}
	fmt.Println(env.Host("web").Command("true").Run())
	// Output:
	// web
	// <nil>
	// <nil>
}
