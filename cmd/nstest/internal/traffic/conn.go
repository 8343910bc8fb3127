package traffic

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// A flow is both directions of a connection: the ends in their order.
type flow struct{ a, b netip.AddrPort }

func flowOf(src, dst netip.AddrPort) flow {
	if src.Compare(dst) > 0 {
		src, dst = dst, src
	}
	return flow{src, dst}
}

// maxConns bounds the connections, which SYN floods have many of.
const maxConns = 50_000

// follow finds the connections and what is said.
func (c *Capture) follow() {
	current := map[flow]*Conn{}
	for _, p := range c.Packets {
		switch {
		case p.TCP != nil:
			c.followTCP(current, p)
		case p.about != nil:
			c.followICMP(current, p)
			fallthrough
		default:
			for _, m := range p.messages {
				if c.origin(p) {
					c.say(p, m)
				}
			}
		}
	}
	for _, conn := range c.Conns {
		c.endHTTP2(conn)
		if conn.State == Open && conn.Whole && !conn.synAck {
			conn.State = Unanswered
		}
	}
	slices.SortStableFunc(c.Messages, func(a, b Message) int { return a.Time.Compare(b.Time) })
}

// origin reports whether the packet comes from the host that has its address, and was not forwarded.
func (c *Capture) origin(p *Packet) bool {
	owner := c.owners[p.Src.Addr()]
	return p.From == "" || owner == "" || owner == p.From
}

// say adds a message.
func (c *Capture) say(p *Packet, m message) {
	to := c.Owner(p.Dst.Addr())
	if m.kind == ICMP && p.about != nil && len(p.To) == 1 {
		to = p.To[0]
	}
	from := c.Owner(p.Src.Addr())
	if p.From != "" && c.owners[p.Src.Addr()] == "" {
		from = p.From
	}
	if p.Lost {
		m.text, m.bad = m.text+" (lost)", true
	}
	c.Messages = append(c.Messages, Message{Time: p.Time, Kind: m.kind, From: from, To: to, Text: m.text, Bad: m.bad, Packet: p.Number, Conn: p.Conn, Role: m.role, Stream: m.stream})
}

// followTCP counts a packet for its connection.
func (c *Capture) followTCP(current map[flow]*Conn, p *Packet) {
	key, t := flowOf(p.Src, p.Dst), p.TCP
	conn := current[key]
	if opening := t.SYN && !t.ACK; conn == nil || opening && (p.Src != conn.Client || t.Seq != conn.seq) {
		if len(c.Conns) == maxConns {
			return
		}
		conn = c.newConn(p)
		current[key] = conn
	}
	p.Conn = conn.Number
	d := &conn.dirs[0]
	if p.Src != conn.Client {
		d = &conn.dirs[1]
	}
	if !d.known && p.From != "" {
		d.host, d.known = p.From, true
	}
	if d.known && p.From != d.host { // the same once more, behind a router
		return
	}
	conn.Ended = p.Time
	if p.Lost {
		conn.Lost++
		conn.Dropped = cmp.Or(conn.Dropped, p.Dropped)
	}
	switch {
	case t.RST:
		c.reset(conn, p)
	case t.SYN && !t.ACK:
		c.open(conn, p)
	case t.SYN:
		if !conn.synAck {
			conn.synAck, conn.Last = true, p.Number
			c.say(p, message{kind: TCP, text: "SYN ACK"})
		}
	case t.FIN:
		c.finish(conn, d, p)
	}
	if t.Payload > 0 {
		c.transfer(conn, d, p)
		c.followHTTP2(conn, p)
	}
}

func (c *Capture) newConn(p *Packet) *Conn {
	client, server := p.Src, p.Dst
	whole := p.TCP.SYN && !p.TCP.ACK
	if p.TCP.SYN && p.TCP.ACK || !whole && client.Port() < server.Port() { // which end has asked is a guess
		client, server = server, client
	}
	conn := &Conn{Number: len(c.Conns) + 1, Client: client, Server: server, From: c.Owner(client.Addr()), To: c.Owner(server.Addr()),
		Began: p.Time, Ended: p.Time, State: Open, Whole: whole, Packet: p.Number, Last: p.Number, seq: p.TCP.Seq}
	c.Conns = append(c.Conns, conn)
	return conn
}

