package specs

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/onsi/ginkgo/v2/reporters"
	"github.com/onsi/ginkgo/v2/types"
)

// attach has Ginkgo's reports on the progress of a node include what f returns, until detach is called.
func attach(ctx context.Context, f func() string) (detach func()) {
	if sc, ok := ctx.Value("GINKGO_SPEC_CONTEXT").(interface {
		AttachProgressReporter(func() string) func()
	}); ok {
		return sc.AttachProgressReporter(f)
	}
	return func() {}
}

// ruler begins the additional reports that are not the user's, as Ginkgo begins its own.
const ruler = "------------------------------\n"

// reportStart says that there is no process yet.
func reportStart() string {
	return ruler + "In the spec's process:\n  nothing yet: its environment is being made\n"
}

// reportArrival says that the process has not come to the node that is to run.
func (s *session) reportArrival() string {
	return withEnvironment(ruler+"In the spec's process:\n  nothing of this node yet: it is being started, builds its tree of specs, or runs BeforeSuite\n", s.twin.Describe())
}

// report is the progress of the node that runs, and what its environment is like, for Ginkgo's own report.
func (s *session) report() string {
	environment := make(chan string, 1)
	go func() { environment <- s.twin.Describe() }()
	return withEnvironment(s.reportNode(), <-environment)
}

// withEnvironment is a report with what the environment is like.
func withEnvironment(report, environment string) string {
	if environment == "" {
		return report
	}
	return strings.TrimSuffix(report, "\n") + "\n\nIn the spec's environment:\n" + environment
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
