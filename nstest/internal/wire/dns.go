package wire

import (
	"net/netip"
	"time"
)

// DNS is what the name server of an environment answers besides the hosts' names.
type DNS struct {
	Records []string // in the format of RFC 1035, section 5
	Views   []DNSView
	Faults  []DNSFault
	DNS64   netip.Prefix
}

// DNSView are records that some hosts alone see, in the place of the others' of the same name.
type DNSView struct {
	Hosts   []string
	Records []string
}

// DNSFault makes the server answer wrongly.
type DNSFault struct {
	Name   string // "" is every name
	Type   string // "" is every type
	Hosts  []string
	Answer string // "", "nxdomain", "servfail", "refused", "truncated" or "lost"
	Delay  time.Duration
	Times  int // 0 = always
}

// DNSParams replace what the name server answers.
type DNSParams struct{ DNS DNS }

// RecordsParams change everybody's records: the names lose theirs, and those that have some in Records have no others.
type RecordsParams struct{ Records, Remove []string }

// QueriesResult are the last queries that the name server has got, the oldest first.
type QueriesResult struct{ Queries []Query }

// Query is one question and how it was answered.
type Query struct {
	Time      time.Time
	Host      string
	Transport string // "udp" or "tcp"
	Name      string
	Type      string
	RCode     string // "NOERROR", …; "" for an answer that was lost
	Answers   []string
	Fault     bool // a fault had a part in it
}
