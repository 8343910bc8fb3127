package specs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"

	"github.com/hermetic-go/nstest/nstest/internal/twin"
)

// A Launcher starts a twin in a new environment, with a config that came from With, or nil, where these paths of the
// machine are visible too. The twin is awaited where somebody waits until it is ready.
type Launcher func(config any, name string, awaited bool, visible []string, stdout, stderr io.Writer, args ...string) (*twin.Twin, error)

// original is the suite's own process while the suite runs. A nil one delegates nothing.
type original struct {
	launch      Launcher
	description string
	args        []string // that make a twin come to RunSpecs
	test        string   // selects the test that calls Run
	spares      spares
	ushered     sync.Once
	scratch     scratch

	mu       sync.Mutex
	ctx      context.Context // of the running node
	previous *session        // of the spec before, until it is ended
	current  *session        // of the spec that runs, or ran last
	suite    *session        // of the suite's own nodes
	data     []byte          // from SynchronizedBeforeSuite
	deferred map[*byte]bool  // marks of what twins have registered
	torn     bool            // SynchronizedAfterSuite has run its function for all processes
	finished sync.WaitGroup  // sessions that are ending
	ends     []error         // how they failed at that
	setup    time.Duration   // that BeforeSuite has taken in the specs' twins, together
	setups   int
}

var theOriginal *original

// Run is ginkgo.RunSpecs, with every spec in a twin. In a twin it performs its job.
func Run(t ginkgo.GinkgoTestingT, launch Launcher, description string, args ...any) bool {
	args = ForAll(args)
	if isTwin() {
		return perform(t, description, args)
	}
	config, _ := ginkgo.GinkgoConfiguration()
	o := &original{launch: launch, description: description, deferred: map[*byte]bool{}, test: ".", args: []string{"-ginkgo.seed=" + strconv.FormatInt(config.RandomSeed, 10)}}
	if named, ok := t.(interface{ Name() string }); ok {
		o.test = twin.Pattern(named.Name())
		o.args = append(o.args, "-test.run="+o.test)
	}
	o.spares = spares{original: o, limit: spareLimit()}
	theOriginal = o
	defer func() {
		theOriginal = nil
		underWay.Store(false)
	}()
	around := []any{ginkgo.AroundNode(o.around)}
	for _, arg := range args {
		if v, ok := arg.(types.AroundNodeDecorator); ok {
			arg = aroundHere(v)
		}
		around = append(around, arg)
	}
	defer func() {
		if err := o.close(); err != nil {
			fmt.Fprintln(os.Stderr, "nstest:", err)
			t.Fail()
		}
	}()
	return ginkgo.RunSpecs(t, description, around...)
}

// around is around every node.
func (o *original) around(ctx context.Context, body func(context.Context)) {
	underWay.Store(true)
	o.mu.Lock()
	o.ctx = ctx
	o.mu.Unlock()
	o.ushered.Do(func() {
		if in, err := inside(ctx); err == nil { // else the nodes say so
			*in.reporter = &usher{Reporter: *in.reporter, original: o}
		}
	})
	if in, err := inside(ctx); err == nil {
		if _, kind, _ := in.running(); kind.Is(suiteSetup) && !o.delegates() {
			o.setUpHere(func() { body(ctx) })
			return
		}
	}
	body(ctx)
}

// context is that of the node that runs.
func (o *original) context() context.Context {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.ctx
}

// delegates reports whether a twin runs the node that is about to run.
func (o *original) delegates() bool {
	if o == nil {
		return false
	}
	in, err := inside(o.context())
	if err != nil {
		return false // the node will say so
	}
	_, kind, location := in.running()
	switch {
	case kind.Is(specNodes | types.NodeTypeCleanupAfterEach | types.NodeTypeCleanupAfterAll | types.NodeTypeOnFailureEach | types.NodeTypeOnFailureAll):
		n := at(in.report.LeafNodeLocation)
		return n != nil && !n.staysHere()
	case kind.Is(types.NodeTypeCleanupAfterSuite | types.NodeTypeOnFailureSuite):
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.deferred[mark(location)]
	case kind.Is(suiteSetup | suiteTeardown):
		n := at(location)
		return n != nil && o.delegatesSuite(n) && !o.atProcess1(in, kind)
	}
	return false
}

