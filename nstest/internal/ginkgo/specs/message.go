package specs

import (
	"encoding/json"
	"time"

	"github.com/onsi/ginkgo/v2/types"
)

// An order is a message of the original's. One of its fields is set.
type order struct {
	Job      *job
	Go       *goOn
	Cancel   *cancel
	Abandon  *cancel // leave the running node behind
	Shown    bool    // what was to be shown
	Progress bool    // report the progress of the running node

	Goroutines bool // say where they are
}

// A job says what a twin is to run.
type job struct {
	Unit    string            // the id of the spec or Ordered container; "" for the suite's own nodes
	Among   string            // the container of which Unit will be a spec, that the next job says; "" where this is the job
	Enter   map[string]uint64 // containers to construct, "" for the top, with their digests
	Data    []byte            // from SynchronizedBeforeSuite
	Layout  *layout           // of Ginkgo's tree; nil if that is not known
	Process int               // Ginkgo's parallel process and how many there are
	Total   int
	Verbose bool // the original prints what a node does while it runs
	Record  bool // there is a bundle
}

// goOn lets a twin go on.
type goOn struct {
	Node    string // the one that the original has come to; "" to end
	Attempt int
	Bundle  string // its path, "" if there is none
}

// cancel says how a node ends that did not end in time.
type cancel struct {
	State   types.SpecState
	Message string // of the failure
	Cause   string // of the context's end
}

// An event is a message of a twin's. One of its fields is set, beside Show.
type event struct {
	At       *place // and waiting to go on
	Over     bool   // all nodes have run: waiting to end
	Setup    *setup
	Write    []byte // to the GinkgoWriter
	Step     *types.SpecEvent
	Entry    *types.ReportEntry
	Show     bool       // these three, and waiting until they are
	Defers   []deferred // what the running node has registered
	Progress *types.ProgressReport
	Result   *result
	Differs  *differs

	Goroutines []byte
}

// place is where a twin is.
type place struct {
	Node string
	Spec string // the id of the spec; "" in a suite's own node
}

// setup is how the suite's own nodes went in a spec's twin.
type setup struct {
	Kind    types.NodeType
	Took    time.Duration
	State   types.SpecState
	Failure types.Failure
}

// result is the outcome of a node.
type result struct {
	State   types.SpecState
	Failure types.Failure
	Entries map[int]json.RawMessage // a types.ReportEntryValue for those that have changed, by the order in which they were sent

	Goroutines []byte // where they are, if there is a bundle and the node has failed
}

// deferred is a clean-up, or a callback for failures, that a node has registered.
type deferred struct {
	Node             string
	OnFailure        bool
	Location         types.CodeLocation
	HasContext       bool
	Timeout          time.Duration // 0 = none
	GracePeriod      time.Duration // < 0 = the suite's
	ProgressAfter    time.Duration // < 0 = the suite's
	ProgressInterval time.Duration // < 0 = the suite's
}

// differs says what a container is like in a twin.
type differs struct {
	Container string
	Children  []string
}
