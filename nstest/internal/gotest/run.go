// Package gotest runs a Go test's function in a twin of the program, and makes happen to the test, in the program that
// "go test" has started, what happens to it there.
//
// The original replays: it reads what the twin's package testing prints about subtests, and runs subtests of the same
// names that do, wait, log, skip and fail as those do. Of the test itself the twin tells by its link: that it has come
// to the call of Run, that the function has returned, that the last cleanup function has run. What it prints before
// and afterwards is nobody's business, as the original does all that as well.
package gotest

import (
	"flag"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/hermetic-go/nstest/nstest/internal/twin"
)

// work is what a twin is for that runs the function of a test.
const work = "test"

// Run runs f as the rest of the function of test t, in a twin in env. In the twin itself it calls f.
func Run(t *testing.T, env Environment, f func()) {
	t.Helper()
	if flagValue("test.fuzzworker") == "true" {
		t.Skip("nstest: hermetic tests do not run under -fuzz, which would start a process for each input: run the seeds, without -fuzz")
	}
	c := nextCall(t)
	self := twin.This()
	switch {
	case self == nil:
		runOriginal(t, []call{c}, env)
		return
	case self.Work != work: // it runs something that f leads to
		f()
		return
	}
	switch i := inside(); i.role(c) {
	case target:
		i.run(t, f)
	case onTheWay:
		f()
	case within:
		runOriginal(t, append(i.job.Path[:len(i.job.Path):len(i.job.Path)], c), env)
	case elsewhere:
	}
}

// An insider is this process, as a twin that runs the function of a test.
type insider struct {
	link *twin.Link
	job  job

	mu   sync.Mutex
	here bool // the call that runs the function was reached
}

// inside is this process; it is a twin.
var inside = sync.OnceValue(func() *insider {
	i := &insider{link: twin.This().Link}
	if err := i.link.Receive(&i.job); err != nil {
		os.Exit(2) // the original has ended
	}
	return i
})

// A role is what a call of Run means in a twin.
type role int

const (
	elsewhere role = iota // another call's function is to run: the call does nothing
	onTheWay              // its function calls Run for the one that is to run
	target                // its function is to run
	within                // it is a call in the function that runs, which has a twin of its own
)

func (i *insider) role(c call) role {
	i.mu.Lock()
	defer i.mu.Unlock()
	last := i.job.Path[len(i.job.Path)-1]
	if i.here {
		if c.Test == last.Test || strings.HasPrefix(c.Test, last.Test+"/") {
			return within
		}
		return elsewhere
	}
	for _, p := range i.job.Path {
		if p == c && p != last {
			return onTheWay
		}
	}
	if c != last {
		return elsewhere
	}
	i.here = true
	return target
}

// run runs f and tells the original how far it has come.
func (i *insider) run(t *testing.T, f func()) {
	i.tell(stage{Name: reached})
	twin.This().RestoreOutput(i.job.Verbose == "test2json")
	if err := flag.Set("test.v", i.job.Verbose); err != nil { // testing.Verbose is to say what it says there
		t.Fatal(err)
	}
	at := stage{Name: returned, Exited: true}
	known := false     // how f ended; if it never is, that is by a panic, in it or in a subtest
	t.Cleanup(func() { // the first, so the last to be called
		if known {
			at.Name, at.Failed = finished, t.Failed()
			i.tell(at)
		}
	})
	defer func() {
		at.Failed, at.Skipped = t.Failed(), t.Skipped()
		known = !at.Exited || at.Failed || at.Skipped
		i.tell(at)
		if !at.Exited {
			// What follows Run is for the original alone. There is no other way to end the function but to fail.
			t.SkipNow()
		}
	}()
	f()
	at.Exited = false
}

// tell says how far the test has come, and waits until the original has taken note.
func (i *insider) tell(s stage) {
	var a answer
	if s.Failed && i.job.Record {
		s.Goroutines = twin.Stacks()
	}
	if i.link.Send(s) != nil || i.link.Receive(&a) != nil {
		os.Exit(2) // the original has ended
	}
	twin.This().SetBundle(a.Bundle)
}
