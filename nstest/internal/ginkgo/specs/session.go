package specs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"

	"github.com/hermetic-go/nstest/nstest/internal/twin"
)

// A session is the original's conversation with one twin, of which it runs one node after another.
type session struct {
	original *original
	twin     *twin.Twin
	unit     *node // nil for the suite's own nodes
	attempt  int
	config   any

	running sync.Mutex // held by the node that runs, even after Ginkgo has given it up
	left    atomic.Bool
	stopped atomic.Bool
	over    bool   // nothing more can run
	death   string // how the twin died
	dead    *node  // the spec in which it did
	setup   *setup // how the suite's own nodes went in it
	entries []*entryValue

	begun      bool          // it has been waited for
	arrival    chan struct{} // closed when the twin has come to the first node; nil if nobody waits for that
	arrived    *event
	arrivalErr error

	inNode func() // says that it is in the running node, and at no step of it

	lingers bool // after a failure of any of its specs, and Ginkgo knows

	late atomic.Bool // the running node has not ended in time, and that is in the bundle

	mu       sync.Mutex
	progress chan types.ProgressReport // for who has asked
	dump     chan []byte               // likewise, for goroutines
	notice   *twin.Notice              // of the bundle, until it is told
	noticed  types.CodeLocation
}

// run lets the twin run a node, does here what that does beside its outcome, and makes it the outcome of the node that
// Ginkgo runs here. It does not return to a Ginkgo that has gone on without the node, and would mistake it for the one
// that runs by then.
func (s *session) run(ctx context.Context, in *insides, id string, spec *node, location types.CodeLocation, kind types.NodeType) {
	if !s.delegate(ctx, in, id, spec, location, kind) {
		select {}
	}
}

// delegate reports whether Ginkgo has waited.
func (s *session) delegate(ctx context.Context, in *insides, id string, spec *node, location types.CodeLocation, kind types.NodeType) bool {
	if !s.running.TryLock() { // Ginkgo has given up the node before
		s.left.Store(true)
		_ = s.twin.Link.Send(order{Abandon: outcomeOf(in)})
		kill := time.AfterFunc(abandonTimeout, func() { s.original.note(s.twin.Stop()) })
		s.running.Lock()
		kill.Stop()
		s.left.Store(false)
	}
	defer s.running.Unlock()
	s.announce(in) // what there was to say when Ginkgo had given up the node before
	outcome := types.SpecStateFailed
	failed := func(message string) {
		in.set(types.SpecStateFailed, types.Failure{Message: message, Location: location})
	}
	died := func(message string) {
		s.dead = spec
		s.fail(spec, kind, "died", types.Failure{Message: message, Location: location}, s.twin.Output.Goroutines)
		s.announce(in)
		failed(message)
	}
	if s.arrival == nil && s.over { // else arrive says how it ended before its first node
		switch {
		case s.death == "" || s.dead == spec && spec != nil: // was said; there is nothing left to run in
		case spec != nil:
			failed("the process of this Ordered container has ended in an earlier spec: " + s.death)
		}
		return true
	}
	detach := attach(ctx, s.reportArrival)
	message := s.arrive(id, spec)
	detach()
	if message != "" {
		died(message)
		if !s.over { // it has come to something else
			if s.setupFailed() {
				s.lingerNow(ctx, spec, message)
			}
			s.stop()
		}
		return true
	}
	s.awaitRecord()
	s.lingerAfterFailure(spec, kind)
	ended := s.recordNode(in)
	defer func() { ended(outcome) }()
	s.late.Store(false)
	s.twin.Output.Show()
	cancelled := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(cancelled)
		c := cancelOf(ctx)
		s.cancelled(spec, kind, location, c)
		_ = s.twin.Link.Send(order{Cancel: c})
	})
	defer attach(ctx, s.report)()
	if err := s.twin.Link.Send(order{Go: &goOn{Node: id, Attempt: in.report.NumAttempts, Bundle: s.twin.Place()}}); err == nil {
		defer s.original.settle(s, kind)()
	}
	node, _, _ := in.running()
	isRunning := func() bool { // unless Ginkgo has gone on
		now, _, _ := in.running()
		return now == node && !s.left.Load()
	}
	var r *result
	err := s.await(func(e *event) bool {
		switch {
		case s.left.Load() && e.Result == nil: // Ginkgo has gone on
		case e.Step != nil:
			s.recordStep(e.Step)
			in.emit(*e.Step)
		case e.Entry != nil:
			v := &entryValue{value: e.Entry.Value}
			s.entries = append(s.entries, v)
			ginkgo.AddReportEntry(e.Entry.Name, v, e.Entry.Location, e.Entry.Visibility)
		case e.Defers != nil && isRunning():
			for _, d := range e.Defers {
				s.registerHere(d, spec)
			}
		}
		r = e.Result
		return r != nil
	})
	if !stop() {
		<-cancelled
	}
	s.twin.Output.Flush()
	if err != nil {
		s.dead = spec
	}
	switch {
	case !isRunning() || s.stopped.Load():
		outcome = types.SpecStateTimedout
		return false
	case err != nil:
		died(err.Error())
		return true
	}
	outcome = r.State
	for i, value := range r.Entries {
		if i < len(s.entries) {
			s.entries[i].set(value)
		}
	}
	if r.State.Is(types.SpecStateFailureStates) {
		if !s.late.Load() {
			s.fail(spec, kind, r.State.String(), r.Failure, func() []byte { return r.Goroutines })
		}
		s.twin.Failed()
		if !kind.Is(types.NodeTypesAllowedDuringCleanupInterrupt) { // Ginkgo does not pause where something is torn down
			s.twin.Invite(s.name(spec), r.Failure.Message)
		}
		if kind.Is(suiteTeardown) {
			s.lingerNow(ctx, spec, r.Failure.Message)
		}
	}
	s.announce(in) // also of a node that was late, and then ended well: Ginkgo knows better
	if r.State != types.SpecStatePassed {
		in.set(r.State, r.Failure)
	}
	return true
}

