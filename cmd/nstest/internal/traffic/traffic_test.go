package traffic_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/plant"
	"github.com/hermetic-go/nstest/cmd/nstest/internal/traffic"
)

const ms = time.Millisecond

// read reads what was sent on a wire.
func read(t *testing.T, hosts []string, send func(w *plant.Wire)) *traffic.Capture {
	t.Helper()
	w := plant.NewWire(hosts...)
	send(w)
	file, err := w.Capture()
	if err != nil {
		t.Fatal(err)
	}
	owners := map[netip.Addr]string{}
	for _, h := range hosts {
		owners[w.Addr(h)] = h
	}
	c := traffic.Read(bytes.NewReader(file), owners)
	if c.Err != nil {
		t.Fatal(c.Err)
	}
	return c
}

func same(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %s", what, cmp.Diff(want, got))
	}
}

func messages(c *traffic.Capture) []string {
	var out []string
	for _, m := range c.Messages {
		bad := ""
		if m.Bad {
			bad = " !"
		}
		out = append(out, fmt.Sprintf("%d %s %s>%s %s%s", m.Packet, m.Kind, m.From, m.To, m.Text, bad))
	}
	return out
}

func conns(c *traffic.Capture) []string {
	var out []string
	for _, n := range c.Conns {
		out = append(out, n.Title())
	}
	return out
}

func TestExchange(t *testing.T) {
	c := read(t, []string{"a", "b"}, func(w *plant.Wire) {
		w.Exchange(ms, "a", "b", 40000, 80, "GET /x HTTP/1.1\r\nHost: b\r\n\r\n", "HTTP/1.1 404 Not Found\r\n\r\n")
	})
	same(t, "connections", conns(c), "a → b:80 closed, 28 bytes sent, 26 received")
	same(t, "messages", messages(c), "1 tcp a>b SYN :80", "3 tcp b>a SYN ACK", "7 http a>b GET /x HTTP/1.1", "9 http b>a HTTP/1.1 404 Not Found !", "11 tcp a>b FIN :80", "13 tcp b>a FIN :80")
	if len(c.Packets) != 8 {
		t.Errorf("%d packets, want 8: each is in the file where it leaves and where it arrives", len(c.Packets))
	}
	for _, p := range c.Packets {
		if p.From == "" || len(p.To) != 1 || p.Lost || p.Conn != 1 {
			t.Errorf("packet %+v", p)
		}
	}
}

func TestHowConnectionsEnd(t *testing.T) {
	c := read(t, []string{"a", "b"}, func(w *plant.Wire) {
		syn := plant.Segment{From: "a", To: "b", ToPort: 80, Flags: "S", Seq: 7}
		answer := plant.Segment{From: "b", To: "a", FromPort: 80, Ack: 8}
		send := func(at time.Duration, s plant.Segment, port uint16, flags string) {
			if s.From == "a" {
				s.FromPort = port
			} else {
				s.ToPort = port
			}
			s.Flags = flags
			w.TCP(at, s)
		}
		send(1*ms, syn, 1, "S") // refused, and then open with the same ports
		send(2*ms, answer, 1, "RA")
		syn.Seq = 70
		send(3*ms, syn, 1, "S")
		send(4*ms, answer, 1, "SA")
		send(5*ms, syn, 2, "S") // no answer, twice
		send(6*ms, syn, 2, "S")
		send(7*ms, syn, 3, "S") // reset after it was open, by the client
		send(8*ms, answer, 3, "SA")
		send(9*ms, syn, 3, "RA")
		send(10*ms, syn, 4, "S")
		w.Unreachable(11*ms, "b", "a", 4, 80)
		lost := plant.Segment{From: "a", To: "b", FromPort: 5, ToPort: 80, Flags: "S", Lost: true}
		w.TCP(12*ms, lost)
		w.TCP(13*ms, lost)
		data := plant.Segment{From: "a", To: "b", FromPort: 600, ToPort: 80, Flags: "PA", Seq: 100, Payload: "hello"} // whose beginning is not there
		w.TCP(14*ms, data)
		w.TCP(15*ms, data)
		send(100*ms, answer, 600, "A")
	})
	same(t, "connections", conns(c),
		"a → b:80 refused",
		"a → b:80 open",
		"a → b:80 unanswered, 2 SYNs",
		"a → b:80 reset by a",
		"a → b:80 unreachable: destination unreachable (port)",
		"a → b:80 unanswered, 2 SYNs",
		"a → b:80 open, 5 bytes sent, 0 received, 1 segments sent again",
	)
	if n := c.Conns[5].Lost; n != 2 {
		t.Errorf("%d segments are lost, want 2", n)
	}
	if n := c.Conns[2].Lost; n != 0 {
		t.Errorf("%d segments without an answer are lost, but they arrived", n)
	}
	if got, want := c.Dropped(), []traffic.Drop{{From: "a", To: "b", Count: 2, Packet: c.Conns[5].Packet, Text: "TCP 5 → 80 SYN"}}; !slices.Equal(got, want) {
		t.Errorf("dropped %+v, want %+v", got, want)
	}
}

