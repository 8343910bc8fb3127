// Package record has the types in which an environment is recorded: what happened when, what it was like at a moment, and
// what a bundle of all that is about. Package bundle, for users, has them under the same names.
package record

import "time"

// A Kind says what an Event is about.
type Kind string

// The kinds of events. What a field means that is not named here is said at the field.
const (
	KindNode    Kind = "node"    // a node of a spec (BeforeEach, It, …) begins: Text, Location; or ends: Took, State
	KindStep    Kind = "step"    // By: Text, Location; or its end: Took
	KindFailure Kind = "failure" // Text is the message: Location, State
	KindHost    Kind = "host"    // a host is there: Host, Addrs; or, with State "gone", it is gone
	KindLink    Kind = "link"    // something happened to a cable: Host, Network, Text ("down", "up", "moved to b", "delay 20ms")
	KindFault   Kind = "fault"   // a partition, flap or impairment is in force: Fault, Text, Hosts; or, with State "healed", it is not any more
	KindStart   Kind = "start"   // a process starts: Host, Process, PID, Args
	KindExit    Kind = "exit"    // it has ended: Host, Process, PID, State ("exit status 1", "signal: killed"), Took, OOM
	KindLog     Kind = "log"     // it has printed a line: Host, Process, PID, Stream, Text
	KindQuery   Kind = "query"   // a host has asked for a name: Host, Text ("A db."), State ("NOERROR", "NXDOMAIN", "lost"), Addrs, Took
	KindNote    Kind = "note"    // anything else that a reader should know, such as that events were left out: Text
)

// An Event is a line of the file events.jsonl.
type Event struct {
	Time     time.Time     `json:"time"`
	Kind     Kind          `json:"kind"`
	Host     string        `json:"host,omitempty"`
	Network  string        `json:"network,omitempty"`
	Process  int           `json:"process,omitempty"` // its number in the recording, from 1 on, of which none is used again
	PID      int           `json:"pid,omitempty"`     // in the host's PID namespace
	Args     []string      `json:"args,omitempty"`
	Stream   string        `json:"stream,omitempty"` // "stdout" or "stderr"
	Text     string        `json:"text,omitempty"`   // in UTF-8; what is none is written as U+FFFD
	State    string        `json:"state,omitempty"`
	Fault    int           `json:"fault,omitempty"` // its number, from 1 on
	Hosts    []string      `json:"hosts,omitempty"`
	Addrs    []string      `json:"addrs,omitempty"`
	Location string        `json:"location,omitempty"` // file:line
	Took     time.Duration `json:"took,omitempty"`     // in nanoseconds
	OOM      bool          `json:"oom,omitempty"`      // the kernel has killed it, or what it has run, for lack of memory
}