// abandonTimeout is how long a twin may take to leave a node behind. One that takes longer is stopped, or in no state to
// run anything else.
const abandonTimeout = 5 * time.Second

// answerTimeout is how long a twin may take from one node to the next. One that takes longer has been stopped.
const answerTimeout = 30 * time.Second

// outcomeOf says how Ginkgo has recorded the node that it has given up.
func outcomeOf(in *insides) *cancel {
	in.lock.Lock()
	defer in.lock.Unlock()
	c := &cancel{State: in.report.State, Message: in.report.Failure.Message, Cause: in.report.Failure.Message}
	if !c.State.Is(types.SpecStateTimedout | types.SpecStateInterrupted) {
		c.State = types.SpecStateTimedout
	}
	return c
}

// cancelOf says why Ginkgo has cancelled a node's context.
func cancelOf(ctx context.Context) *cancel {
	message := context.Cause(ctx).Error()
	if strings.HasSuffix(message, "timeout occurred") {
		return &cancel{types.SpecStateTimedout, "A " + message, message}
	}
	return &cancel{types.SpecStateInterrupted, message, message}
}

// awaitArrival waits for the twin to come to a node, or to say why it does not.
func (s *session) awaitArrival() (e *event, err error) {
	err = s.await(func(got *event) bool { e = got; return got.At != nil || got.Over || got.Differs != nil })
	return e, err
}

// setupFailed reports whether one of the suite's own nodes has failed in the twin.
func (s *session) setupFailed() bool {
	return s.setup != nil && s.setup.State.Is(types.SpecStateFailureStates)
}

