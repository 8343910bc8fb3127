package gotest

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hermetic-go/nstest/nstest/internal/twin"
)

// A replay makes happen to tests of this process what happens to those of a twin, at the time and in the order in which
// it does there, as far as the order is anybody's: between parallel tests it is not, and what has to wait here, for one
// of the -parallel turns, waits.
type replay struct {
	raw  io.Writer       // where goes what the tests print
	hold func(stop bool) // stops the twin while the test waits for its turn, and lets it go on

	mu        sync.Mutex
	root      *node
	nodes     map[string]*node // by the twin's name
	order     []*node          // as they came
	current   *node            // the last that was named; nil if that is a test around ours
	hurried   bool             // nothing waits any more: the process ends soon
	artifacts []artifact
	errs      []error
	recorder  twin.Recorder // nil if there is to be no bundle

	at      func(text, location string) // is told where the test is; nil if nobody wants to know
	running []*node                     // subtests, the one that is under way the longest first
}

// An artifact is a directory for artifacts inside, and the one here.
type artifact struct{ inside, outside string }

// newReplay is a replay of the test of this name, which is to be started before it hears of anything.
func newReplay(test string, raw io.Writer, hold func(stop bool)) *replay {
	r := &replay{raw: raw, hold: hold}
	r.root = newNode(r, nil, test)
	r.root.gate = 0
	r.nodes = map[string]*node{test: r.root}
	r.current = r.root
	return r
}

// do does something to a test, or has it wait.
func (r *replay) do(n *node, f func()) {
	if n.gate == 0 && len(n.queue) == 0 {
		f()
		return
	}
	n.queue = append(n.queue, f)
}

// open takes away a reason to wait.
func (r *replay) open(n *node) {
	n.gate--
	for n.gate == 0 && len(n.queue) > 0 {
		f := n.queue[0]
		n.queue = n.queue[1:]
		f()
	}
}

// frame is part of listener.
func (r *replay) frame(f frame) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.nodes[f.test]
	switch {
	case f.verb == "RUN":
		return n == nil && r.begin(f.test)
	case n == nil && f.verb == "NAME": // our test waits for its turn, and what it is a subtest of goes on
		r.current = nil
		return true
	case n == nil || n.ended:
		return false
	}
	r.current = n
	switch f.verb {
	case "NAME":
	case "PAUSE":
		r.pause(n)
	case "CONT":
		n.proceeds()
		if n.parent != nil && n.parent != r.root {
			r.release(n.parent)
		}
	case "ATTR":
		key, value, _ := strings.Cut(f.rest, " ")
		r.do(n, func() { n.t.Attr(key, value) })
	case "ARTIFACTS":
		r.do(n, func() { r.makeArtifacts(n, f.rest) })
	case "PASS", "FAIL", "SKIP":
		if n != r.root { // of which we hear more by another way
			r.end(n, verdict{failed: f.verb == "FAIL", skipped: f.verb == "SKIP"})
		}
	default:
		return false
	}
	return true
}

// log is part of listener.
func (r *replay) log(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := r.speaker(); n != nil {
		n.logged(line)
		r.do(n, func() { _, _ = io.WriteString(n.t.Output(), r.outside(line)) })
	}
}

// outside is a line with the path of a bundle that people can open, where it is in a directory for artifacts.
func (r *replay) outside(line string) string {
	const says = "nstest bundle: "
	for _, a := range r.artifacts {
		line = strings.Replace(line, says+a.inside+"/", says+a.outside+"/", 1)
	}
	return line
}

// print is part of listener.
func (r *replay) print(text []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	text = slices.Clone(text)
	write := func() { _, _ = r.raw.Write(text) } // a program that cannot print has nobody to tell
	if r.hurried {
		write()
		return
	}
	if n := r.speaker(); n != nil {
		r.do(n, write)
	}
}

// speaker is the test to which belongs what is said without a name; nil if it is none of ours.
func (r *replay) speaker() *node {
	n := r.current
	for n != nil && n.ended && n != r.root {
		n = n.parent
	}
	return n
}

