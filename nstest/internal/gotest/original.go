package gotest

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/twin"
)

// An Environment is one that a test's function is to run in. It does not exist yet.
type Environment struct {
	// Start makes it and starts a twin in it, as planned. When that has ended, collect is called before the environment
	// ends.
	Start func(plan twin.Plan, collect func(OpenRoot) error) (*twin.Twin, error)

	// OwnTmp says that its /tmp is its own, so that artifacts can be put there.
	OwnTmp bool
}

// OpenRoot opens the root directory of an environment.
type OpenRoot func() (*os.File, error)

// An original is a test whose function runs in a twin.
type original struct {
	t      *testing.T
	path   []call
	env    Environment
	replay *replay
	parser *parser
	twin   *twin.Twin

	mu       sync.Mutex
	last     stage
	failed   bool // it is known that the test has failed
	stopped  bool // the twin was told to say where it stands and to end, as the time is up
	timedOut bool // and it did
}

// runOriginal makes happen to t what happens to it in a twin.
func runOriginal(t *testing.T, path []call, env Environment) {
	t.Helper()
	o := &original{t: t, path: path, env: env}
	if err := o.start(); err != nil {
		t.Fatal(err)
	}
	root := o.replay.root
	go o.converse()
	defer o.alarm()()
	root.run()
	v, ended := root.settle()
	o.mu.Lock()
	last := o.last
	o.mu.Unlock()
	switch {
	case ended && v.message != "":
		t.FailNow()
	case last.Exited && last.Skipped:
		t.SkipNow()
	case last.Exited:
		t.FailNow()
	}
}

func (o *original) start() error {
	o.replay = newReplay(o.t.Name(), os.Stdout, o.hold)
	o.parser = &parser{listener: o.replay}
	plan := twin.Plan{Work: work, Args: o.arguments(), Stdout: o.parser}
	if !testing.Verbose() {
		// What tests print is shown at once, what they log only if they fail.
		plan.Stdout, plan.Reports = os.Stdout, o.parser
		o.parser.reports = true
	}
	plan.Stderr = plan.Stdout
	if !twin.SameOutput() {
		plan.Stderr = os.Stderr
	}
	var err error
	if o.twin, err = o.env.Start(plan, o.collect); err != nil {
		return err
	}
	if err := o.beginRecord(); err != nil {
		return errors.Join(err, o.twin.Stop())
	}
	o.replay.root.start(o.t)
	// Where this fails the twin has ended, which the conversation will find.
	_ = o.twin.Link.Send(job{Path: o.path, Verbose: flagValue("test.v"), Record: o.twin.Recorder != nil})
	return nil
}

// arguments make a twin run this test and no other.
func (o *original) arguments() []string {
	args := []string{
		"-test.v=test2json",
		"-test.run=" + selection(flagValue("test.run"), o.t.Name()),
		"-test.skip=" + flagValue("test.skip"),
	}
	if flagValue("test.cpu") != "" {
		args = append(args, fmt.Sprintf("-test.cpu=%d", runtime.GOMAXPROCS(0)))
	}
	if deadline, ok := o.t.Deadline(); ok {
		args = append(args, "-test.timeout="+max(time.Until(deadline), time.Millisecond).String())
	}
	if flagValue("test.artifacts") == "true" && o.env.OwnTmp {
		args = append(args, "-test.artifacts", "-test.outputdir="+outputDir)
	}
	return args
}

// hold stops the twin, or lets it go on.
func (o *original) hold(stop bool) {
	sig := syscall.SIGCONT
	if stop {
		sig = syscall.SIGSTOP
	}
	_ = o.twin.Signal(sig) // it can only have ended
}

// converse accompanies the twin to its end.
func (o *original) converse() {
	for {
		var s stage
		if err := o.twin.Link.Receive(&s); err != nil {
			break
		}
		o.twin.Output.Flush()
		o.recordStage(s)
		o.enter(s)
		_ = o.twin.Link.Send(answer{Bundle: o.twin.Place()})
	}
	state, err := o.twin.Wait()
	o.end(state, errors.Join(err, o.twin.Stop()))
}

