package traffic_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/plant"
	"github.com/hermetic-go/nstest/cmd/nstest/internal/traffic"
)

// A spoken connection has what its sides say, in the order in which it was said.
type spoken struct {
	net.Conn
	mu   *sync.Mutex
	said *[]plant.Segment
}

func (s spoken) Write(b []byte) (int, error) {
	s.add(plant.Segment{From: "a", To: "b", FromPort: 40000, ToPort: 80, Payload: string(b)})
	return s.Conn.Write(b)
}

func (s spoken) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if n > 0 {
		s.add(plant.Segment{From: "b", To: "a", FromPort: 80, ToPort: 40000, Payload: string(b[:n])})
	}
	return n, err
}

func (s spoken) add(p plant.Segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.Flags = "PA"
	*s.said = append(*s.said, p)
}

// speak is what a client and a server say to each other in HTTP/2, as segments with their numbers.
func speak(t testing.TB, handler http.HandlerFunc, ask func(c *http.Client)) []plant.Segment {
	t.Helper()
	var said []plant.Segment
	var mu sync.Mutex
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: handler, Protocols: &protocols}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	transport := &http.Transport{Protocols: &protocols, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
		return spoken{c, &mu, &said}, err
	}}
	ask(&http.Client{Transport: transport})
	transport.CloseIdleConnections()
	_ = server.Close()
	<-done
	mu.Lock()
	defer mu.Unlock()
	next := map[string]uint32{"a": 1001, "b": 5001}
	for i := range said {
		said[i].Seq = next[said[i].From]
		next[said[i].From] += uint32(len(said[i].Payload))
	}
	return slices.Clone(said)
}

// grpc answers as a server of gRPC does, with a message and a status.
func grpc(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	if r.URL.Path == "/plain" {
		http.Error(w, "broken", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/grpc")
	status, text := "0", ""
	if r.URL.Path == "/shop.Cart/Get" {
		status, text = "14", "no db%2C sorry"
	} else {
		_, _ = io.WriteString(w, strings.Repeat("message", 200))
	}
	w.Header().Set(http.TrailerPrefix+"Grpc-Status", status)
	w.Header().Set(http.TrailerPrefix+"Grpc-Message", text)
}

func ask(t testing.TB, paths ...string) func(c *http.Client) {
	return func(c *http.Client) {
		for _, path := range paths {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://b"+path, strings.NewReader("\x00\x00\x00\x00\x02hi"))
			if err != nil {
				t.Fatal(err)
			}
			if path != "/plain" {
				r.Header.Set("Content-Type", "application/grpc+proto")
			}
			answer, err := c.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_, err = io.Copy(io.Discard, answer.Body)
			if err := answer.Body.Close(); err != nil {
				t.Error(err)
			}
			if err != nil {
				t.Error(err)
			}
		}
	}
}

// whole is what a connection begins with, before segments.
func whole(segments []plant.Segment) []plant.Segment {
	return append([]plant.Segment{
		{From: "a", To: "b", FromPort: 40000, ToPort: 80, Flags: "S", Seq: 1000},
		{From: "b", To: "a", FromPort: 80, ToPort: 40000, Flags: "SA", Seq: 5000, Ack: 1001},
	}, segments...)
}

// heard are the messages of HTTP in segments, with what they are to a request.
func heard(t *testing.T, segments []plant.Segment) (list []string) {
	t.Helper()
	c := read(t, []string{"a", "b"}, func(w *plant.Wire) {
		for i, s := range segments {
			w.TCP(time.Duration(i)*ms, s)
		}
	})
	for _, m := range c.Messages {
		if m.Kind != traffic.HTTP {
			continue
		}
		text := m.From + " " + m.Text + [...]string{"", " asks", " answers", " gives up", " unknown"}[m.Role]
		if m.Bad {
			text += " !"
		}
		list = append(list, text)
	}
	return list
}

var conversation = []string{
	"a HTTP/2",
	"a gRPC /shop.Cart/Put asks",
	"b HTTP/2 200 OK answers", "b gRPC OK (/shop.Cart/Put)",
	"a gRPC /shop.Cart/Get asks",
	"b HTTP/2 200 OK answers", "b gRPC UNAVAILABLE: no db, sorry (/shop.Cart/Get) !",
	"a POST /plain HTTP/2 asks",
	"b HTTP/2 503 Service Unavailable answers !",
	"a gRPC /shop.Cart/Get asks",
	"b HTTP/2 200 OK answers", "b gRPC UNAVAILABLE: no db, sorry (/shop.Cart/Get) !",
}

func TestHTTP2(t *testing.T) {
	said := speak(t, grpc, ask(t, "/shop.Cart/Put", "/shop.Cart/Get", "/plain", "/shop.Cart/Get"))
	same(t, "whole", heard(t, whole(said)), conversation...)

	pieces := inPieces(said, 10)
	if len(pieces) < 200 {
		t.Fatalf("%d pieces", len(pieces))
	}
	same(t, "in pieces", heard(t, whole(pieces)), conversation...)

	disorder := slices.Clone(pieces)
	for i := 10; i+1 < len(disorder); i += 3 {
		if disorder[i].From == disorder[i+1].From {
			disorder[i], disorder[i+1] = disorder[i+1], disorder[i]
		}
		disorder = slices.Insert(disorder, i+2, disorder[i]) // sent again
	}
	same(t, "in disorder", withoutTime(heard(t, whole(disorder))), withoutTime(conversation)...)
}

// inPieces are segments of so many bytes, which frames are not.
func inPieces(said []plant.Segment, size int) (pieces []plant.Segment) {
	for _, s := range said {
		for len(s.Payload) > 0 {
			piece := s
			n := min(size, len(s.Payload))
			if strings.HasPrefix(s.Payload, "PRI ") { // what begins a connection comes at once
				n = 24
			}
			piece.Payload = s.Payload[:n]
			pieces = append(pieces, piece)
			s.Payload, s.Seq = s.Payload[n:], s.Seq+uint32(n)
		}
	}
	return pieces
}

// withoutTime are messages of both sides, those of each in their order.
func withoutTime(list []string) []string {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b string) int { return strings.Compare(a[:1], b[:1]) })
	return list
}

