package record

import "time"

// Version is that of the layout of bundles: a reader refuses a greater one.
const Version = 1

// A Manifest is the file manifest.json: what the bundle is about. It is there from the beginning of an attempt, and
// written anew at its end.
type Manifest struct {
	Version  int       `json:"version"`
	Test     string    `json:"test"`              // a spec's full text, or a test's name
	Suite    string    `json:"suite,omitempty"`   // its description, of specs
	Package  string    `json:"package,omitempty"` // the directory of the test's package
	Attempt  int       `json:"attempt"`           // from 1 on
	State    string    `json:"state"`             // "running" until the end; then "failed", "panicked", "timedout", "aborted", "interrupted", "died"
	Began    time.Time `json:"began"`
	Ended    time.Time `json:"ended,omitzero"`
	Opened   Duration  `json:"opened,omitempty"` // how long the environment took to make
	Seed     int64     `json:"seed,omitempty"`
	Repeat   string    `json:"repeat"`             // a command for a shell that runs exactly this test again
	Failures []Failure `json:"failures,omitempty"` // the first one is what the bundle is about
	Machine  Machine   `json:"machine"`
	Hosts    []string  `json:"hosts,omitempty"`
	Of       string    `json:"of,omitempty"`      // of an environment that a hermetic test has made: the test's own bundle, from this one's directory
	Further  []string  `json:"further,omitempty"` // the bundles of such environments, from this one's directory
	Files    []File    `json:"files,omitempty"`   // what else is in the bundle
	Omitted  []string  `json:"omitted,omitempty"` // what is not, and why, a sentence each
}

// Duration is a time.Duration in nanoseconds.
type Duration = time.Duration

// A Failure is one of a test's.
type Failure struct {
	Time     time.Time `json:"time"`
	Message  string    `json:"message"`
	Location string    `json:"location,omitempty"` // file:line
	Node     string    `json:"node,omitempty"`     // the kind of node that has failed: "It", "BeforeEach"
	State    string    `json:"state,omitempty"`    // as Manifest.State
	Stack    string    `json:"stack,omitempty"`
}

// A Machine is where it happened.
type Machine struct {
	Kernel string `json:"kernel"`
	Arch   string `json:"arch"`
	CPUs   int    `json:"cpus"`
	Mode   string `json:"mode"` // "root", "nested" or "rootless"
	Go     string `json:"go"`
}

// A File is one of a bundle's.
type File struct {
	Path string `json:"path"` // from the bundle's directory
	Size int64  `json:"size"` // bytes
	What string `json:"what"` // for people
}

// The files of a bundle. What is not there was not recorded.
const (
	ManifestFile   = "manifest.json"
	EventsFile     = "events.jsonl"   // an Event a line, when it is complete in the order of time
	StateFile      = "state.json"     // a State, of the moment of the first failure
	CaptureFile    = "capture.pcapng" // the last packets of all cables
	TopologyFile   = "topology.json"  // as Env.Topology's MarshalJSON
	DrawingFile    = "topology.svg"
	GoroutinesFile = "goroutines.txt" // of the test's process
	LogsDir        = "logs"           // HOST/NUMBER-PROGRAM.log: the lines of each process
	FilesDir       = "files"          // what the test has left in /tmp, /var/tmp, /run and /dev/shm
	CoresDir       = "cores"          // core dumps, and the programs that made them
)

// Inside is where hermetic specs and tests have the bundles of environments that they make themselves: among the files that are
// kept in their own.
const Inside = "/run/nstest-keep"

// RingFiles are where packets are while the test runs, in one of them after the other. The end makes CaptureFile of them.
var RingFiles = [2]string{"packets-0.pcapng", "packets-1.pcapng"}
