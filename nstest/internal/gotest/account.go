package gotest

import (
	"context"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/record"
	"github.com/hermetic-go/nstest/nstest/internal/scribe"
	"github.com/hermetic-go/nstest/nstest/internal/twin"
)

// beginRecord begins the bundle of the test, if there is to be one, and has said where the test is.
func (o *original) beginRecord() error {
	o.replay.mu.Lock()
	o.replay.at = o.twin.At
	o.replay.mu.Unlock()
	if o.twin.Recorder == nil {
		return nil
	}
	m := record.Manifest{Test: o.t.Name(), Package: scribe.Package()}
	m.Repeat = scribe.Repeat(m.Package, twin.Pattern(o.t.Name()))
	o.replay.mu.Lock()
	o.replay.recorder = o.twin.Recorder
	o.replay.mu.Unlock()
	return o.twin.Recorder.Begin(m)
}

// recordStage notes a failure that the twin has told of, and that it waits after.
func (o *original) recordStage(s stage) {
	if o.twin.Recorder != nil && s.Name == reached {
		o.twin.Recorder.Ready()
	}
	if !s.Failed {
		return
	}
	o.mu.Lock()
	again := o.failed
	o.failed = true
	o.mu.Unlock()
	if !again {
		f := o.replay.failure()
		o.fail(f, func() []byte { return s.Goroutines })
		o.twin.Linger(context.Background(), o.t.Name(), f.Message)
	}
}

// recordTimeout notes that the time is up, before the twin is told to say where its goroutines are.
func (o *original) recordTimeout() {
	o.mu.Lock()
	again := o.failed
	o.failed = true
	o.mu.Unlock()
	if !again && o.twin.Recorder != nil {
		o.fail(record.Failure{Message: "the time of -timeout is nearly up", State: "timedout", Node: "test"}, nil)
	}
}

// recordEnd notes how the twin has ended, if that was bad.
func (o *original) recordEnd(bad string) {
	if bad != "" {
		if words := printed(o.twin.Output.LastWords()); !strings.Contains(bad, words) {
			bad += "\nIts last output:" + words
		}
		o.fail(record.Failure{Message: bad, State: "died", Node: "test"}, o.twin.Output.Goroutines)
	}
}

// fail notes a failure.
func (o *original) fail(f record.Failure, goroutines func() []byte) {
	if n := o.twin.Fail(o.t.Name(), f, goroutines); n != nil {
		o.replay.announce(n)
	}
}

// failure is what the test has said of its failure.
func (r *replay) failure() record.Failure {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.root.failure()
}

// maxLogged is how much of what a test logs is kept for the bundle, in bytes.
const maxLogged = 64 << 10

// logged keeps what the test logs.
func (n *node) logged(line string) {
	if n.replay.recorder == nil {
		return
	}
	n.log = append(n.log, line...)
	if len(n.log) > 2*maxLogged {
		n.log = append(n.log[:0], n.log[len(n.log)-maxLogged:]...)
	}
}

var logged = regexp.MustCompile(`^(\S+\.go:\d+): `)

// failure is what there is to say of the test's.
func (n *node) failure() record.Failure {
	f := record.Failure{Time: time.Now(), Node: "test", State: "failed", Message: strings.TrimSpace(string(n.log))}
	if at := logged.FindStringSubmatch(f.Message); at != nil {
		f.Location = at[1]
	}
	switch {
	case f.Message != "":
	case n.below:
		f.Message = "a subtest has failed"
	default:
		f.Message = "the test has failed"
	}
	return f
}

// proceeds says that a subtest begins, or goes on when its turn has come.
func (n *node) proceeds() {
	r := n.replay
	r.running = append(without(r.running, n), n)
	r.say()
}

// ceases says that a subtest has ended.
func (n *node) ceases() {
	n.replay.running = without(n.replay.running, n)
	n.replay.say()
}

func without(list []*node, n *node) []*node {
	if at := slices.Index(list, n); at >= 0 { // most often the last, or nearly
		return slices.Delete(list, at, at+1)
	}
	return list
}

// say says where the test is.
func (r *replay) say() {
	if r.at == nil {
		return
	}
	where := ""
	if last := len(r.running) - 1; last >= 0 {
		where = r.running[last].name
	}
	r.at(where, "")
}

// began writes the event of a subtest that begins.
func (n *node) began() {
	n.proceeds()
	if r := n.replay.recorder; r != nil {
		n.at = time.Now()
		r.Event(record.Event{Time: n.at, Kind: record.KindNode, Text: n.name})
	}
}

// over writes the event of a subtest that has ended, and notes its failure. The twin goes on meanwhile.
func (n *node) over(v verdict) {
	n.ceases()
	r := n.replay.recorder
	if r == nil {
		return
	}
	e := record.Event{Time: time.Now(), Kind: record.KindNode, Text: n.name, State: "passed"}
	e.Took = e.Time.Sub(n.at)
	switch {
	case v.failed:
		e.State = "failed"
	case v.skipped:
		e.State = "skipped"
	}
	r.Event(e)
	if !v.failed || n.parent == nil {
		return
	}
	if !n.below {
		f := n.failure()
		f.Message = n.name + ": " + f.Message
		if notice := r.Failed(n.replay.root.name, f, nil); notice != nil {
			n.replay.tell(notice)
		}
	}
	for p := n.parent; p != nil; p = p.parent {
		p.below = true
	}
}

// announce says where the bundle is.
func (r *replay) announce(n *twin.Notice) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tell(n)
}

// tell is announce for those who hold the lock. With -artifacts a bundle is one.
func (r *replay) tell(n *twin.Notice) {
	r.do(r.root, func() {
		path := n.Path
		if dir := ArtifactDir(r.root.t); dir != "" {
			path = r.recorder.Move(dir)
		}
		text := "nstest bundle: " + path + "\n"
		if n.Last != "" {
			text = "What processes have printed last:\n" + n.Last + text
		}
		_, _ = io.WriteString(r.root.t.Output(), text)
	})
}

// ArtifactDir is the test's directory for artifacts, "" without -artifacts.
func ArtifactDir(t *testing.T) (dir string) {
	if flagValue("test.artifacts") == "true" {
		onOwnGoroutine(func() { dir = t.ArtifactDir() }) // it may end the test, whose goroutine is another
	}
	return dir
}
