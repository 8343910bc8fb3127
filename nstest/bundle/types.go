package bundle

import "github.com/hermetic-go/nstest/nstest/internal/record"

type (
	// A Manifest is what manifest.json holds: what the bundle is about.
	Manifest = record.Manifest

	// A Failure is one of a Manifest's failures.
	Failure = record.Failure

	// A Machine is where it happened, of a Manifest.
	Machine = record.Machine

	// A File is a file of the bundle, of a Manifest.
	File = record.File

	// An Event is a line of events.jsonl: something that has happened.
	Event = record.Event

	// A Kind says what an Event is about.
	Kind = record.Kind

	// A State is what state.json holds: what the environment was like at a moment.
	State = record.State

	// A HostState is what a host was like, of a State.
	HostState = record.HostState

	// A FaultState is a fault that was in force, of a State.
	FaultState = record.FaultState

	// A Cgroup is what the environment's control group says, of a State.
	Cgroup = record.Cgroup

	// A Process is one of a HostState's processes.
	Process = record.Process

	// An Ended is a process that has ended badly, of a HostState.
	Ended = record.Ended

	// An OpenFile is a file that a Process has open.
	OpenFile = record.OpenFile

	// A Socket is one of a HostState's sockets.
	Socket = record.Socket

	// An Interface is one of a HostState's network interfaces.
	Interface = record.Interface

	// A Route is one of a HostState's routes.
	Route = record.Route

	// A Neighbour is an entry of a HostState's tables of neighbours.
	Neighbour = record.Neighbour

	// A Counter is a rule of nftables that counts, of a HostState.
	Counter = record.Counter

	// A Mount is one of a HostState's mounts.
	Mount = record.Mount

	// A Statistic is one of the kernel's counters, of a HostState or Cgroup.
	Statistic = record.Statistic
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