// What cannot be known is not guessed: whatever is missing, what is heard was said, or is that something is not known.
func TestHTTP2WithoutAPart(t *testing.T) {
	said := speak(t, grpc, ask(t, "/shop.Cart/Put", "/shop.Cart/Get", "/plain", "/shop.Cart/Get"))
	pieces := inPieces(said, 12)
	told, unharmed := map[string]int{}, 0
	for i := range pieces {
		list := heard(t, whole(slices.Delete(slices.Clone(pieces), i, i+1)))
		if slices.Equal(list, conversation) {
			unharmed++
		}
		for _, text := range list {
			if slices.ContainsFunc(conversation, func(said string) bool { // perhaps to nobody knows what
				before, after, _ := strings.Cut(said, " (/shop.Cart/")
				return said == text || text == before+strings.TrimLeft(after, "PutGe)")
			}) {
				continue
			}
			_, what, _ := strings.Cut(text, " ")
			what, _, _ = strings.Cut(what, ":")
			told[what]++
		}
	}
	if unharmed == 0 {
		t.Error("no part can be missing: data is not passed over")
	}
	for _, want := range []string{"HTTP/2 that cannot be read from here on", "HTTP/2 whose headers cannot be read from here on", "HTTP/2 request, not readable asks", "HTTP/2 answer, not readable answers"} {
		if told[want] == 0 {
			t.Errorf("never told: %s", want)
		}
		delete(told, want)
	}
	for text := range told {
		t.Errorf("told, without being said: %s", text)
	}
}

func TestHTTP2FromTheMiddle(t *testing.T) {
	said := speak(t, grpc, ask(t, "/shop.Cart/Put", "/shop.Cart/Get", "/plain", "/shop.Cart/Get"))
	const unknown = "HTTP/2, of which the beginning is not in the capture: its headers cannot be read"
	for i := 4; i < len(said); i++ {
		if list := heard(t, said[i:]); len(list) > 1 || len(list) == 1 && list[0][2:] != unknown {
			t.Errorf("from %d on: %q", i, list)
		}
	}
	window := plant.Segment{From: "a", To: "b", FromPort: 40000, ToPort: 80, Flags: "PA", Seq: 7, Payload: "\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x07"}
	same(t, "a window", heard(t, []plant.Segment{window, window}), "a "+unknown)
	same(t, "HTTP/1", heard(t, []plant.Segment{{From: "a", To: "b", FromPort: 1, ToPort: 80, Flags: "PA", Seq: 1, Payload: "\x00\x00\x04\x08"}}))
}

func TestHTTP2StreamsThatEndEarly(t *testing.T) {
	gone := make(chan struct{})
	said := speak(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/abort" {
			panic(http.ErrAbortHandler)
		}
		<-r.Context().Done()
		close(gone)
	}, func(c *http.Client) {
		if r, err := c.Get("http://b/abort"); err == nil {
			_ = r.Body.Close()
			t.Error("what was aborted has an answer")
		}
		ctx, cancel := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { cancel() }}), http.MethodGet, "http://b/wait", nil)
		if err != nil {
			t.Fatal(err)
		}
		if answer, err := c.Do(r); err == nil {
			_ = answer.Body.Close()
			t.Error("what was given up has an answer")
		}
		<-gone // the server has heard of it
	})
	got := heard(t, whole(said))
	for _, want := range []string{"a GET /abort HTTP/2 asks", "b HTTP/2 RST_STREAM INTERNAL_ERROR (/abort) answers !", "a GET /wait HTTP/2 asks", "a HTTP/2 RST_STREAM CANCEL (/wait) gives up !"} {
		if !slices.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
}

