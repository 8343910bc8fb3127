package gotest

import (
	"sync"
	"testing"
)

// A job is what a twin has to do. It is the first message to it.
type job struct {
	Path    []call // the calls of Run on the way to the function to run, the last of which runs it
	Verbose string // the original's -test.v
	Record  bool   // there is a bundle
}

// A call is the Number-th call of Run in a test, from 0 on. It is the same in every process that runs the test.
type call struct {
	Test   string
	Number int
}

// An answer lets a twin go on.
type answer struct {
	Bundle string // its path, "" if there is none
}

// A stage is how far a twin has come. It waits for an answer before it goes on.
type stage struct {
	Name    stageName
	Failed  bool
	Skipped bool
	Exited  bool // the function did not return: it called FailNow, SkipNow or the like

	Goroutines []byte // where they are, if there is a bundle and the test has failed
}

type stageName string

const (
	reached  stageName = "reached"  // the function runs next
	returned stageName = "returned" // it has ended; subtests that wait for that run next
	finished stageName = "finished" // the test's last cleanup function has run: what comes is not the function's
)

// calls counts the calls of Run in each running test.
var calls struct {
	sync.Mutex
	number map[*testing.T]int
}

// nextCall is the call of Run that is being made in t.
func nextCall(t *testing.T) call {
	calls.Lock()
	defer calls.Unlock()
	if calls.number == nil {
		calls.number = map[*testing.T]int{}
	}
	n, again := calls.number[t]
	if !again {
		t.Cleanup(func() {
			calls.Lock()
			defer calls.Unlock()
			delete(calls.number, t)
		})
	}
	calls.number[t] = n + 1
	return call{Test: t.Name(), Number: n}
}
