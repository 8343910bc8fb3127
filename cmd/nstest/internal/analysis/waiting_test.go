package analysis_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/plant"
)

// A speaker is a side of a connection of HTTP/2 on a wire.
type speaker struct {
	*http2.Framer
	wire    *plant.Wire
	segment plant.Segment
	out     bytes.Buffer
	headers bytes.Buffer
	encoder *hpack.Encoder
}

func newSpeaker(w *plant.Wire, from, to string, fromPort, toPort uint16) *speaker {
	s := &speaker{wire: w, segment: plant.Segment{From: from, To: to, FromPort: fromPort, ToPort: toPort, Flags: "PA", Seq: 1}}
	s.Framer, s.encoder = http2.NewFramer(&s.out, nil), hpack.NewEncoder(&s.headers)
	return s
}

// say sends what f writes.
func (s *speaker) say(t *testing.T, at time.Duration, f func() error) {
	t.Helper()
	if err := f(); err != nil {
		t.Fatal(err)
	}
	s.segment.Payload = s.out.String()
	s.out.Reset()
	s.wire.TCP(at, s.segment)
	s.segment.Seq += uint32(len(s.segment.Payload))
}

// send sends headers: names and values by turns.
func (s *speaker) send(t *testing.T, at time.Duration, stream uint32, end bool, fields ...string) {
	t.Helper()
	s.say(t, at, func() error {
		s.headers.Reset()
		for f := range slices.Chunk(fields, 2) {
			if err := s.encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
				return err
			}
		}
		return s.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: s.headers.Bytes(), EndHeaders: true, EndStream: end})
	})
}

// Requests of HTTP/2 are waited for each by itself, and a status of gRPC tells what HTTP does not.
func TestRequestsOfHTTP2(t *testing.T) {
	a := read(t, func(b *plant.Bundle) {
		b.Wire = plant.NewWire("web", "api")
		client, server := newSpeaker(b.Wire, "web", "api", 40000, 80), newSpeaker(b.Wire, "api", "web", 80, 40000)
		b.Wire.TCP(ms, plant.Segment{From: "web", To: "api", FromPort: 40000, ToPort: 80, Flags: "S"})
		b.Wire.TCP(2*ms, plant.Segment{From: "api", To: "web", FromPort: 80, ToPort: 40000, Flags: "SA", Ack: 1})
		client.say(t, 10*ms, func() error {
			client.out.WriteString(http2.ClientPreface)
			return client.WriteSettings()
		})
		server.say(t, 11*ms, func() error { return server.WriteSettings() })
		get := func(at time.Duration, stream uint32, path string) {
			client.send(t, at, stream, true, ":method", "GET", ":path", path, ":scheme", "http", ":authority", "api")
		}
		get(20*ms, 1, "/slow")
		get(30*ms, 3, "/never")
		get(40*ms, 5, "/well")
		client.send(t, 50*ms, 7, true, ":method", "POST", ":path", "/shop.Cart/Get", ":scheme", "http", ":authority", "api", "content-type", "application/grpc")
		server.send(t, 60*ms, 5, true, ":status", "204")
		server.send(t, 70*ms, 7, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "14", "grpc-message", "no%20db")
		get(80*ms, 9, "/broken")
		server.send(t, 90*ms, 9, true, ":status", "503")
		client.say(t, 330*ms, func() error { return client.WriteRSTStream(3, http2.ErrCodeCancel) })
		server.send(t, 720*ms, 1, true, ":status", "200")
	})
	same(t, "findings", findings(a), []string{
		"bad No answer: web → api: GET /never HTTP/2 ×1 (api had not answered when web hung up after 300ms) -> http at 30ms",
		"odd gRPC UNAVAILABLE: no db (/shop.Cart/Get): api → web ×1 () -> http at 70ms",
		"odd HTTP/2 503 Service Unavailable: api → web ×1 () -> http at 90ms",
		"odd HTTP/2 RST_STREAM CANCEL (/never): web → api ×1 () -> http at 330ms",
		"odd Slow answer: web → api: GET /slow HTTP/2 ×1 (it has taken 700ms) -> http at 20ms",
	})
}

// Of a connection of which a part is not there nobody knows what was answered.
func TestRequestsOfHTTP2ThatNobodyCanJudge(t *testing.T) {
	a := read(t, func(b *plant.Bundle) {
		b.Wire = plant.NewWire("web", "api")
		client, server := newSpeaker(b.Wire, "web", "api", 40000, 80), newSpeaker(b.Wire, "api", "web", 80, 40000)
		client.say(t, 10*ms, func() error {
			client.out.WriteString(http2.ClientPreface)
			return client.WriteSettings()
		})
		server.say(t, 11*ms, func() error { return server.WriteSettings() })
		client.send(t, 20*ms, 1, true, ":method", "GET", ":path", "/", ":scheme", "http", ":authority", "api")
		server.segment.Seq += 100 // bytes that the capture does not have
		server.say(t, 30*ms, func() error { return server.WriteData(1, true, []byte("the rest")) })
	})
	same(t, "findings", findings(a), nil)
}
