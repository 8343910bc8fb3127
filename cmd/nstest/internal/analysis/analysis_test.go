package analysis_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/analysis"
	"github.com/hermetic-go/nstest/cmd/nstest/internal/plant"
	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/bundle"
)

const ms = time.Millisecond

// read analyses a bundle that f has planted something in.
func read(t *testing.T, f func(b *plant.Bundle)) *analysis.Analysis {
	t.Helper()
	p := plant.New(t.TempDir())
	f(p)
	if err := p.Write(); err != nil {
		t.Fatal(err)
	}
	return analyse(t, p.Dir)
}

func analyse(t testing.TB, dir string) *analysis.Analysis {
	t.Helper()
	b, err := bundle.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	return analysis.Read(b)
}

// findings are they as texts: how bad, what, how often, why, and what of the timeline or the state it leads to.
func findings(a *analysis.Analysis) []string {
	var out []string
	for _, f := range a.Findings {
		text := fmt.Sprintf("%s %s ×%d (%s)", []string{"normal", "odd", "bad"}[f.Level], f.Title, f.Count, f.Detail)
		switch {
		case f.Item >= 0:
			i := a.Items[f.Item]
			text += fmt.Sprintf(" -> %s at %s", i.Kind, i.Time.Sub(plant.Began))
		case f.Host != "":
			text += fmt.Sprintf(" -> %s of %s", f.Table, f.Host)
		}
		out = append(out, text)
	}
	return out
}

// Everything at once, with what each finding leads to.
func TestShop(t *testing.T) {
	dir := t.TempDir()
	if _, err := plant.Shop(dir); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "shop.txt")
	got := strings.Join(findings(analyse(t, dir)), "\n") + "\n"
	if os.Getenv("UPDATE") == "1" {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("what stands out (UPDATE=1 writes %s anew):\n%s", golden, d)
	}
}

// In a bundle in which everything is well nothing stands out: neither what is healed, nor what comes after the failure.
func TestNothingStandsOut(t *testing.T) {
	a := read(t, func(b *plant.Bundle) {
		b.Event(10*ms, bundle.Event{Kind: bundle.KindStart, Host: "web", Process: 1, PID: 2, Args: []string{"nginx"}})
		b.Event(20*ms, bundle.Event{Kind: bundle.KindFault, Fault: 1, Text: "partition of web | db"})
		b.Event(40*ms, bundle.Event{Kind: bundle.KindFault, Fault: 1, Text: "partition of web | db", State: "healed"})
		b.Event(50*ms, bundle.Event{Kind: bundle.KindExit, Host: "web", Process: 2, State: "exit status 0"})
		b.Event(60*ms, bundle.Event{Kind: bundle.KindQuery, Host: "web", Text: "A db.", State: "NOERROR", Addrs: []string{"10.0.0.2"}})
		b.Event(2100*ms, bundle.Event{Kind: bundle.KindExit, Host: "web", Process: 1, State: "signal: killed"}) // the clean-up
		b.Wire = plant.NewWire("web", "db")
		b.Wire.Exchange(100*ms, "web", "db", 40000, 80, "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n")
		b.State = &bundle.State{Hosts: []bundle.HostState{{
			Name:       "web",
			Processes:  []bundle.Process{{PID: 1, Args: []string{"nginx"}, State: "S"}},
			Sockets:    []bundle.Socket{{Protocol: "tcp", State: "LISTEN", Local: ":80", Send: 128}, {Protocol: "tcp", State: "ESTABLISHED", Receive: 10, Send: 10}},
			Interfaces: []bundle.Interface{{Name: "lo", State: "unknown"}, {Name: "eth0", State: "up", TxDropped: 2}},
			Mounts:     []bundle.Mount{{Target: "/usr", Type: "squashfs", Options: "ro", Size: 100}, {Target: "/tmp", Type: "tmpfs", Options: "rw", Size: 100, Free: 50, Inodes: 10, IFree: 5}, {Target: "/proc", Type: "proc", Options: "rw"}},
			Counters:   []bundle.Counter{{Where: "inet filter input drop", Packets: 0}, {Where: "inet filter input accept", Packets: 7}},
			Neighbours: []bundle.Neighbour{{Addr: "10.0.0.2", State: "REACHABLE"}},
		}}}
	})
	if got := findings(a); got != nil {
		t.Errorf("stands out:\n%s", strings.Join(got, "\n"))
	}
	if len(a.Notes) > 0 {
		t.Errorf("notes: %q", a.Notes)
	}
}

// texts are the items of a kind, with their beginning and how long they took.
func texts(a *analysis.Analysis, kind analysis.Kind) []string {
	var out []string
	for _, i := range a.Items {
		if i.Kind != kind {
			continue
		}
		took := i.Took.String()
		if i.Lasts {
			took = "to the end"
		}
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", i.Time.Sub(plant.Began), took, i.Host, i.Text)))
	}
	return out
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %s", what, cmp.Diff(want, got))
	}
}