// begin runs a subtest. It reports whether the name is that of one.
func (r *replay) begin(name string) bool {
	parent := r.parentOf(name)
	if parent == nil {
		return false
	}
	n := newNode(r, parent, name)
	n.began()
	r.nodes[name] = n
	r.order = append(r.order, n)
	r.current = n
	r.do(parent, func() {
		go r.run(n)
		select {
		case <-n.started:
			r.open(n)
		case <-n.returned: // package testing does not run it, be it for -failfast: it stays closed
		}
	})
	return true
}

// parentOf is the test that runs the subtest of this name: the one with the longest name that it can be.
func (r *replay) parentOf(name string) *node {
	for at := strings.LastIndexByte(name, '/'); at > 0; at = strings.LastIndexByte(name[:at], '/') {
		if n := r.nodes[name[:at]]; n != nil && !n.ended {
			return n
		}
	}
	return nil
}

// run is a goroutine of the subtest, until that has ended or waits for its turn.
func (r *replay) run(n *node) {
	defer func() {
		close(n.returned)
		r.mu.Lock()
		defer r.mu.Unlock()
		n.gone = true
		if n.awaited {
			r.open(n.parent)
		}
	}()
	n.parent.t.Run(n.element(), func(t *testing.T) {
		n.start(t)
		n.run()
		n.settle()
	})
}

// pause makes the test a parallel one, for which its parent waits at its end.
func (r *replay) pause(n *node) {
	n.parallel = true
	if n.parent != nil {
		n.parent.waiting++
	}
	r.do(n, func() {
		n.gate++
		if n == r.root {
			r.hold(true)
		}
		n.turns <- struct{}{}
		if n != r.root {
			<-n.returned
		}
	})
}

// resume is called when the test's turn has come.
func (r *replay) resume(n *node) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n == r.root {
		r.hold(false)
	}
	r.open(n)
}

// release lets the test's function return, which its parallel subtests wait for.
func (r *replay) release(n *node) {
	if !n.released {
		n.released = true
		r.do(n, func() { r.leave(n) })
	}
}

func (r *replay) leave(n *node) {
	if !n.leaving {
		n.leaving = true
		close(n.turns)
	}
}

// end ends a test.
func (r *replay) end(n *node, v verdict) {
	n.ended = true
	n.over(v)
	r.do(n, func() {
		n.verdict <- v
		r.leave(n)
	})
	p := n.parent
	switch {
	case p == nil:
	case !n.parallel:
		r.do(p, func() { r.await(n) })
	default:
		p.waiting--
		if p.released && p.waiting == 0 {
			// What the twin says of the parent now, it says after its subtests have ended.
			r.do(p, func() {
				if !p.cleaning {
					p.gate++
				}
			})
		}
	}
}

// await has the parent wait until its subtest has ended, as it does in the twin.
func (r *replay) await(n *node) {
	if !n.gone {
		n.awaited = true
		n.parent.gate++
	}
}

// clean is called when the test's function has returned and its subtests have ended.
func (r *replay) clean(n *node) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n.cleaning = true
	if n.gate > 0 {
		r.open(n)
	}
}

// makeArtifacts makes a directory for artifacts here.
func (r *replay) makeArtifacts(n *node, inside string) {
	var outside string
	onOwnGoroutine(func() { outside = n.t.ArtifactDir() }) // it may end the test, whose goroutine is another
	if outside == "" {
		r.errs = append(r.errs, fmt.Errorf("make a directory for the artifacts of %s", n.name))
		return
	}
	r.artifacts = append(r.artifacts, artifact{inside: inside, outside: outside})
}

// abandon ends all subtests, whose process has ended.
func (r *replay) abandon() {
	for _, n := range slices.Backward(r.order) {
		if !n.ended {
			r.end(n, verdict{failed: true, message: "nstest: the process of this test ended before it did"})
		}
	}
}

// returned is called when the test's function has ended in the twin.
func (r *replay) returned() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.root.waiting > 0 {
		r.release(r.root)
	}
}

// hurry shows at once what is printed from now on.
func (r *replay) hurry() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hurried = true
}
