package specs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"

	"github.com/hermetic-go/nstest/nstest/internal/record"
	"github.com/hermetic-go/nstest/nstest/internal/scribe"
)

// beginRecord begins the bundle of a session, if there is to be one. An Ordered container has one for all its specs, named
// after the first that fails.
func (s *session) beginRecord(name string) error {
	if s.twin.Recorder == nil {
		return nil
	}
	config, _ := ginkgo.GinkgoConfiguration()
	m := record.Manifest{
		Test: name, Suite: s.original.description, Package: scribe.Package(), Attempt: s.attempt, Seed: config.RandomSeed,
	}
	focus := "^" + regexp.QuoteMeta(s.original.description)
	switch { // Ginkgo looks for what is in focus in the suite's description and the spec's texts
	case s.unit == nil:
		focus = ""
	case s.unit.kind == types.NodeTypeContainer:
		focus += regexp.QuoteMeta(" " + s.unit.fullText() + " ")
	default:
		focus += regexp.QuoteMeta(" "+s.unit.fullText()) + "$"
	}
	var flags []string
	if focus != "" {
		flags = append(flags, "-ginkgo.focus="+focus)
	}
	m.Repeat = scribe.Repeat(m.Package, s.original.test, append(flags, "-ginkgo.seed="+strconv.FormatInt(config.RandomSeed, 10))...)
	return s.twin.Recorder.Begin(m)
}

// awaitRecord waits until the environment is recorded.
func (s *session) awaitRecord() {
	if s.twin.Recorder != nil {
		s.twin.Recorder.Ready()
	}
}

// recordNode says that a node begins, and writes the event of that. The function that it returns writes that of its end.
func (s *session) recordNode(in *insides) (ended func(state types.SpecState)) {
	in.lock.Lock()
	kind, text := as[types.NodeType](field(in.node, "NodeType")).String(), as[string](field(in.node, "Text"))
	location := as[types.CodeLocation](field(in.node, "CodeLocation"))
	in.lock.Unlock()
	s.inNode = func() { s.twin.At(kind, position(location)) }
	s.inNode()
	if s.twin.Recorder == nil {
		return func(types.SpecState) {}
	}
	e := record.Event{Time: time.Now(), Kind: record.KindNode, Text: strings.TrimSpace(kind + " " + text), Location: position(location)}
	s.twin.Record(e)
	return func(state types.SpecState) {
		now := time.Now()
		e.Time, e.Took, e.State = now, now.Sub(e.Time), state.String()
		s.twin.Record(e)
	}
}

// recordStep says that a step begins or ends, and writes the event of that. It happened when the twin says: what followed there
// may be in the record already.
func (s *session) recordStep(step *types.SpecEvent) {
	if step.SpecEventType == types.SpecEventByStart {
		s.twin.At(step.Message, position(step.CodeLocation))
	} else {
		s.inNode()
	}
	if s.twin.Recorder == nil {
		return
	}
	s.twin.Record(record.Event{Time: step.TimelineLocation.Time, Kind: record.KindStep, Text: step.Message, Location: position(step.CodeLocation), Took: step.Duration})
}

// position is a place as "file:line"; "" if it is none.
func position(l types.CodeLocation) string {
	if l.FileName == "" {
		return ""
	}
	return filepath.Clean(l.FileName) + ":" + strconv.Itoa(l.LineNumber)
}

// fail notes that the twin has failed, as state says. It is called where the twin waits, before anything is cleaned up, or
// where it has died.
func (s *session) fail(spec *node, kind types.NodeType, state string, f types.Failure, goroutines func() []byte) {
	message := f.Message
	if f.ForwardedPanic != "" {
		message += "\n" + f.ForwardedPanic
	}
	n := s.twin.Fail(s.name(spec), record.Failure{
		Message: message, Location: position(f.Location), Node: kind.String(), State: state, Stack: f.Location.FullStackTrace,
	}, goroutines)
	if n == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notice, s.noticed = n, f.Location
}

// cancelled notes that the running node has not ended in time, while it is still there: nothing of it is undone.
func (s *session) cancelled(spec *node, kind types.NodeType, location types.CodeLocation, c *cancel) {
	if s.twin.Recorder == nil {
		return
	}
	s.late.Store(true)
	s.fail(spec, kind, c.State.String(), types.Failure{Message: c.Message, Location: location}, s.goroutines)
}

// goroutinesTimeout is how long a twin may take to say where its goroutines are.
const goroutinesTimeout = 2 * time.Second

// goroutines are the twin's. Somebody else has to receive what it says.
func (s *session) goroutines() []byte {
	answer := make(chan []byte, 1)
	s.mu.Lock()
	s.dump = answer
	s.mu.Unlock()
	if err := s.twin.Link.Send(order{Goroutines: true}); err != nil {
		return nil
	}
	timeout := time.NewTimer(goroutinesTimeout)
	defer timeout.Stop()
	select {
	case dump := <-answer:
		return dump
	case <-timeout.C:
		return nil
	}
}

// entryName is the name of the report entry whose value is the path of a bundle.
const entryName = "nstest bundle"

// announce says where the bundle is, if that is to be said: in all of Ginkgo's reports, with what processes have printed
// last, and in those for JUnit as Jenkins and GitLab want it for files that they are to show. It is called while a node of the spec runs.
func (s *session) announce(in *insides) {
	s.mu.Lock()
	n, location := s.notice, s.noticed
	s.notice = nil
	s.mu.Unlock()
	if n == nil {
		return
	}
	if n.Last != "" {
		fmt.Fprintf(ginkgo.GinkgoWriter, "What processes have printed last:\n%s", n.Last)
	}
	ginkgo.AddReportEntry(entryName, n.Path, location, types.ReportEntryVisibilityFailureOrVerbose)
	var b strings.Builder
	for _, file := range n.Attachments {
		fmt.Fprintf(&b, "[[ATTACHMENT|%s]]\n", file)
	}
	in.capture(b.String())
}

// endRecord completes the bundle, or removes it: the session has ended, which was bad if there is an error.
func (s *session) endRecord(bad error) error {
	s.mu.Lock()
	n := s.notice
	s.mu.Unlock()
	if n != nil { // Ginkgo had gone on when it was known
		fmt.Fprintf(os.Stderr, "nstest: bundle %s\n", n.Path)
	}
	return s.twin.EndRecord(bad)
}