// enter takes note of how far the twin has come.
func (o *original) enter(s stage) {
	o.mu.Lock()
	o.last = s
	o.mu.Unlock()
	switch s.Name {
	case reached:
		o.twin.Output.Show()
	case returned:
		o.replay.returned()
	case finished:
		o.twin.MayEnd()
		o.twin.Output.Hide()
	}
}

// end ends the test as it ended in the twin, or as the twin ended.
func (o *original) end(state string, err error) {
	o.parser.flush()
	o.mu.Lock()
	last := o.last
	o.timedOut = o.stopped && last.Name != finished
	timedOut := o.timedOut
	o.mu.Unlock()
	if timedOut {
		_ = o.twin.EndRecord(nil)
		return // the alarm that package testing has set ends the program any moment
	}
	bad := o.ending(last, state, nil)
	o.recordEnd(bad)
	err = errors.Join(err, o.twin.EndRecord(nil))
	o.replay.mu.Lock()
	defer o.replay.mu.Unlock()
	o.replay.abandon()
	v := verdict{failed: last.Failed, skipped: last.Skipped}
	if text := o.ending(last, state, errors.Join(append(o.replay.errs, err)...)); text != "" {
		v = verdict{failed: true, message: text}
	}
	o.replay.end(o.replay.root, v)
}

// ending is what there is to say about how the twin has ended; "" if that was as it should be.
func (o *original) ending(last stage, state string, err error) string {
	var text string
	words := o.twin.Output.LastWords()
	tail := printed(words)
	switch {
	case last.Name == "" && state == "exit status 0":
		text = "nstest: the process for this test did not come to Run: the test has to have the same name, and to call Run, in every process"
	case last.Name == "":
		text = "nstest: the process for this test ended before Run, in TestMain or in what precedes Run: " + state
	case last.Name != finished:
		text = "nstest: the process of this test ended: " + state
	case last.Failed && (state == "exit status 1" || state == "exit status 66"): // 66 is the race detector's
	case !last.Failed && state == "exit status 0":
	case state == "exit status 1" && failedLine.MatchString(words): // what surrounds Run has failed there, and shall fail here if it does
	default:
		text = "nstest: the process of this test ended badly after it: " + state
	}
	if text != "" && !o.twin.Output.Shown() {
		text += tail
	}
	if err != nil {
		text += "\n" + err.Error()
	}
	return strings.TrimPrefix(text, "\n")
}

// failedLine is what package testing says at the end of a program whose tests have failed.
var failedLine = regexp.MustCompile(`(?m)^\x16?FAIL$`)

// printed is output without what package testing has said in it about tests.
func printed(output string) string {
	var b strings.Builder
	for line := range strings.Lines(output) {
		if text := strings.TrimRight(line, "\n"); strings.IndexByte(text, marker) < 0 && text != "" {
			b.WriteString("\n" + text)
		}
	}
	return b.String()
}

// alarm makes the twin say where its goroutines stand before the time of the whole is up, while there is somebody to
// show it. The function that it returns ends that.
func (o *original) alarm() (cancel func()) {
	deadline, ok := o.t.Deadline()
	if !ok {
		return func() {}
	}
	left := time.Until(deadline)
	timer := time.AfterFunc(left-min(left/10, 2*time.Second), func() {
		o.mu.Lock()
		o.stopped = true
		o.mu.Unlock()
		o.replay.hurry()
		o.recordTimeout()
		if err := o.twin.Signal(syscall.SIGQUIT); err == nil {
			o.twin.Output.Show()
		}
	})
	return func() { timer.Stop() }
}

// collect copies what the tests have left in their directories for artifacts.
func (o *original) collect(open OpenRoot) error {
	o.replay.mu.Lock()
	artifacts := o.replay.artifacts
	o.replay.mu.Unlock()
	if len(artifacts) == 0 {
		return nil
	}
	root, err := open()
	if err != nil {
		return err
	}
	defer root.Close()
	var errs []error
	for _, a := range artifacts {
		if err := copyArtifacts(root, a); err != nil {
			errs = append(errs, fmt.Errorf("nstest: collect artifacts from %s: %w", a.inside, err))
		}
	}
	return errors.Join(errs...)
}
