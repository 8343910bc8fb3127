package nsx_test

import (
	"context"
	"fmt"
	"os"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"golang.org/x/sys/unix"
)

// rename gives the machine a name, and tells what it is called then.
var rename = nsx.Register("rename", func(_ *nsx.Parent, name string) (string, error) {
	if err := unix.Sethostname([]byte(name)); err != nil {
		return "", err
	}
	return os.Hostname()
})

// In a UTS namespace of its own a probe changes the host name for nobody else.
func ExampleRun() {
	before, _ := os.Hostname()
	inside, err := nsx.Run(context.Background(), nsx.Spec{Kinds: nsx.UTS}.AsRoot(), rename, "inside")
	if err != nil {
		fmt.Println(err)
		return
	}
	after, _ := os.Hostname()
	fmt.Println(inside, after == before)
	// Output: inside true
}

// watch tells what the host is called, as often as it is asked.
var watch = nsx.Register("watch", func(parent *nsx.Parent, times int) (string, error) {
	for range times {
		name, err := os.Hostname()
		if err != nil {
			return "", err
		}
		if err := parent.Report(name, nil); err != nil {
			return "", err
		}
	}
	return "seen enough", nil
})

// Something is changed between two looks of a probe, by another one that joins its namespaces.
func ExampleSpawn() {
	ctx := context.Background()
	p, err := nsx.Spawn(ctx, nsx.Spec{Kinds: nsx.UTS}.AsRoot(), watch, 2)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()
	var before, after string
	fmt.Println(p.Await(&before))

	join := nsx.Spec{How: nsx.Setns, Kinds: nsx.User | nsx.UTS, Into: []*os.File{p.PIDFD()}}
	_, err = nsx.Run(ctx, join, rename, "renamed")
	fmt.Println(err)

	fmt.Println(p.Continue(nil), p.Await(&after))
	fmt.Println(after, after != before)
	fmt.Println(p.Continue(nil))
	fmt.Println(p.Result())
	// Output:
	// <nil>
	// <nil>
	// <nil> <nil>
	// renamed true
	// <nil>
	// seen enough <nil>
}
