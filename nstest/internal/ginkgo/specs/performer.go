package specs

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/formatter"
	"github.com/onsi/ginkgo/v2/types"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/internal/twin"
)

// performer is a twin while it performs its job.
type performer struct {
	link    *twin.Link
	job     *job
	goAhead chan goOn
	differs *differs
	last    uint64 // number of the newest deferred node that the original knows
	aside   atomic.Bool
	begun   sync.Once
	ended   sync.Once
	synced  int // how often a synchronized suite node has run

	mu      sync.Mutex
	running *activity
	entries []*sentEntry
}

// sentEntry is the value of a report entry, and what the original has of it.
type sentEntry struct {
	value types.ReportEntryValue
	json  string
}

// activity is a node that runs.
type activity struct {
	cancel    context.CancelCauseFunc
	cancelled *cancel
	abandoned chan struct{}
}

var thePerformer *performer

// orphaned is the exit status of a twin whose original has gone.
const orphaned = 3

// Performing reports whether this is a twin in which a node runs.
func Performing() bool {
	p := thePerformer
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running != nil || p.aside.Load()
}

// perform is RunSpecs in a twin.
func perform(t ginkgo.GinkgoTestingT, description string, args []any) bool {
	p := &performer{link: twin.This().Link, goAhead: make(chan goOn)}
	p.send(event{Ready: true})
	var first order
	if err := p.link.Receive(&first); err != nil || first.Job == nil {
		os.Exit(orphaned)
	}
	p.job = first.Job
	thePerformer = p
	go p.listen()

	suite, report := ginkgo.GinkgoConfiguration()
	rest := []any{ginkgo.AroundNode(p.around)}
	for _, arg := range args {
		switch v := arg.(type) {
		case types.SuiteConfig:
			suite = v
		case types.ReporterConfig:
			report = v
		default:
			rest = append(rest, arg)
		}
	}
	// How often, how long, in which order and how many at a time is the original's business.
	suite.ParallelTotal, suite.ParallelProcess, suite.ParallelHost = 1, 1, ""
	suite.FailOnPending, suite.FailOnEmpty, suite.DryRun, suite.FailFast = false, false, false, false
	suite.Timeout, suite.PollProgressAfter, suite.SleepOnFailure = 0, 0, 0
	report = types.ReporterConfig{NoColor: report.NoColor}
	formatter.ColorableStdOut, formatter.ColorableStdErr = io.Discard, io.Discard
	ginkgo.GinkgoWriter.TeeTo(writer{p})
	if p.job.Unit == "" { // suite nodes run only if a spec does
		ginkgo.It("", own{}, func() {})
	}
	passed := ginkgo.RunSpecs(t, description, append(rest, suite, report)...)
	_ = os.Unsetenv(editorIntegration)
	p.over()
	// What package testing and TestMain print from here on is printed by the original too.
	if null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0); err == nil {
		_ = unix.Dup3(int(null.Fd()), 1, 0)
	}
	return passed
}

// editorIntegration keeps RunSpecs from ending the program where specs are focused. It looks when all have run.
const editorIntegration = "GINKGO_EDITOR_INTEGRATION"

func (p *performer) send(e event) {
	if err := p.link.Send(e); err != nil {
		fmt.Fprintln(os.Stderr, "nstest: the spec's process has lost its connection to the suite's:", err)
		os.Exit(orphaned)
	}
}

// listen takes orders.
func (p *performer) listen() {
	for {
		var o order
		if err := p.link.Receive(&o); err != nil {
			fmt.Fprintln(os.Stderr, "nstest: the spec's process has lost its connection to the suite's:", err)
			os.Exit(orphaned)
		}
		switch {
		case o.Go != nil:
			p.goAhead <- *o.Go
		case o.Progress:
			_ = unix.Kill(os.Getpid(), unix.SIGUSR1) // Ginkgo's signal
		case o.Cancel != nil:
			p.mu.Lock()
			if a := p.running; a != nil {
				a.cancelled = o.Cancel
				a.cancel(errors.New(o.Cancel.Message))
			}
			p.mu.Unlock()
		case o.Abandon != nil:
			p.mu.Lock()
			if a := p.running; a != nil {
				a.cancelled = o.Abandon
				close(a.abandoned)
				p.running = nil
			}
			p.mu.Unlock()
		}
	}
}

