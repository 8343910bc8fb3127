// Package leaks finds what a test leaves behind in its program: open environments, processes, namespaces, mounts, network
// devices, sockets, file descriptors, threads and goroutines, each with where it was made, as far as Linux or Go know.
//
// A test calls Check first. A suite calls Check in its BeforeSuite, with GinkgoTB(), or its TestMain ends with
//
//	os.Exit(leaks.Main(m))
//
// Everything is counted for the whole program: tests that run in parallel see each other's work.
package leaks

import "strings"

// Kind is what sort of thing is left.
type Kind string

// The kinds. What belongs to the program's descendants is found for processes, namespaces and sockets; the other kinds are
// the program's own.
const (
	Environment Kind = "environment"     // an nstest.Env that was not closed
	Process     Kind = "process"         // a descendant, zombies included
	Namespace   Kind = "namespace"       // one that a descendant or a thread is in
	Mount       Kind = "mount"           // in the program's mount namespace
	Link        Kind = "network device"  // in the program's network namespace
	Socket      Kind = "abstract socket" // unix(7), by a name that begins with nstest
	File        Kind = "file descriptor"
	Thread      Kind = "thread"
	Goroutine   Kind = "goroutine"
)

// kinds is the order in which leaks are reported: what is likely to be the cause of the others first.
var kinds = []Kind{Environment, Process, Namespace, Mount, Link, Socket, Thread, Goroutine, File}

// A Leak is one thing that is there and was not before.
type Leak struct {
	Kind   Kind
	What   string // the thing: "7 → /etc/hosts", "4711 sleep 1000"
	Origin string // where it was made, or what else is known of it; may have several lines
}

func (l Leak) String() string {
	s := "leaked " + string(l.Kind) + " " + l.What
	if l.Origin != "" {
		s += "\n    " + strings.ReplaceAll(strings.TrimSpace(l.Origin), "\n", "\n    ")
	}
	return s
}