// arrive waits for the twin to come to a node. Otherwise it says what is wrong, and the twin is of no use.
func (s *session) arrive(id string, spec *node) string {
	var e *event
	var err error
	s.begun = true
	if s.arrival != nil {
		<-s.arrival
		e, err, s.arrival = s.arrived, s.arrivalErr, nil
	} else { // it has nothing to do from one node to the next
		hung := time.AfterFunc(answerTimeout, func() { s.original.note(s.twin.Stop()) })
		e, err = s.awaitArrival()
		hung.Stop()
	}
	if err != nil {
		return err.Error()
	}
	switch {
	case e.Differs != nil:
		container := tree.top
		tree.top.walk(func(n *node) {
			if n.id == e.Differs.Container {
				container = n
			}
		})
		return container.difference(e.Differs.Children)
	case e.At != nil && e.At.Node == id && (spec == nil || e.At.Spec == spec.id):
		return ""
	case s.setup != nil && s.setup.State != types.SpecStatePassed:
		f := s.setup.Failure
		text := f.Message
		if f.ForwardedPanic != "" {
			text += "\n" + f.ForwardedPanic
		}
		return fmt.Sprintf("%s passed for the suite and failed in the process of this spec, at %s:\n%s", s.setup.Kind, f.Location, text)
	}
	where := "has run all its nodes"
	if e.At != nil {
		where = fmt.Sprintf("is at node %s of spec %s", e.At.Node, e.At.Spec)
	}
	return fmt.Sprintf("the spec's process %s and the suite's is at node %s: the tree of specs is not built the same way each time", where, id)
}

// registerHere registers with Ginkgo a clean-up that was registered in the twin. It runs there.
func (s *session) registerHere(d deferred, spec *node) {
	register := ginkgo.DeferCleanup
	if d.OnFailure {
		register = ginkgo.DeferOnFailure
	}
	location := marked(d.Location)
	s.original.mu.Lock()
	s.original.deferred[mark(location)] = true
	s.original.mu.Unlock()
	body := func(ctx context.Context) {
		in, err := inside(ctx)
		if err != nil {
			ginkgo.Fail(err.Error())
		}
		now := spec
		if spec != nil { // one of an Ordered container may be registered in one spec and run in another
			now = at(in.report.LeafNodeLocation)
		}
		s.run(ctx, in, d.Node, now, location, types.NodeTypeCleanupAfterEach)
	}
	if !d.HasContext {
		register(func() { body(s.original.context()) }, location)
		return
	}
	args := []any{func(ctx ginkgo.SpecContext) { body(ctx) }, location}
	if d.Timeout > 0 {
		args = append(args, ginkgo.NodeTimeout(d.Timeout))
	}
	if d.GracePeriod >= 0 {
		args = append(args, ginkgo.GracePeriod(d.GracePeriod))
	}
	if d.ProgressAfter >= 0 {
		args = append(args, ginkgo.PollProgressAfter(d.ProgressAfter))
	}
	if d.ProgressInterval >= 0 {
		args = append(args, ginkgo.PollProgressInterval(d.ProgressInterval))
	}
	register(args...)
}

// entryValue is the value of a report entry that was made in the twin. Ginkgo looks at values when it reports; so it
// follows the one there.
type entryValue struct {
	mu    sync.Mutex
	value types.ReportEntryValue
}

func (v *entryValue) set(data json.RawMessage) {
	var value types.ReportEntryValue
	if json.Unmarshal(data, &value) != nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.value = value
}

func (v *entryValue) get() types.ReportEntryValue {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.value
}

// MarshalJSON is what the value itself made there.
func (v *entryValue) MarshalJSON() ([]byte, error) {
	if value := v.get(); value.AsJSON != "" {
		return []byte(value.AsJSON), nil
	}
	return []byte("null"), nil
}

// ColorableString is what the value itself made there.
func (v *entryValue) ColorableString() string { return v.get().Representation }

