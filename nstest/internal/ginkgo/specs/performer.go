package specs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
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
	link        *twin.Link
	job         *job
	chosen      chan *job // that a job with Among has announced
	goAhead     chan goOn
	inside      *insides
	differs     *differs
	aside       atomic.Bool
	signalsLeft func() bool // of leaveSignals; called before each body
	begun       sync.Once
	ended       sync.Once
	synced      int // how often a synchronized suite node has run

	settings []setting
	shown    chan struct{} // the original has shown what it was sent
	showing  sync.Mutex

	mu       sync.Mutex
	running  *activity // until its body has ended
	ending   *activity // until Ginkgo has ended it
	left     *cancel   // how the original has ended a node that Ginkgo had to be interrupted for
	entries  []*sentEntry
	last     uint64          // number of the newest deferred node that the original has been told of
	unwanted map[string]bool // deferred nodes that it does not know
	written  int             // how much of what the GinkgoWriter has it was sent
}

// sentEntry is the value of a report entry, and what the original has of it.
type sentEntry struct {
	value types.ReportEntryValue
	json  string
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
	p := &performer{link: twin.This().Link, chosen: make(chan *job, 1), goAhead: make(chan goOn), unwanted: map[string]bool{}, shown: make(chan struct{}, 1)}
	if p.link.Waits() {
		rehearse()
	}
	var first order
	if err := p.link.Receive(&first); err != nil || first.Job == nil {
		os.Exit(orphaned)
	}
	p.job = first.Job
	thePerformer = p
	go p.listen()
	p.job.Layout.keep(p.needs)

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
	p.reconfigure(&suite, &report)
	formatter.ColorableStdOut, formatter.ColorableStdErr = io.Discard, io.Discard
	ginkgo.GinkgoWriter.TeeTo(writer{p})
	if p.job.Unit == "" && p.job.Among == "" { // suite nodes run only if a spec does
		ginkgo.It("", own{}, ginkgo.Focus, func() {})
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

// show sends what the original prints at once, in verbose mode, and then waits until it has: what is printed here after
// that goes another way.
func (p *performer) show(e event) {
	p.showing.Lock()
	defer p.showing.Unlock()
	p.showLocked(e)
}

func (p *performer) showLocked(e event) {
	e.Show = p.job.Verbose
	p.send(e)
	if e.Show {
		<-p.shown
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
		case o.Job != nil:
			p.chosen <- o.Job
		case o.Go != nil:
			p.goAhead <- *o.Go
		case o.Shown:
			p.shown <- struct{}{}
		case o.Progress:
			p.sendDeferred()                         // the original may be about to go on without the node
			_ = unix.Kill(os.Getpid(), unix.SIGUSR1) // Ginkgo's signal
		case o.Goroutines:
			p.send(event{Goroutines: twin.Stacks()})
		case o.Cancel != nil:
			p.mu.Lock()
			if a := p.running; a != nil {
				a.cancelled = o.Cancel
				a.cancel(errors.New(o.Cancel.Cause))
			}
			p.mu.Unlock()
		case o.Abandon != nil:
			p.mu.Lock()
			if a := p.running; a != nil {
				a.cancelled = o.Abandon
				close(a.abandoned)
				p.running = nil
				if !a.cancellable {
					p.left = o.Abandon
					p.inside.interrupt()
				}
			}
			p.mu.Unlock()
		}
	}
}

// around is around every node, outside of what the user has put there.
func (p *performer) around(ctx context.Context, body func(context.Context)) {
	in, err := inside(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	p.begun.Do(func() {
		underWay.Store(true)
		p.awaitChoice()
		p.pretend()
		p.mu.Lock()
		p.inside = in
		p.mu.Unlock()
		*in.reporter = relay{p}
		p.signalsLeft = in.leaveSignals()
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
	case kind.Is(reportNodes), p.isUnwanted(here.Node):
		pass(in)
	case kind.Is(suiteSetup | suiteTeardown | types.NodeTypeCleanupAfterSuite | types.NodeTypeOnFailureSuite):
		if p.job.Unit != "" || p.isForProcess1(kind) {
			p.runAside(ctx, in, kind, body)
			return
		}
	default:
		in.lock.Lock()
		spec := at(in.report.LeafNodeLocation)
		in.lock.Unlock()
		if spec == nil || p.leavesOut(spec) { // our own, or one at the top level, which was constructed before there was a job
			pass(in)
		}
		here.Spec = spec.id
	}
	p.run(ctx, in, here, body)
}

// pass ends a node that the job does not need, and that nothing of the user's is to run for, not even what is around it.
func pass(in *insides) {
	in.set(types.SpecStateSkipped, types.Failure{})
	runtime.Goexit()
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
	if p.job.Unit != "" && !kind.Is(suiteSetup) {
		p.over()
	}
	p.aside.Store(true)
	p.signalsLeft()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
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

// conclude sends the result of the node that Ginkgo has just ended, if it is one that the original sees.
func (p *performer) conclude() {
	p.mu.Lock()
	a := p.ending
	p.ending = nil
	p.mu.Unlock()
	if a == nil {
		return
	}
	select {
	case <-a.abandoned:
		p.forgetDeferred()
	default:
		p.sendDeferred()
	}
	p.catchUp()
	a.result.Entries = p.changedEntries()
	if p.job.Record && a.result.State.Is(types.SpecStateFailureStates) {
		a.result.Goroutines = twin.Stacks()
	}
	p.send(event{Result: &a.result})
}

// sendDeferred tells the original what has been registered that it does not know of.
func (p *performer) sendDeferred() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.inside == nil || p.aside.Load() {
		return
	}
	var list []deferred
	if list, p.last = p.inside.registered(p.last); len(list) > 0 {
		p.send(event{Defers: list})
	}
}

// forgetDeferred is for a node that the original has left behind: what it has not been told of does not run.
func (p *performer) forgetDeferred() {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []deferred
	list, p.last = p.inside.registered(p.last)
	for _, d := range list {
		p.unwanted[d.Node] = true
	}
}

func (p *performer) isUnwanted(node string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.unwanted[node]
}

// changed is the value as it is sent, if it is not what was sent last. A value that has no JSON is one that Ginkgo's
// reports do not have either.
func (e *sentEntry) changed() (value json.RawMessage, ok bool) {
	data, err := json.Marshal(e.value)
	if err != nil || string(data) == e.json {
		return nil, false
	}
	e.json = string(data)
	return data, true
}

// changedEntries are the entries whose values have changed.
func (p *performer) changedEntries() map[int]json.RawMessage {
	p.mu.Lock()
	defer p.mu.Unlock()
	var changed map[int]json.RawMessage
	for i, e := range p.entries {
		if value, ok := e.changed(); ok {
			if changed == nil {
				changed = map[int]json.RawMessage{}
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
		w.p.mu.Lock()
		w.p.written += len(b)
		w.p.mu.Unlock()
		w.p.show(event{Write: b})
	}
	return len(b), nil
}

// catchUp sends what the GinkgoWriter has but has not written to us, because the user has cleared its tee writers.
func (p *performer) catchUp() {
	if p.aside.Load() {
		return
	}
	all := p.inside.writer.Bytes()
	p.mu.Lock()
	missing := all[min(p.written, len(all)):]
	p.written += len(missing)
	p.mu.Unlock()
	if len(missing) > 0 {
		p.show(event{Write: missing})
		ginkgo.GinkgoWriter.TeeTo(writer{p})
	}
}

// relay is Ginkgo's reporter in a twin.
type relay struct{ p *performer }

func (relay) SuiteWillBegin(types.Report) {}
func (relay) WillRun(types.SpecReport)    {}
func (relay) SuiteDidEnd(types.Report)    { _ = os.Setenv(editorIntegration, "true") }

func (r relay) EmitProgressReport(report types.ProgressReport) {
	report = theUsers(report)
	r.p.send(event{Progress: &report})
}

func (r relay) DidRun(report types.SpecReport) {
	if r.p.job.Unit != "" && !report.LeafNodeType.Is(types.NodeTypeIt|reportNodes) {
		r.p.send(event{Setup: &setup{Kind: report.LeafNodeType, Took: report.RunTime, State: report.State, Failure: report.Failure}})
	}
}

func (r relay) EmitFailure(state types.SpecState, f types.Failure) {
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	if a := r.p.ending; a != nil && a.cancelled == nil {
		a.result.State = state
		a.result.Failure = types.Failure{Message: f.Message, Location: f.Location, ForwardedPanic: f.ForwardedPanic}
	}
}

func (r relay) EmitReportEntry(entry types.ReportEntry) {
	if r.p.aside.Load() {
		return
	}
	r.p.catchUp()
	sent := &sentEntry{value: entry.Value}
	_, _ = sent.changed()
	r.p.showing.Lock() // they are known by their order
	defer r.p.showing.Unlock()
	r.p.mu.Lock()
	r.p.entries = append(r.p.entries, sent)
	r.p.mu.Unlock()
	r.p.showLocked(event{Entry: &entry})
}

func (r relay) EmitSpecEvent(e types.SpecEvent) {
	switch {
	case e.SpecEventType == types.SpecEventNodeEnd:
		r.p.conclude()
	case e.SpecEventType.Is(types.SpecEventByStart|types.SpecEventByEnd) && !r.p.aside.Load():
		r.p.catchUp()
		r.p.show(event{Step: &e})
	}
}
