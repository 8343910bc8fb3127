package traffic

// followHTTP2 reads what a segment adds to a connection of HTTP/2.
func (c *Capture) followHTTP2(conn *Conn, p *Packet) {
	data := p.payload
	p.payload = nil // which was the only one to have it
	side := 0
	if p.Src != conn.Client {
		side = 1
	}
	if conn.http2 == nil {
		switch {
		case conn.unread:
			return
		case speaksHTTP2(data):
			if conn.http2 = c.newHTTP2(); conn.http2 == nil {
				conn.unread = true
				c.say(p, message{kind: HTTP, text: "HTTP/2 that is not read: there are too many such connections at a time"})
				return
			}
		case p.framed && !conn.Whole && !conn.middle:
			conn.middle = true
			c.say(p, message{kind: HTTP, text: "HTTP/2, of which the beginning is not in the capture: its headers cannot be read"})
			return
		default:
			return
		}
	}
	s := &conn.http2.sides[side]
	if !s.bytes.began && !speaksHTTP2(data) {
		for _, m := range conn.http2.breakOff(s, "its beginning is not in the capture") {
			c.say(p, m)
		}
	}
	s.bytes.add(part{p.TCP.Seq, data, p.TCP.Payload, p}, c.hear(conn, s))
}

// hear has what a side says in order said.
func (c *Capture) hear(conn *Conn, s *http2Side) func(missing int, data []byte, p *Packet) {
	return func(missing int, data []byte, p *Packet) {
		for _, m := range conn.http2.read(s, missing, data) {
			c.say(p, m)
		}
	}
}

// again is after how many connections without room those are looked at again that had not ended. A variable for the test.
var again = 1000

// newHTTP2 is newHTTP2 with the room that there is when the first ones have ended that can have.
func (c *Capture) newHTTP2() *http2Conn {
	h := newHTTP2(&c.tables)
	for ; h == nil && c.ended < len(c.Conns); c.ended++ {
		if conn := c.Conns[c.ended]; conn.State == Closed || conn.State == Reset {
			c.endHTTP2(conn)
			h = newHTTP2(&c.tables)
		}
	}
	if h == nil {
		if c.refused++; c.refused%again == 0 {
			c.ended = 0
		}
	}
	return h
}

// endHTTP2 reads what has waited for segments that did not come. Nothing is read after it.
func (c *Capture) endHTTP2(conn *Conn) {
	if conn.http2 == nil {
		return
	}
	for i := range conn.http2.sides {
		s := &conn.http2.sides[i]
		s.bytes.end(c.hear(conn, s))
	}
	conn.http2.end()
	conn.http2, conn.unread = nil, true
}