// await receives until f is satisfied. The error says how the twin died.
func (s *session) await(f func(*event) bool) error {
	for {
		e := &event{}
		if err := s.twin.Link.Receive(e); err != nil {
			s.over = true
			if s.stopped.Load() {
				return errors.New("the process of this spec was stopped")
			}
			s.death = s.lastWords(err)
			return fmt.Errorf("the process of this spec has ended before the spec: %s", s.death)
		}
		if e.Show {
			s.twin.Output.Flush() // what it has printed before
		}
		done := !s.take(e) && f(e)
		if e.Show {
			_ = s.twin.Link.Send(order{Shown: true}) // if it has gone, Receive says so
		}
		if done {
			return nil
		}
	}
}

// take takes those events that need no node that waits for them. It reports whether this is one.
func (s *session) take(e *event) bool {
	switch {
	case e.Write != nil:
		_, _ = ginkgo.GinkgoWriter.Write(e.Write)
	case e.Progress != nil:
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.progress != nil {
			s.progress <- *e.Progress
			s.progress = nil
		}
	case e.Goroutines != nil:
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.dump != nil {
			s.dump <- e.Goroutines
			s.dump = nil
		}
	case e.Setup != nil:
		if !s.setupFailed() {
			s.setup = e.Setup
		}
		s.original.mu.Lock()
		defer s.original.mu.Unlock()
		if e.Setup.Kind.Is(suiteSetup) {
			s.original.setup += e.Setup.Took
			s.original.setups++
		}
	default:
		return false
	}
	return true
}

// lastWords says how the twin ended, and what it printed last.
func (s *session) lastWords(err error) string {
	if !errors.Is(err, io.EOF) {
		_ = s.twin.Stop()
		return err.Error()
	}
	state, err := s.twin.Wait()
	if err != nil {
		state += ", " + err.Error()
	}
	if state == "signal: killed" {
		state += " (which the kernel does too, when memory runs out)"
	}
	if words := s.twin.Output.LastWords(); words != "" {
		state += "\nIts last output:\n" + words
	}
	return state
}

// refuse has the first node fail, and none run.
func (s *session) refuse(err error) {
	s.stop()
	s.begun, s.arrival, s.arrivalErr = true, make(chan struct{}), err
	close(s.arrival)
}

// stop kills the twin.
func (s *session) stop() {
	s.stopped.Store(true)
	s.over = true
	if err := s.twin.Stop(); err != nil {
		s.original.note(err)
	}
}

// end ends the session, and completes its bundle.
func (s *session) end() error {
	err := s.endTwin()
	return errors.Join(err, s.endRecord(err))
}

// endTwin ends the twin: by itself if it has run all its nodes, else by force.
func (s *session) endTwin() error {
	if !s.running.TryLock() { // a node that Ginkgo has given up
		s.stopped.Store(true)
		err := s.twin.Stop()
		s.running.Lock()
		defer s.running.Unlock()
		return err
	}
	defer s.running.Unlock()
	if s.arrival != nil || s.death != "" || s.stopped.Load() { // it has run nothing, if it is only prepared
		return s.twin.Stop()
	}
	var last *event
	err := s.await(func(e *event) bool { last = e; return e.Over || e.At != nil || e.Differs != nil })
	if err != nil {
		return errors.Join(fmt.Errorf("after the last node: %w", err), s.twin.Stop())
	}
	s.setup = nil
	if !last.Over {
		s.stopped.Store(true)
		return s.twin.Stop()
	}
	s.twin.Output.Hide()
	s.twin.MayEnd()
	if err := s.twin.Link.Send(order{Go: &goOn{}}); err != nil {
		return errors.Join(err, s.twin.Stop())
	}
	_ = s.await(func(*event) bool { return false }) // until it has gone
	err = s.twin.Stop()
	if f := s.setup; s.setupFailed() {
		err = errors.Join(err, fmt.Errorf("%s failed in the process of %q, at %s:\n%s", f.Kind, s.unit.fullText(), f.Failure.Location, f.Failure.Message))
	}
	return err
}
