// Package analysis puts together what a bundle has: events, packets and states on one axis of time, and what stands out.
package analysis

import (
	"time"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/traffic"
)

// A Kind is what an Item is, for people: "log", "packet".
type Kind string

// The kinds of items.
const (
	Node    Kind = "node"
	Step    Kind = "step"
	Failure Kind = "failure"
	Fault   Kind = "fault"
	Link    Kind = "link"
	Host    Kind = "host"
	Process Kind = "process"
	Log     Kind = "log"
	DNS     Kind = "dns"
	Conn    Kind = "connection" // of TCP, from its beginning to its end
	TCP     Kind = "tcp"        // SYN, FIN, RST
	HTTP    Kind = "http"
	TLS     Kind = "tls"
	ICMP    Kind = "icmp"
	Packet  Kind = "packet"
	Note    Kind = "note"
)

// Kinds are all, in the order in which they are shown.
var Kinds = []Kind{Failure, Node, Step, Fault, Link, Host, Process, Log, DNS, HTTP, TLS, Conn, TCP, ICMP, Packet, Note}

// A Level is how much an item deserves attention.
type Level int

// The levels.
const (
	Normal Level = iota
	Odd
	Bad
)

// An Item is something that has happened.
type Item struct {
	Time    time.Time
	Took    time.Duration // 0 = a moment, or nobody knows
	Lasts   bool          // until the end of what was recorded
	Kind    Kind
	Level   Level
	Host    string // whom it is about, or who says something
	To      string // and to whom
	Text    string
	Process int // as bundle.Event.Process
	Conn    int // as traffic.Packet.Conn
	Packet  int // as traffic.Packet.Number
	Fault   int // as bundle.Event.Fault
	Facts   []Fact

	role   traffic.Role
	stream uint32
}

// A Fact is more about something, for those who ask.
type Fact struct{ Name, Value string }