func (c *Capture) open(conn *Conn, p *Packet) {
	if conn.synAck {
		return
	}
	conn.SYNs++
	text := "SYN " + portText(conn.Server)
	if conn.SYNs > 1 {
		text += " again"
	}
	c.say(p, message{kind: TCP, text: text, bad: conn.SYNs > 1})
}

func (c *Capture) reset(conn *Conn, p *Packet) {
	if conn.State != Open && conn.State != Closed {
		return
	}
	if conn.State == Closed && conn.fins >= 2 { // what comes late for a socket that is gone
		return
	}
	conn.State, conn.Last = Reset, p.Number
	conn.ResetBy = c.Owner(p.Src.Addr())
	text := "RST " + portText(conn.Server)
	if conn.Whole && !conn.synAck && p.Src == conn.Server {
		conn.State, text = Refused, "RST "+portText(conn.Server)+" refused"
	}
	c.say(p, message{kind: TCP, text: text, bad: true})
}

func (c *Capture) finish(conn *Conn, d *direction, p *Packet) {
	end := p.TCP.Seq + uint32(p.TCP.Payload) + 1
	if d.began && end == d.next { // sent again
		return
	}
	if p.TCP.Payload == 0 {
		d.next, d.began = end, true
	}
	conn.fins++
	if conn.State == Open && conn.fins == 2 {
		conn.State, conn.Last = Closed, p.Number
	}
	if conn.fins <= 2 {
		c.say(p, message{kind: TCP, text: "FIN " + portText(conn.Server)})
	}
}

// transfer counts data, and adds what is said in it the first time.
func (c *Capture) transfer(conn *Conn, d *direction, p *Packet) {
	end := p.TCP.Seq + uint32(p.TCP.Payload)
	if d.began && int32(end-d.next) <= 0 {
		conn.Again++
		return
	}
	d.next, d.began = end, true
	if p.Src == conn.Client {
		conn.Bytes[0] += int64(p.TCP.Payload)
	} else {
		conn.Bytes[1] += int64(p.TCP.Payload)
	}
	for _, m := range p.messages {
		c.say(p, m)
	}
}

// followICMP finds the connection that an error is about.
func (c *Capture) followICMP(current map[flow]*Conn, p *Packet) {
	conn := current[flowOf(p.about.src, p.about.dst)]
	if conn == nil || conn.synAck || conn.State != Open || p.about.src != conn.Client {
		return
	}
	p.Conn = conn.Number
	conn.State, conn.Reason, conn.Last, conn.Ended = Unreachable, p.about.text, p.Number, p.Time
}

func portText(a netip.AddrPort) string { return fmt.Sprintf(":%d", a.Port()) }

// Dropped counts the packets that were lost, by who sent them to whom, the most first.
func (c *Capture) Dropped() []Drop {
	index := map[[2]string]int{}
	var out []Drop
	for _, p := range c.Packets {
		if !p.Lost {
			continue
		}
		key := [2]string{p.From, c.Owner(p.Dst.Addr())}
		i, known := index[key]
		if !known {
			i = len(out)
			index[key] = i
			out = append(out, Drop{From: key[0], To: key[1], Packet: p.Number, Text: p.Text})
		}
		out[i].Count++
		out[i].Reason = cmp.Or(out[i].Reason, p.Dropped)
	}
	slices.SortStableFunc(out, func(a, b Drop) int { return b.Count - a.Count })
	return out
}

// A Drop is packets that were lost on their way from one host to another one.
type Drop struct {
	From, To string
	Count    int
	Packet   int    // the Number of the first one
	Text     string // and what it was
	Reason   string // as Packet.Dropped, of the first one that has it
}

// Title is the connection in a few words.
func (c *Conn) Title() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s → %s:%d %s", c.From, c.To, c.Server.Port(), c.State)
	switch {
	case c.State == Unreachable:
		fmt.Fprintf(&b, ": %s", c.Reason)
	case c.State == Unanswered && c.SYNs > 1:
		fmt.Fprintf(&b, ", %d SYNs", c.SYNs)
	case c.State == Reset:
		fmt.Fprintf(&b, " by %s", c.ResetBy)
	}
	if c.Bytes[0]+c.Bytes[1] > 0 {
		fmt.Fprintf(&b, ", %d bytes sent, %d received", c.Bytes[0], c.Bytes[1])
	}
	if c.Again > 0 {
		fmt.Fprintf(&b, ", %d segments sent again", c.Again)
	}
	return b.String()
}
