package specs

import (
	"time"

	"github.com/onsi/ginkgo/v2/reporters"
	"github.com/onsi/ginkgo/v2/types"
)

// An usher is Ginkgo's reporter in the original, which is told when a spec is about to begin. It has the spec's process
// begin first, so that the timeouts of a spec are for the spec alone, and not for BeforeSuite in its process.
type usher struct {
	reporters.Reporter
	original *original
	spec     *node // nil if it stays here
}

// patience is how long an usher waits: no timeout and no interrupt ends that.
const patience = 10 * time.Second

func (u *usher) WillRun(report types.SpecReport) {
	u.Reporter.WillRun(report)
	u.spec = nil
	if report.LeafNodeType != types.NodeTypeIt || report.State != types.SpecStateInvalid {
		return // it does not run
	}
	if n := at(report.LeafNodeLocation); n != nil && !n.staysHere() {
		u.spec = n
		u.original.prepare(n, 1)
	}
}

func (u *usher) EmitSpecEvent(e types.SpecEvent) {
	u.Reporter.EmitSpecEvent(e)
	if e.SpecEventType.Is(types.SpecEventSpecRepeat|types.SpecEventSpecRetry) && u.spec != nil {
		u.original.prepare(u.spec, e.Attempt+1)
	}
}

// prepare has the session for an attempt at a spec wait at its first node.
func (o *original) prepare(spec *node, attempt int) {
	s, err := o.session(spec, attempt)
	if err != nil || s.begun {
		return // the spec's first node says why
	}
	s.begun = true
	s.arrival = make(chan struct{})
	go func() {
		defer close(s.arrival)
		s.arrived, s.arrivalErr = s.awaitArrival()
	}()
	select {
	case <-s.arrival:
	case <-time.After(patience):
	}
}
