package live

import "time"

// The messages between a test's program and the server, each a packet of JSON. Package nstest/internal/live has the other end.
type (
	// A hello is the first one that a program sends. With it comes a pidfd of the process with which the run ends, and the
	// directory in memory for bundles, if there is one.
	hello struct {
		Version int
		Scratch bool // the directory comes too
	}

	// A welcome is the answer.
	welcome struct {
		URL   string
		Error string // why there is none
	}

	// A notice is what follows: a test begins or ends.
	notice struct {
		Number   int // the program's own, from 1 on
		Test     string
		Suite    string
		Package  string
		Attempt  int
		Began    time.Time
		Path     string // of the bundle: absolute, or a name in the directory in memory
		Redacted bool   // nothing of it is to be shown before it is over
		State    string // "running"; "passed", "skipped"; or what a manifest says of a failure
		Message  string // of the failure
	}
)

// version is that of the messages: programs of another one are refused.
const version = 1
