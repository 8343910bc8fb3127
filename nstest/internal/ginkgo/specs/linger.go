package specs

import (
	"context"
	"math"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
)

// lingerAfterFailure has somebody look at the environment, if anybody wants to, when this spec fails, after what the user has
// registered for that, and outside of the time of any node. It is called while a node runs.
func (s *session) lingerAfterFailure(spec *node, kind types.NodeType) {
	const registering = types.NodeTypeBeforeEach | types.NodeTypeJustBeforeEach | types.NodeTypeIt | types.NodeTypeBeforeAll | suiteSetup
	if !kind.Is(registering) || s.lingers || !s.twin.Lingers() {
		return
	}
	s.lingers = kind.Is(types.NodeTypeBeforeAll | suiteSetup) // for all that follows in the twin
	ginkgo.DeferOnFailure(func(ctx ginkgo.SpecContext) {
		report := ginkgo.CurrentSpecReport()
		if spec == nil && report.LeafNodeType == types.NodeTypeIt {
			return // what the suite's node registers is called for specs too, which have failed elsewhere
		}
		s.twin.Linger(ctx, s.name(at(report.LeafNodeLocation)), report.Failure.Message)
	}, ginkgo.NodeTimeout(math.MaxInt64/2*time.Nanosecond), ginkgo.PollProgressAfter(0))
}

// lingerNow is for a node for which nothing can be registered, or which runs in no node: it takes of the node's time.
func (s *session) lingerNow(ctx context.Context, spec *node, message string) {
	s.twin.Linger(ctx, s.name(spec), message)
}

// name is that of a spec, and the suite's for its own nodes.
func (s *session) name(spec *node) string {
	if spec == nil || spec.kind != types.NodeTypeIt {
		return s.original.description
	}
	return spec.fullText()
}

// Sleeps reports whether Ginkgo was asked to wait after a failure (--sleep-on-failure).
func Sleeps() bool {
	config, _ := ginkgo.GinkgoConfiguration()
	return config.SleepOnFailure > 0
}
