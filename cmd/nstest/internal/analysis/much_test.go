package analysis_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/plant"
	"github.com/hermetic-go/nstest/nstest/bundle"
)

// Many requests, and many attempts to connect to who does not listen, each after a query.
func BenchmarkMuchTraffic(b *testing.B) {
	const many = 5000
	p := plant.New(b.TempDir())
	p.Wire = plant.NewWire("web", "api")
	seq := uint32(1)
	text := "GET / HTTP/1.1\r\n\r\n"
	for n := range many {
		at := time.Duration(n) * 100 * time.Microsecond
		p.Wire.TCP(at, plant.Segment{From: "web", To: "api", FromPort: 40000, ToPort: 80, Flags: "PA", Seq: seq, Payload: text})
		seq += uint32(len(text))
		port := uint16(20000 + n)
		p.Wire.TCP(at, plant.Segment{From: "web", To: "api", FromPort: port, ToPort: 5432, Flags: "S"})
		p.Wire.TCP(at, plant.Segment{From: "api", To: "web", FromPort: 5432, ToPort: port, Flags: "RA", Ack: 1})
		p.Event(at, bundle.Event{Kind: bundle.KindQuery, Host: "web", Text: "A db.", State: "NOERROR", Addrs: []string{fmt.Sprint("10.0.0.", n%250)}})
	}
	if err := p.Write(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		analyse(b, p.Dir)
	}
}

// What has a long title is one finding, too.
func TestALongTitleIsSeenTwice(t *testing.T) {
	a := read(t, func(b *plant.Bundle) {
		for n := range 2 {
			b.Event(ms, bundle.Event{Kind: bundle.KindFault, Fault: n + 1, Text: "partition of " + strings.Repeat("web, ", 100) + "db"})
		}
	})
	if len(a.Findings) != 1 || a.Findings[0].Count != 2 {
		t.Errorf("%q", findings(a))
	}
}