// atProcess1 reports whether a synchronized suite node is at its function for process 1, which runs here.
func (o *original) atProcess1(in *insides, kind types.NodeType) bool {
	switch kind {
	case types.NodeTypeSynchronizedBeforeSuite:
		return *in.process1
	case types.NodeTypeSynchronizedAfterSuite:
		return o.torn
	}
	return false
}

// delegatesSuite reports whether a twin runs a suite node. A suite with specs that stay here has its set-up here.
func (o *original) delegatesSuite(n *node) bool {
	if n.inProcess {
		return false
	}
	here := false
	tree.top.walk(func(m *node) {
		switch {
		case m.kind == types.NodeTypeIt:
			here = here || m.staysHere()
		case m.kind.Is(suiteSetup) && n.kind.Is(suiteTeardown): // what has set up, tears down
			here = here || m.inProcess
		}
	})
	return !here
}

// run runs a node in a twin, if it is one for twins. Without a context it is that of the node that runs.
func (o *original) run(ctx context.Context, n *node, data []byte) bool {
	if o == nil {
		return false
	}
	if ctx == nil {
		ctx = o.context()
	}
	in, err := inside(ctx)
	if err != nil {
		ginkgo.Fail(err.Error())
	}
	if n.kind.Is(suiteSetup | suiteTeardown) {
		if n.kind.Is(suiteSetup) {
			o.data = o.unpack(data)
		}
		if !o.delegatesSuite(n) {
			o.spares.drop()
			return false
		}
		o.runSuiteNode(ctx, in, n)
		return true
	}
	spec := at(in.report.LeafNodeLocation)
	if spec == nil {
		ginkgo.Fail("nstest: Ginkgo runs a spec that it has not constructed")
	}
	if spec.staysHere() {
		o.spares.drop() // what this spec does may be meant for those after it
		return false
	}
	detach := attach(ctx, reportStart)
	s, err := o.session(spec, in.report.NumAttempts)
	detach()
	if err != nil {
		in.set(types.SpecStateFailed, types.Failure{Message: err.Error(), Location: n.location})
		return true
	}
	s.run(ctx, in, n.id, spec, n.location, n.kind)
	return true
}

// runSuiteNode runs a suite node in a twin that is for them alone, and in which BeforeSuite and AfterSuite both run.
func (o *original) runSuiteNode(ctx context.Context, in *insides, n *node) {
	if n.kind.Is(suiteTeardown) {
		o.endCurrent()
		o.finished.Wait()
	}
	if o.suite == nil {
		detach := attach(ctx, reportStart)
		s, err := o.begin(nil, 1, n.environment(), o.description)
		detach()
		if err != nil {
			in.set(types.SpecStateFailed, types.Failure{Message: err.Error(), Location: n.location})
			return
		}
		o.suite = s
	}
	o.torn = n.kind.Is(suiteTeardown)
	o.suite.run(ctx, in, n.id, nil, n.location, n.kind)
	if !n.kind.Is(suiteTeardown) {
		return
	}
	o.mu.Lock()
	err := errors.Join(o.ends...)
	o.ends = nil
	o.mu.Unlock()
	if err != nil {
		in.set(types.SpecStateFailed, types.Failure{Message: err.Error(), Location: n.location})
	}
}

// session is the one in which an attempt at a spec runs. An Ordered container has one for all its specs.
func (o *original) session(spec *node, attempt int) (*session, error) {
	unit := spec.unit()
	if s := o.current; s != nil {
		if s.unit == unit && (unit != spec || s.attempt == attempt) {
			return s, nil
		}
		o.leaveCurrent()
	}
	s, err := o.begin(unit, attempt, spec.environment(), spec.fullText())
	if err != nil {
		return nil, err
	}
	o.current = s
	return s, nil
}

// begin starts a session. A nil unit is for the suite's own nodes.
func (o *original) begin(unit *node, attempt int, config any, name string) (*session, error) {
	t := o.spares.take(config, unit)
	if t == nil {
		var err error
		if t, err = o.start(config, name, true); err != nil {
			return nil, err
		}
	}
	s := &session{original: o, twin: t, unit: unit, attempt: attempt, config: config}
	t.Runs(name)
	if err := s.beginRecord(name); err != nil {
		s.refuse(err)
		return s, nil
	}
	j := newJob(unit, o.data)
	j.Record = t.Recorder != nil
	_ = t.Link.Send(order{Job: j}) // if it has ended, whoever waits for it says why
	return s, nil
}

