package traffic

import (
	"net/netip"
	"time"
)

// A Packet is a frame on its way over a network: where it left a host, and where it arrived.
type Packet struct {
	Number   int       // in the file, from 1 on, as Wireshark counts: where it was seen first
	Time     time.Time // when it was seen first
	From     string    // the host that has sent it; "" if nobody saw it leave
	To       []string  // the hosts that it reached
	Lost     bool      // it left a host, for another one that is known, and reached nobody
	Dropped  string    // the capture says where and why: "dropped on the way from a to b: fault 1: …"; "" = it does not
	Comments []string  // what else the capture says at it
	Protocol string    // "TCP", "UDP", "ICMP", "ARP", …
	Src, Dst netip.AddrPort
	Length   int
	Text     string // in a line
	Conn     int    // of Capture.Conns, counted from 1 on; 0 = none
	TCP      *Segment

	messages []message
	payload  []byte // of a segment of a connection that may be of HTTP/2
	framed   bool   // it looks like the middle of one
	key      uint64
	ends     [2][6]byte // the MAC addresses, of the destination and the source
	about    *quote     // of an ICMP error
}

// A Segment is what TCP says of a packet.
type Segment struct {
	SYN, ACK, FIN, RST bool
	Seq, Acked         uint32
	Payload            int // bytes
}

// A message is what a protocol above says in a packet.
type message struct {
	kind   MessageKind
	text   string
	bad    bool
	role   Role
	stream uint32
}

// A Role is what a Message of HTTP is to a request.
type Role int

// The values of Role.
const (
	NoRole  Role = iota
	Asks         // it is one
	Answers      // it answers one, or refuses to
	GivesUp      // who has asked does not wait for the answer any more
	Unknown      // answers to requests of the connection may not be in the capture
)

// A quote is the beginning of the packet that an ICMP error is about.
type quote struct {
	src, dst netip.AddrPort
	text     string
}

// MessageKind is which protocol a Message is of.
type MessageKind string

// The kinds of messages.
const (
	TCP  MessageKind = "tcp"
	HTTP MessageKind = "http"
	TLS  MessageKind = "tls"
	DNS  MessageKind = "dns"
	ICMP MessageKind = "icmp"
)

// A Message is something that a host says to another one.
type Message struct {
	Time     time.Time
	Kind     MessageKind
	From, To string // hosts, or addresses of nobody who is known
	Text     string
	Bad      bool   // an error, a refusal, or a loss
	Packet   int    // its Number
	Conn     int    // as Packet.Conn
	Role     Role   // of HTTP
	Stream   uint32 // of HTTP/2; a connection of HTTP/1 has no others than 0
}

// A ConnState is how a connection ended, or what it was like at the end of the capture.
type ConnState string

// The states of connections.
const (
	Open        ConnState = "open"
	Closed      ConnState = "closed"
	Reset       ConnState = "reset"
	Refused     ConnState = "refused"     // RST in answer to SYN
	Unreachable ConnState = "unreachable" // ICMP in answer to SYN
	Unanswered  ConnState = "unanswered"  // SYN without an answer
)

// A Conn is a TCP connection.
type Conn struct {
	Number         int // from 1 on
	Client, Server netip.AddrPort
	From, To       string // the client's and the server's host, or addresses of nobody who is known
	Began, Ended   time.Time
	State          ConnState
	Whole          bool   // its SYN is in the capture
	SYNs           int    // without an answer yet; more than 1 means that some were sent again
	Lost           int    // segments that reached nobody
	Dropped        string // as Packet.Dropped, of the first of them that has it
	Again          int    // segments with data that had been sent before
	Bytes          [2]int64
	ResetBy        string // a host, of one that was reset or refused
	Reason         string // of one that is unreachable
	Packet         int    // the Number of its first packet
	Last           int    // and of the one that decided State

	dirs   [2]direction
	seq    uint32 // of its SYN
	synAck bool
	fins   int
	http2  *http2Conn // nil if it is none, or nobody knows
	middle bool       // it is one, of which the beginning is not there
	unread bool       // it is one, and is not read, or not any more
}

// A direction is one of a connection.
type direction struct {
	host  string // whose packets count: those that are forwarded are the same once more
	known bool
	next  uint32
	began bool
}
