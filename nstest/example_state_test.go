package nstest_test

import (
	"context"
	"fmt"
	"log"

	"github.com/hermetic-go/nstest/nstest"
)

// What is the matter with an environment, from outside.
func ExampleEnv_State() {
	env, err := nstest.Open(context.Background(), nstest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer env.Close()
	web, err := env.AddHost(nstest.HostConfig{Name: "web"})
	if err != nil {
		log.Fatal(err)
	}
	_ = web.Command("sh", "-c", "exit 3").Run()
	if err := web.Link("").Down(); err != nil {
		log.Fatal(err)
	}
	state, err := env.State(context.Background()) // state.Summary(os.Stderr, 0) writes what matters of it
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range state.Faults {
		fmt.Println(f.Text)
	}
	for _, h := range state.Hosts {
		for _, p := range h.Ended {
			fmt.Println(h.Name, p.Args, p.State)
		}
	}
	// Output:
	// web on lan: cable pulled
	// web [sh -c exit 3] exit status 3
}