// What the switch has dropped is lost, with the reason, and is no packet of its own.
func TestDropped(t *testing.T) {
	const reason = "dropped on the way from a to b: fault 1: partition of a | b"
	syn := plant.Segment{From: "a", To: "b", FromPort: 5, ToPort: 80, Flags: "S"}
	c := read(t, []string{"a", "b"}, func(w *plant.Wire) {
		w.TCP(1*ms, syn)
		syn.Dropped = reason
		w.TCP(2*ms, syn)
		w.TCP(3*ms, syn)
	})
	if len(c.Packets) != 3 {
		t.Fatalf("%d packets, want 3", len(c.Packets))
	}
	for i, p := range c.Packets {
		if p.From != "a" || p.Lost != (i > 0) || (p.Dropped == reason) != (i > 0) || len(p.Comments) > 0 {
			t.Errorf("packet %d: %+v", i, p)
		}
	}
	if n := c.Conns[0]; n.Lost != 2 || n.Dropped != reason {
		t.Errorf("%d lost, %q", n.Lost, n.Dropped)
	}
	if got, want := c.Dropped(), []traffic.Drop{{From: "a", To: "b", Count: 2, Packet: 3, Text: "TCP 5 → 80 SYN", Reason: reason}}; !slices.Equal(got, want) {
		t.Errorf("dropped %+v, want %+v", got, want)
	}
}

func TestTLS(t *testing.T) {
	hello := plant.ClientHello("shop.test")
	segment := plant.Segment{From: "a", To: "b", FromPort: 1, ToPort: 443, Flags: "PA", Seq: 1}
	c := read(t, []string{"a", "b"}, func(w *plant.Wire) {
		for i, payload := range []string{hello, hello[:60], hello[:len(hello)/2], "\x15\x03\x03\x00\x02\x02\x2a", "\x15\x03\x03\x00\x02\x01\x00", "\x15\x03\x03\x00\x13secret alert beyond", "\x16\x03\x03\xff\xff\x01"} {
			segment.Payload = payload
			w.TCP(time.Duration(i)*ms, segment)
			segment.Seq += uint32(len(payload))
		}
	})
	var got []string
	for _, m := range messages(c) {
		_, text, _ := strings.Cut(m, "a>b ")
		got = append(got, text)
	}
	same(t, "messages", got, "ClientHello shop.test (h2, http/1.1)", "ClientHello", got[2], "alert bad certificate !", "alert close notify")
	if !strings.HasPrefix(got[2], "ClientHello") {
		t.Errorf("half a hello is %q", got[2])
	}
}

// Whose an address is that nobody tells, its first sender does. Others have no name.
func TestStrangers(t *testing.T) {
	w := plant.NewWire("a", "b", "c")
	w.TCP(ms, plant.Segment{From: "a", To: "b", FromPort: 1, ToPort: 80, Flags: "S"})
	w.TCP(2*ms, plant.Segment{From: "b", To: "a", FromPort: 80, ToPort: 1, Flags: "RA", Ack: 1})
	w.TCP(3*ms, plant.Segment{From: "a", To: "c", FromPort: 2, ToPort: 80, Flags: "S"})
	file, err := w.Capture()
	if err != nil {
		t.Fatal(err)
	}
	c := traffic.Read(bytes.NewReader(file), nil)
	same(t, "connections", conns(c), "a → b:80 refused", "a → 10.0.0.3:80 unanswered")
	same(t, "messages", messages(c), "1 tcp a>b SYN :80", "3 tcp b>a RST :80 refused !", "5 tcp a>10.0.0.3 SYN :80")
}

// Sections may follow each other, and the last one may be cut anywhere: what is whole is read.
func TestSectionsAndCuts(t *testing.T) {
	one := func(port uint16) []byte {
		w := plant.NewWire("a", "b")
		w.TCP(time.Duration(port)*ms, plant.Segment{From: "a", To: "b", FromPort: port, ToPort: 80, Flags: "S"})
		file, err := w.Capture()
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	first, second := one(1), one(2)
	both := slices.Concat(first, second)
	c := traffic.Read(bytes.NewReader(both), nil)
	if c.Err != nil || len(c.Packets) != 2 || c.Packets[1].Number != 3 {
		t.Fatalf("%d packets, %v", len(c.Packets), c.Err)
	}
	for n := range both {
		c := traffic.Read(bytes.NewReader(both[:n]), nil)
		if whole := n >= len(first); whole && len(c.Packets) == 0 {
			t.Errorf("cut at %d of %d: nothing is read, %v", n, len(both), c.Err)
		}
	}
}

// Nothing that is in a file can do worse than end its reading.
func TestHostileCaptures(t *testing.T) {
	w := plant.NewWire("a", "b")
	w.Exchange(ms, "a", "b", 40000, 80, "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n")
	w.UDP(100*ms, "a", "b", 53, 53, []byte("\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01"))
	w.Unreachable(101*ms, "b", "a", 1, 2)
	file, err := w.Capture()
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	read := 0
	for range 3000 {
		hostile := bytes.Clone(file)
		for range 1 + random.IntN(8) {
			hostile[random.IntN(len(hostile))] = byte(random.UintN(256))
		}
		read += len(traffic.Read(bytes.NewReader(hostile), nil).Packets)
	}
	if read < 3000 {
		t.Errorf("%d packets of 3000 files were read: the changes are beyond what is looked at", read)
	}
	for name, content := range map[string]string{"empty": "", "short": "\x0a\x0d", "gzip": "\x1f\x8b\x08\x00\x00\x00\x00\x00", "text": "hello, world"} {
		c := traffic.Read(strings.NewReader(content), nil)
		if len(c.Packets) > 0 || (c.Err == nil) != (content == "") {
			t.Errorf("%s: %d packets, %v", name, len(c.Packets), c.Err)
		}
	}
}

func TestTooManyPackets(t *testing.T) {
	defer traffic.SetMaxSightings(10)()
	c := read(t, []string{"a", "b"}, func(w *plant.Wire) {
		for i := range 50 {
			w.UDP(time.Duration(i)*ms, "a", "b", 1, uint16(i), nil)
		}
	})
	if n := len(c.Packets); c.Omitted != 90 || n < 5 || n > 10 || c.Packets[n-1].Dst.Port() != 49 {
		t.Errorf("%d packets, %d omitted", n, c.Omitted)
	}
}
