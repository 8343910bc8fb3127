package specs

import (
	"slices"
	"strings"
	"time"

	"github.com/onsi/ginkgo/v2/reporters"
	"github.com/onsi/ginkgo/v2/types"
)

// report is the progress of the node that runs, and what its environment is like, for Ginkgo's own report.
func (s *session) report() string {
	environment := make(chan string, 1)
	go func() { environment <- s.twin.Describe() }()
	text := s.reportNode()
	if e := <-environment; e != "" {
		text = strings.TrimSuffix(text, "\n") + "\n\nIn the spec's environment:\n" + e
	}
	return text
}

func (s *session) reportNode() string {
	answer := make(chan types.ProgressReport, 1)
	s.mu.Lock()
	s.progress = answer
	s.mu.Unlock()
	if err := s.twin.Link.Send(order{Progress: true}); err != nil {
		return ""
	}
	timeout := time.NewTimer(progressTimeout)
	defer timeout.Stop()
	var r types.ProgressReport
	select {
	case r = <-answer:
	case <-timeout.C:
		return "The spec's process does not answer."
	}
	var b strings.Builder
	for _, text := range r.AdditionalReports {
		b.WriteString(text + "\n")
	}
	r = types.ProgressReport{Message: "In the spec's process:", LeafNodeText: r.LeafNodeText, LeafNodeLocation: r.LeafNodeLocation, ContainerHierarchyTexts: r.ContainerHierarchyTexts,
		CurrentNodeType: r.CurrentNodeType, CurrentNodeText: r.CurrentNodeText, CurrentNodeLocation: r.CurrentNodeLocation, CurrentNodeStartTime: r.CurrentNodeStartTime,
		SpecStartTime: r.SpecStartTime, CurrentStepText: r.CurrentStepText, CurrentStepLocation: r.CurrentStepLocation, CurrentStepStartTime: r.CurrentStepStartTime,
		Goroutines: r.Goroutines, TimelineLocation: r.TimelineLocation}
	reporters.NewDefaultReporter(types.ReporterConfig{NoColor: true}, &b).EmitProgressReport(r)
	return b.String()
}

// progressTimeout is below what Ginkgo gives to those whom it asks about progress.
const progressTimeout = 4 * time.Second

// theUsers is a twin's progress report without what is ours. Ginkgo takes for the spec's goroutine the first that has
// its runNode on the stack; but that may be the one that waits, and not the one that runs the node.
func theUsers(r types.ProgressReport) types.ProgressReport {
	var list []types.Goroutine
	for _, g := range r.Goroutines {
		if !calls(g, "/internal/ginkgo/specs.(*performer).runBeside(") {
			g.Stack = slices.DeleteFunc(slices.Clone(g.Stack), func(f types.FunctionCall) bool { return strings.Contains(f.Function, "/internal/ginkgo/specs.") })
			list = append(list, g)
		}
	}
	if !slices.ContainsFunc(list, func(g types.Goroutine) bool { return g.IsSpecGoroutine }) {
		if i := slices.IndexFunc(list, func(g types.Goroutine) bool { return calls(g, ".(*Suite).runNode.func") }); i >= 0 {
			list[i].IsSpecGoroutine = true
		}
	}
	r.Goroutines = list
	return r
}

func calls(g types.Goroutine, function string) bool {
	return slices.ContainsFunc(g.Stack, func(f types.FunctionCall) bool { return strings.Contains(f.Function, function) })
}
