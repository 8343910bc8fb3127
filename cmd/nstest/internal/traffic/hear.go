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
		case speaksHTTP2(data):
			conn.http2 = newHTTP2()
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

// endHTTP2 reads what has waited for segments that did not come.
func (c *Capture) endHTTP2(conn *Conn) {
	if conn.http2 == nil {
		return
	}
	for i := range conn.http2.sides {
		s := &conn.http2.sides[i]
		s.bytes.end(c.hear(conn, s))
	}
}
