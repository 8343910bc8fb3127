package nstest_test

import (
	"context"
	"fmt"

	"github.com/hermetic-go/nstest/nstest"
)

// A command runs on a host as it would on a machine of its own, and tells how it ended as one of os/exec does.
func ExampleHost_Command() {
	env, err := nstest.Open(context.Background(), nstest.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer env.Close()
	if _, err := env.AddHost(nstest.HostConfig{Name: "web"}); err != nil {
		fmt.Println(err)
		return
	}

	cmd := env.Host("web").Command("sh", "-c", "hostname; exit 3")
	out, err := cmd.Output()
	fmt.Printf("%s%v\n", out, err)
	// Output:
	// web
	// exit status 3 (host web: sh -c hostname; exit 3)
}