// at are segments of another connection, from another port.
func at(port uint16, segments []plant.Segment) (list []plant.Segment) {
	for _, s := range segments {
		if s.From == "a" {
			s.FromPort = port
		} else {
			s.ToPort = port
		}
		list = append(list, s)
	}
	return list
}

// What all connections remember together is bounded. Those that are over have room for others.
func TestHTTP2OfManyConnections(t *testing.T) {
	const tables = 2 * 4096 // of a connection
	t.Cleanup(traffic.SetMaxTables(2 * tables))
	t.Cleanup(traffic.SetAgain(1))
	said := whole(speak(t, func(http.ResponseWriter, *http.Request) {}, ask(t, "/x")))
	reset := []plant.Segment{{From: "a", To: "b", FromPort: 40000, ToPort: 80, Flags: "R", Seq: 1 << 20}}
	over := slices.Concat(said, reset)
	const unread = "a HTTP/2 that is not read: there are too many such connections at a time"
	for _, c := range []struct {
		segments []plant.Segment
		read     int
		unread   bool
	}{
		{slices.Concat(at(1, said), at(2, said)), 2, false}, // the control
		{slices.Concat(at(1, said), at(2, said), at(3, said)), 2, true},
		{slices.Concat(at(1, over), at(2, said), at(3, said)), 3, false},
		{slices.Concat(at(1, over), at(2, said), at(3, said), at(4, said)), 3, true},
		{slices.Concat(at(1, said), at(2, over), at(3, over), at(4, over), at(5, over)), 5, false},
		{slices.Concat(at(1, said), at(2, said), at(3, said), at(1, reset), at(4, said)), 3, true}, // one that was open when it was asked
	} {
		got := heard(t, c.segments)
		read := 0
		for _, text := range got {
			if text == "a POST /x HTTP/2 asks" || text == "a gRPC /x asks" {
				read++
			}
		}
		if read != c.read || slices.Contains(got, unread) != c.unread {
			t.Errorf("%d connections were read, want %d, and others were not: %t, want %t:\n%q", read, c.read, !c.unread, c.unread, got)
		}
	}
}

// A connection that asks for a larger table has it as far as there is room.
func TestHTTP2LargerTable(t *testing.T) {
	said := []plant.Segment{
		{From: "a", To: "b", FromPort: 40000, ToPort: 80, Flags: "PA", Seq: 1001, Payload: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
		{From: "b", To: "a", FromPort: 80, ToPort: 40000, Flags: "PA", Seq: 5001, Payload: "\x00\x00\x06\x04\x00\x00\x00\x00\x00" + "\x00\x01\x00\x01\x00\x00"},
		{From: "a", To: "b", FromPort: 40000, ToPort: 80, Flags: "PA", Seq: 1025, Payload: "\x00\x00\x07\x01\x05\x00\x00\x00\x01" + "\x3f\xe1\xff\x03" + "\x82\x84\x86"},
	}
	for _, room := range []int{2*4096 + 65536 - 4096, 2*4096 + 65536 - 4096 - 1} {
		restore := traffic.SetMaxTables(room)
		got := heard(t, whole(said))
		restore()
		if enough := room%2 == 0; slices.Contains(got, "a GET / HTTP/2 asks") != enough || len(got) != 2 {
			t.Errorf("room of %d: %q", room, got)
		}
	}
}

// Nothing that is sent can do worse than not being understood.
func FuzzHTTP2(f *testing.F) {
	var sides [2]string
	for _, s := range speak(f, grpc, ask(f, "/shop.Cart/Put", "/shop.Cart/Get")) {
		sides[strings.Index("ab", s.From)] += s.Payload
	}
	f.Add([]byte(sides[0]), []byte(sides[1]), uint16(100), uint16(0), uint8(50))
	f.Add([]byte(sides[0]), []byte(sides[1]), uint16(30), uint16(40), uint8(3))
	f.Add([]byte(sides[0][:24]+"\x00\x00\x01\x01\x04\x00\x00\x00\x01\xff"), []byte(sides[1]), uint16(9), uint16(9), uint8(1))
	f.Add([]byte(sides[0][:24]+"\xff\xff\xff\x01\x00\x00\x00\x00\x01"), []byte{}, uint16(9), uint16(1), uint8(200))
	f.Fuzz(func(t *testing.T, client, server []byte, missing, cut uint16, size uint8) {
		traffic.ReadHTTP2(client, server, int(missing), int(cut), max(int(size), 1))
	})
}