// What begins and what ends is one thing, however deep, and whether or not its end or beginning is there.
func TestBeginningsAndEnds(t *testing.T) {
	a := read(t, func(b *plant.Bundle) {
		node := func(at time.Duration, text, state string, took time.Duration) {
			b.Event(at, bundle.Event{Kind: bundle.KindNode, Text: text, State: state, Took: took})
		}
		step := func(at time.Duration, text string, took time.Duration) {
			b.Event(at, bundle.Event{Kind: bundle.KindStep, Text: text, Took: took})
		}
		node(0, "BeforeEach", "", 0)
		node(10*ms, "BeforeEach", "passed", 10*ms)
		node(20*ms, "It", "", 0)
		step(30*ms, "outer", 0)
		step(40*ms, "ends with the next one", 0)
		step(50*ms, "whole", 0)
		step(60*ms, "whole", 10*ms)
		step(70*ms, "ends with its node", 0)
		node(80*ms, "It", "failed", 60*ms)
		node(90*ms, "AfterEach", "passed", 5*ms) // whose beginning was left out
		node(100*ms, "never ends", "", 0)
		b.Event(1*ms, bundle.Event{Kind: bundle.KindStart, Host: "a", Process: 1, Args: []string{"sleep", "two words"}})
		b.Event(2*ms, bundle.Event{Kind: bundle.KindStart, Host: "a", Process: 2, Args: []string{"cat"}})
		b.Event(5*ms, bundle.Event{Kind: bundle.KindExit, Host: "a", Process: 1, State: "exit status 3"})
		b.Event(6*ms, bundle.Event{Kind: bundle.KindExit, Host: "b", Process: 9, State: "signal: segmentation fault"})
	})
	same(t, "nodes", texts(a, analysis.Node), []string{"0s 10ms  BeforeEach", "20ms 60ms  It", "85ms 5ms  AfterEach", "100ms to the end  never ends"})
	same(t, "steps", texts(a, analysis.Step), []string{"30ms 10ms  outer", "40ms 10ms  ends with the next one", "50ms 10ms  whole", "70ms 10ms  ends with its node"})
	same(t, "processes", texts(a, analysis.Process), []string{`1ms 4ms a sleep "two words"`, "2ms to the end a cat", `5ms 0s a ended: exit status 3 — sleep "two words"`, "6ms 0s b ended: signal: segmentation fault"})
	same(t, "what stands out", findings(a), []string{
		"bad b: ended: signal: segmentation fault ×1 () -> process at 6ms",
		`odd a: ended: exit status 3 — sleep "two words" ×1 () -> process at 5ms`,
	})
}

// A bundle that was cut anywhere is shown as far as it goes, and what is missing is said.
func TestWhatIsMissing(t *testing.T) {
	p := plant.New(t.TempDir())
	p.Manifest.State, p.Manifest.Failures, p.Manifest.Ended = "running", nil, time.Time{}
	p.Manifest.Omitted = []string{"Core dumps are left out."}
	p.Event(ms, bundle.Event{Kind: bundle.KindNote, Text: "hello"})
	p.Wire = plant.NewWire("a", "b")
	p.Wire.Exchange(ms, "a", "b", 40000, 80, "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n")
	if err := p.Write(); err != nil {
		t.Fatal(err)
	}
	capture, err := os.ReadFile(filepath.Join(p.Dir, bundle.CaptureFile))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{bundle.StateFile: []byte("{"), bundle.TopologyFile: []byte("[]"), bundle.DrawingFile: []byte("<svg/>"), bundle.CaptureFile: capture[:len(capture)-20]} {
		if err := p.File(name, content); err != nil {
			t.Fatal(err)
		}
	}
	a := analyse(t, p.Dir)
	want := []string{"the state of the environment is not shown: ", "topology.json is not shown: ", "the last packets are not shown: read capture: packet 16: ", "Core dumps are left out."}
	if len(a.Notes) != len(want) {
		t.Fatalf("notes %q", a.Notes)
	}
	for i, n := range a.Notes {
		if !strings.HasPrefix(n, want[i]) {
			t.Errorf("note %q, want %q", n, want[i])
		}
	}
	if string(a.Drawing) != "<svg/>" || len(a.Capture.Packets) != 8 {
		t.Errorf("drawing %q, %d packets", a.Drawing, len(a.Capture.Packets))
	}
}

// What is beyond bounds is left out, and that is said.
func TestBounds(t *testing.T) {
	p := plant.New(t.TempDir())
	top := nstest.Topology{Name: "huge", Hosts: make([]nstest.TopologyHost, 5000)}
	if err := p.JSON(bundle.TopologyFile, top); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("ä", 50_000)
	for i := range 1500 {
		p.Event(ms, bundle.Event{Kind: bundle.KindLog, Host: fmt.Sprintf("host%d", i), Text: long[:1+i]})
		p.Event(ms, bundle.Event{Kind: bundle.KindQuery, Host: "web", Text: fmt.Sprintf("A %d.", i), State: "NXDOMAIN"})
	}
	p.Event(2*ms, bundle.Event{Kind: bundle.KindLog, Host: "web", Text: long})
	if err := p.Write(); err != nil {
		t.Fatal(err)
	}
	a := analyse(t, p.Dir)
	same(t, "notes", a.Notes, []string{"topology.json is not shown: it is too large to be drawn", "1440 more things that stand out are not shown"})
	if len(a.Hosts) != 1000 || len(a.Findings) != 60 {
		t.Errorf("%d hosts and %d findings", len(a.Hosts), len(a.Findings))
	}
	for _, i := range a.Items {
		if len(i.Text) > 2010 || !utf8.ValidString(i.Text) {
			t.Errorf("a text of %d bytes: %q", len(i.Text), i.Text[len(i.Text)-10:])
		}
	}
}
