package bundle

import "github.com/hermetic-go/nstest/nstest/internal/record"

// What a bundle holds.
type (
	Manifest   = record.Manifest   // of manifest.json
	Failure    = record.Failure    // of a Manifest
	Machine    = record.Machine    // of a Manifest
	File       = record.File       // of a Manifest
	Event      = record.Event      // of events.jsonl
	Kind       = record.Kind       // of an Event
	State      = record.State      // of state.json
	HostState  = record.HostState  // of a State
	FaultState = record.FaultState // of a State
	Cgroup     = record.Cgroup     // of a State
	Process    = record.Process    // of a HostState
	Ended      = record.Ended      // of a HostState
	OpenFile   = record.OpenFile   // of a Process
	Socket     = record.Socket     // of a HostState
	Interface  = record.Interface  // of a HostState
	Route      = record.Route      // of a HostState
	Neighbour  = record.Neighbour  // of a HostState
	Counter    = record.Counter    // of a HostState
	Mount      = record.Mount      // of a HostState
	Statistic  = record.Statistic  // of a HostState or Cgroup
)

// Version is that of the layout of bundles.
const Version = record.Version

// The kinds of events.
const (
	KindNode    = record.KindNode    // a node of a spec (BeforeEach, It, …) begins: Text, Location; or ends: Took, State
	KindStep    = record.KindStep    // By: Text, Location; or its end: Took
	KindFailure = record.KindFailure // Text is the message: Location, State
	KindHost    = record.KindHost    // a host is there: Host, Addrs; or, with State "gone", it is gone
	KindLink    = record.KindLink    // something happened to a cable: Host, Network, Text
	KindFault   = record.KindFault   // a partition, flap or impairment is in force: Fault, Text, Hosts; or it is "healed"
	KindStart   = record.KindStart   // a process starts: Host, Process, PID, Args
	KindExit    = record.KindExit    // it has ended: Host, Process, PID, State, Took, OOM
	KindLog     = record.KindLog     // it has printed a line: Host, Process, PID, Stream, Text
	KindQuery   = record.KindQuery   // a host has asked for a name: Host, Text ("A db."), State, Addrs, Took
	KindConn    = record.KindConn    // a connection of the environment's own code: Host, Text, State
	KindNote    = record.KindNote    // anything else that a reader should know: Text
)

// The files of a bundle, and its directories. What is not there was not recorded.
const (
	ManifestFile   = record.ManifestFile
	EventsFile     = record.EventsFile     // an Event a line, in the order in which they were written
	StateFile      = record.StateFile      // a State, of the moment of the first failure
	CaptureFile    = record.CaptureFile    // the last packets of all cables
	TopologyFile   = record.TopologyFile   // an nstest.Topology
	DrawingFile    = record.DrawingFile    // its drawing
	GoroutinesFile = record.GoroutinesFile // of the test's process
	LogsDir        = record.LogsDir        // HOST/NUMBER-PROGRAM.log: the lines of each process
	FilesDir       = record.FilesDir       // what the test has left in /tmp, /var/tmp, /run and /dev/shm
	CoresDir       = record.CoresDir       // core dumps, and the programs that made them
)
