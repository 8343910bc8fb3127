package gotest

import (
	"io"
	"strings"
	"testing"
	"time"
)

// A node is a test of the twin's that is replayed as a test of the original's.
//
// What happens to it waits in a queue while its gate is closed: until the test runs here, while it waits for its turn
// among parallel tests, and while a subtest ends.
type node struct {
	replay *replay
	name   string
	parent *node
	t      *testing.T // set when started is closed

	started  chan struct{} // closed when its function runs here
	returned chan struct{} // closed when T.Run has returned: the test has ended, or waits for its turn
	turns    chan struct{} // each makes it a parallel test; closed when its function is to return
	verdict  chan verdict  // how it ended; one
	settled  bool          // the verdict was received

	// What follows is the replay's, guarded by its lock.
	gate  int // how many reasons there are to wait
	queue []func()

	// In the twin, as far as it was heard of:
	parallel bool // it has called T.Parallel
	released bool // its function has returned, as its parallel subtests run
	ended    bool
	waiting  int // parallel subtests that have not ended

	// For the bundle:
	at    time.Time // when it began
	log   []byte    // the end of what it has logged
	below bool      // a subtest of it has failed

	// Here:
	leaving  bool // its function was told to return
	cleaning bool // its subtests have ended
	awaited  bool // the parent waits until it has ended
	gone     bool // returned is closed
}

// A verdict is how a test ended.
type verdict struct {
	failed, skipped bool
	message         string // what is to be said about it
}

func newNode(r *replay, parent *node, name string) *node {
	return &node{
		replay: r, parent: parent, name: name, gate: 1,
		started: make(chan struct{}), returned: make(chan struct{}), turns: make(chan struct{}), verdict: make(chan verdict, 1),
	}
}

// start makes t the test, of which it is called first.
func (n *node) start(t *testing.T) {
	n.t = t
	t.Cleanup(n.cleanup)
	close(n.started)
}

// run is the test's function: it waits as the twin's test did.
func (n *node) run() {
	for range n.turns {
		n.t.Parallel()
		n.replay.resume(n)
	}
}

// settle makes the test end as it did in the twin, if it is known how.
func (n *node) settle() (v verdict, ok bool) {
	n.t.Helper()
	select {
	case v = <-n.verdict:
		n.settled = true
		n.mark(v)
		return v, true
	default:
		return v, false
	}
}

// cleanup is called when the subtests have ended.
func (n *node) cleanup() {
	n.t.Helper()
	n.replay.clean(n)
	if !n.settled {
		n.mark(<-n.verdict)
	}
}

func (n *node) mark(v verdict) {
	n.t.Helper()
	switch {
	case v.message == "":
	case n.parent == nil:
		n.t.Log(v.message)
	default: // nobody's line has called us
		_, _ = io.WriteString(n.t.Output(), v.message+"\n")
	}
	switch {
	case v.failed:
		n.t.Fail()
	case v.skipped:
		// It ends the goroutine that calls it, and our caller has more to do.
		onOwnGoroutine(n.t.SkipNow)
	}
}

// onOwnGoroutine calls f, which may end its goroutine, and waits for it.
func onOwnGoroutine(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

// element is the last element of the name, as T.Run wants it.
func (n *node) element() string { return strings.TrimPrefix(n.name, n.parent.name+"/") }