func (o *original) start(config any, name string, awaited bool) (*twin.Twin, error) {
	var stderr io.Writer = standardOutput{}
	if !twin.SameOutput() {
		stderr = standardError{}
	}
	return o.launch(config, name, awaited, o.scratch.visible(), standardOutput{}, stderr, o.args...)
}

// Standard output and error may be exchanged while Ginkgo intercepts them.
type (
	standardOutput struct{}
	standardError  struct{}
)

func (standardOutput) Write(p []byte) (int, error) { return os.Stdout.Write(p) }
func (standardError) Write(p []byte) (int, error)  { return os.Stderr.Write(p) }

// newJob says what is to be constructed for unit: the containers that it is in, and everything in it.
func newJob(unit *node, data []byte) *job {
	if unit == nil {
		return jobIn(tree.top, data)
	}
	j := jobIn(unit.container, data)
	j.Unit = unit.id
	unit.walk(func(n *node) {
		if n.kind == types.NodeTypeContainer {
			j.Enter[n.id] = n.digest()
		}
	})
	return j
}

// jobAmong is what comes before the job to run one of the specs in c.
func (o *original) jobAmong(c *node) *job {
	j := jobIn(c, o.data)
	j.Among = c.id
	return j
}

// jobIn is a job in c.
func jobIn(c *node, data []byte) *job {
	suite, report := ginkgo.GinkgoConfiguration()
	j := &job{
		Enter: map[string]uint64{}, Data: data, Layout: knownLayout(), Process: suite.ParallelProcess, Total: suite.ParallelTotal,
		Verbose: suite.ParallelTotal == 1 && report.Verbosity().GTE(types.VerbosityLevelVerbose),
	}
	for ; c != nil; c = c.container {
		j.Enter[c.id] = c.digest()
	}
	if j.Layout == nil { // a twin does not know where containers are at the top
		j.Enter[""] = tree.top.digestTexts()
	}
	return j
}

// leaveCurrent makes the session of the spec before the previous one.
func (o *original) leaveCurrent() {
	o.endPrevious()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.previous, o.current = o.current, nil
}

// endPrevious ends the previous session, in the background.
func (o *original) endPrevious() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s := o.previous; s != nil {
		o.previous = nil
		o.finished.Go(func() { o.note(s.end()) })
	}
}

// endCurrent ends all sessions of specs, in the background.
func (o *original) endCurrent() {
	o.leaveCurrent()
	o.endPrevious()
}

// settling is what the processors have for a spec alone when it begins.
const settling = time.Millisecond

// settle does what need not be done before a node begins, and would take a processor from it: ending the spec before, and
// if the node is the spec itself preparing the next one. The node calls ended when it ends, if that is sooner.
func (o *original) settle(s *session, kind types.NodeType) (ended func()) {
	do := sync.OnceFunc(func() {
		o.endPrevious()
		if kind == types.NodeTypeIt {
			o.spares.refill(s.config, nextAmong(s.unit, s.config))
		}
	})
	timer := time.AfterFunc(settling, do)
	return func() {
		timer.Stop()
		do()
	}
}

func (o *original) note(err error) {
	if err != nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.ends = append(o.ends, err)
	}
}

// close ends what still runs.
func (o *original) close() error {
	o.endCurrent()
	if s := o.suite; s != nil {
		o.finished.Go(func() { o.note(s.end()) })
	}
	o.spares.close()
	o.finished.Wait()
	o.note(o.scratch.tidy())
	if o.setups > 1 && o.setup > time.Second {
		fmt.Fprintf(os.Stderr, "nstest: BeforeSuite ran in the process of each of %d specs, and took %v together.\n"+
			"Have SynchronizedBeforeSuite do once what is slow, and hand out the outcome; or decorate BeforeSuite with nstest.InProcess.\n",
			o.setups, o.setup.Round(10*time.Millisecond))
	}
	return errors.Join(o.ends...)
}
