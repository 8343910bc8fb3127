package specs

import (
	"math"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
)

// lingerAfterFailure has somebody look at the environment, if anybody wants to, when this spec fails, after what the user has
// registered for that, and outside of the time of any node. It is called while a node runs.
func (s *session) lingerAfterFailure(spec *node, kind types.NodeType) {
	const registering = types.NodeTypeBeforeEach | types.NodeTypeJustBeforeEach | types.NodeTypeIt | types.NodeTypeBeforeAll
	if !kind.Is(registering) || s.lingers || !s.twin.Lingers() {
		return
	}
	s.lingers = kind == types.NodeTypeBeforeAll // for all specs of the container
	ginkgo.DeferOnFailure(func(ctx ginkgo.SpecContext) {
		report := ginkgo.CurrentSpecReport()
		s.twin.Linger(ctx, report.FullText(), report.Failure.Message)
	}, ginkgo.NodeTimeout(math.MaxInt64/2*time.Nanosecond), ginkgo.PollProgressAfter(0))
}

// Sleeps reports whether Ginkgo was asked to wait after a failure (--sleep-on-failure).
func Sleeps() bool {
	config, _ := ginkgo.GinkgoConfiguration()
	return config.SleepOnFailure > 0
}