// construct runs the body of a container, if the job needs it.
func (p *performer) construct(n *node, body func()) {
	if p == nil { // the program previews its specs
		defer n.enter()()
		body()
		return
	}
	want, ok := p.job.Enter[n.id]
	if !ok {
		return
	}
	if n.container == tree.top {
		defer p.pretend()()
	}
	func() {
		defer n.enter()()
		body()
	}()
	p.check(n, want)
}

// check compares a container with what it is like in the original.
func (p *performer) check(n *node, want uint64) {
	if p.differs == nil && n.digest() != want {
		p.differs = &differs{Container: n.id, Children: n.signatures()}
	}
}

// leavesOut reports whether a spec is none of the job's.
func (p *performer) leavesOut(n *node) bool { return p != nil && n.unit().id != p.job.Unit }

// pretend makes Ginkgo's configuration say to the user what the original's does, until it is called off.
func (p *performer) pretend() (off func()) {
	set := func(process, total int) {
		_ = flag.Set("ginkgo.parallel.process", strconv.Itoa(process))
		_ = flag.Set("ginkgo.parallel.total", strconv.Itoa(total))
	}
	set(p.job.Process, p.job.Total)
	return func() { set(1, 1) }
}

// around is around every node, outside of what the user has put there.
func (p *performer) around(ctx context.Context, body func(context.Context)) {
	in, err := inside(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	p.begun.Do(func() {
		p.pretend()
		*in.reporter = relay{p}
		in.signals.Stop() // interrupts are the original's; a spec that signals itself means itself
		if p.check(tree.top, p.job.Enter[""]); p.differs != nil {
			p.send(event{Differs: p.differs})
			select {} // the original kills us
		}
	})
	number, kind, location := in.running()
	here := place{Node: deferredID(number)}
	if n := at(location); n != nil {
		here.Node = n.id
	}
	switch {
	case kind.Is(reportNodes):
		body(ctx)
		return
	case kind.Is(suiteSetup | suiteTeardown | types.NodeTypeCleanupAfterSuite | types.NodeTypeOnFailureSuite):
		if p.job.Unit != "" || p.isForProcess1(kind) {
			p.runAside(ctx, in, kind, body)
			return
		}
	default:
		in.lock.Lock()
		spec := at(in.report.LeafNodeLocation)
		in.lock.Unlock()
		if spec == nil {
			body(ctx) // our own
			return
		}
		if p.leavesOut(spec) { // one at the top level, which was constructed before there was a job
			in.set(types.SpecStateSkipped, types.Failure{})
			runtime.Goexit()
		}
		here.Spec = spec.id
	}
	p.run(ctx, in, here, body)
}

// isForProcess1 reports whether a synchronized suite node is at its body for process 1, which is the original's.
func (p *performer) isForProcess1(kind types.NodeType) bool {
	if !kind.Is(types.NodeTypeSynchronizedBeforeSuite | types.NodeTypeSynchronizedAfterSuite) {
		return false
	}
	p.synced++
	return p.synced == 1 && kind == types.NodeTypeSynchronizedBeforeSuite || p.synced%2 == 0 && kind == types.NodeTypeSynchronizedAfterSuite
}

// runAside runs a suite node that the original does not see.
func (p *performer) runAside(ctx context.Context, in *insides, kind types.NodeType, body func(context.Context)) {
	if !kind.Is(suiteSetup) {
		p.over()
	}
	p.aside.Store(true)
	defer func() {
		_, p.last = in.registered(p.last)
		p.aside.Store(false)
	}()
	body(ctx)
}

// over says that all nodes have run which the original sees, and waits to end.
func (p *performer) over() {
	p.ended.Do(func() {
		p.send(event{Over: true})
		<-p.goAhead
	})
}

// run runs a node when the original has come to it. The body has a goroutine of its own, so that it can be left behind.
func (p *performer) run(ctx context.Context, in *insides, here place, body func(context.Context)) {
	p.send(event{At: &here})
	ahead := <-p.goAhead
	in.identify(p.job.Process, p.job.Total, ahead.Attempt)
	ctx, cancelCtx := context.WithCancelCause(ctx)
	defer cancelCtx(nil)
	a := &activity{cancel: cancelCtx, abandoned: make(chan struct{})}
	p.mu.Lock()
	p.running = a
	p.mu.Unlock()
	done := make(chan struct{})
	go func() {
		finished := false
		defer close(done)
		defer func() {
			if e := recover(); e != nil || !finished {
				in.failer.Panic(types.NewCodeLocationWithStackTrace(2), e)
			}
		}()
		body(ctx)
		finished = true
	}()
	select {
	case <-done:
	case <-a.abandoned:
	}
	p.mu.Lock()
	p.running = nil
	p.mu.Unlock()
	r := result{}
	r.State, r.Failure = in.failer.Drain()
	r.Defers, p.last = in.registered(p.last)
	r.Entries = p.changedEntries()
	state, failure := r.State, r.Failure
	if c := a.cancelled; c != nil { // then that is the outcome, and what the node said itself comes after it
		state, failure = c.State, types.Failure{Message: c.Message, Location: here.location(in)}
	}
	p.send(event{Result: &r})
	if state != types.SpecStatePassed {
		in.set(state, failure)
	}
	select {
	case <-done:
	default:
		runtime.Goexit() // Ginkgo must not look at what the goroutine left behind may still change
	}
}

func (place) location(in *insides) types.CodeLocation {
	_, _, location := in.running()
	return location
}

// changed is the value as it is sent, if it is not what was sent last. A value that has no JSON is one that Ginkgo's
// reports do not have either.
func (e *sentEntry) changed() (value types.ReportEntryValue, ok bool) {
	data, err := json.Marshal(e.value)
	if err != nil || string(data) == e.json {
		return value, false
	}
	e.json = string(data)
	return value, json.Unmarshal(data, &value) == nil
}

// changedEntries are the entries whose values have changed.
func (p *performer) changedEntries() map[int]types.ReportEntryValue {
	p.mu.Lock()
	defer p.mu.Unlock()
	var changed map[int]types.ReportEntryValue
	for i, e := range p.entries {
		if value, ok := e.changed(); ok {
			if changed == nil {
				changed = map[int]types.ReportEntryValue{}
			}
			changed[i] = value
		}
	}
	return changed
}

// writer is where the GinkgoWriter writes too.
type writer struct{ p *performer }

func (w writer) Write(b []byte) (int, error) {
	if !w.p.aside.Load() {
		w.p.send(event{Write: b})
	}
	return len(b), nil
}

// relay is Ginkgo's reporter in a twin.
type relay struct{ p *performer }

func (relay) SuiteWillBegin(types.Report)                  {}
func (relay) WillRun(types.SpecReport)                     {}
func (relay) EmitFailure(types.SpecState, types.Failure)   {}
func (relay) SuiteDidEnd(types.Report)                     { _ = os.Setenv(editorIntegration, "true") }
func (r relay) EmitProgressReport(pr types.ProgressReport) { r.p.send(event{Progress: &pr}) }

func (r relay) DidRun(report types.SpecReport) {
	if r.p.job.Unit != "" && !report.LeafNodeType.Is(types.NodeTypeIt) {
		r.p.send(event{Setup: &setup{Kind: report.LeafNodeType, Took: report.RunTime, State: report.State, Failure: report.Failure}})
	}
}

func (r relay) EmitReportEntry(entry types.ReportEntry) {
	if r.p.aside.Load() {
		return
	}
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	sent := &sentEntry{value: entry.Value}
	_, _ = sent.changed()
	r.p.entries = append(r.p.entries, sent)
	r.p.send(event{Entry: &entry})
}

func (r relay) EmitSpecEvent(e types.SpecEvent) {
	if e.SpecEventType.Is(types.SpecEventByStart|types.SpecEventByEnd) && !r.p.aside.Load() {
		r.p.send(event{Step: &e})
	}
}
