package nstest

import (
	"net/netip"
	"time"
)

// DNS is the name server of an environment, which every host asks.
type DNS struct{ env *Env }

// DNSConfig is what the name server answers besides the names and addresses of hosts, which it always knows. The zero value
// is nothing more.
type DNSConfig struct {
	// Records, each in the format of RFC 1035, section 5: "www 60 IN CNAME web", "*.shop 60 IN A 10.1.0.2". Names are
	// relative to the root. They come before a host's own.
	Records []string

	Views  []DNSView
	Faults []DNSFault

	// DNS64 is the prefix in which names that have IPv4 addresses alone get IPv6 ones (RFC 6147), such as 64:ff9b::/96.
	DNS64 netip.Prefix
}

// A DNSView are records that some hosts alone see, in the place of everybody's for the same name (split DNS).
type DNSView struct {
	Hosts   []string
	Records []string
}

// A DNSFault makes the server answer wrongly, or late, for a name.
type DNSFault struct {
	Name   string   // "" is every name; a leading "*." is every name below
	Type   string   // "A", "AAAA", …; "" is every type
	Hosts  []string // who gets it; none is everybody
	Answer DNSAnswer
	Delay  time.Duration
	Times  int // for how many queries; 0 is for all
}

// A DNSAnswer is how a query is answered.
type DNSAnswer int

// The values of DNSAnswer.
const (
	Truthful  DNSAnswer = iota
	NXDomain            // there is no such name
	ServFail            // the server has failed
	Refused             // the server does not want to
	Truncated           // over UDP: ask again over TCP
	Lost                // no answer at all
)

// A Query is one question to the name server, and how it was answered.
type Query struct {
	Time      time.Time
	Host      string // who asked
	Transport string // "udp" or "tcp"
	Name      string // as it was asked, with the final dot
	Type      string
	RCode     string // "NOERROR", "NXDOMAIN", …; "" if no answer was sent
	Answers   []string
	Fault     bool // a fault had a part in it
}

// DNS is the environment's name server.
func (e *Env) DNS() *DNS { return &DNS{e} }

// Set replaces what the server answers, at one instant.
func (d *DNS) Set(cfg DNSConfig) error { panic("still to be built") }

// Queries are the last queries, the oldest first.
func (d *DNS) Queries() ([]Query, error) { panic("still to be built") }
