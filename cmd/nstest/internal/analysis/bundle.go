package analysis

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/traffic"
	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/bundle"
)

// An Analysis is what there is to tell of a bundle.
type Analysis struct {
	Manifest   bundle.Manifest
	State      *bundle.State    // nil if there is none
	Topology   *nstest.Topology // nil if there is none
	Drawing    []byte           // SVG as it is in the bundle; nil if there is none, or Topology is there
	Capture    *traffic.Capture // nil if there is none
	Hosts      []string         // in the order in which they are shown
	Items      []Item           // by time
	Findings   []Finding        // the most telling first
	Goroutines []Goroutine      // of the test's process
	Notes      []string         // what is missing, a sentence each
	End        time.Time        // of what was recorded

	addrs map[netip.Addr]string
}

// The bounds of what is shown.
const (
	maxItems  = 300_000
	maxText   = 2000 // bytes of an item's text
	maxFile   = 16 << 20
	maxErrors = 10
)

// Read reads a bundle. What cannot be read is noted.
func Read(b *bundle.Bundle) *Analysis {
	a := &Analysis{Manifest: b.Manifest(), addrs: map[netip.Addr]string{}}
	var err error
	if a.State, err = b.State(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		a.note("the state of the environment is not shown: %v", err)
	}
	if a.State != nil {
		for _, e := range a.State.Errors {
			a.note("%s", e)
		}
	}
	a.readTopology(b)
	events := a.readEvents(b)
	a.learnAddrs(events)
	a.readCapture(b)
	a.build(events)
	for _, o := range a.Manifest.Omitted {
		a.note("%s", o)
	}
	a.findHosts()
	a.readGoroutines(b)
	a.Findings = a.find(events)
	return a
}

func (a *Analysis) note(format string, args ...any) {
	a.Notes = append(a.Notes, Clip(fmt.Sprintf(format, args...), maxText))
}

func (a *Analysis) readTopology(b *bundle.Bundle) {
	content, err := readFile(b, bundle.TopologyFile)
	if err == nil {
		t := &nstest.Topology{}
		if err = json.Unmarshal(content, t); err == nil && large(t) {
			err = errors.New("it is too large to be drawn")
		}
		if err == nil {
			a.Topology = t
			return
		}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		a.note("%s is not shown: %v", bundle.TopologyFile, err)
	}
	if a.Drawing, err = readFile(b, bundle.DrawingFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		a.note("%s is not shown: %v", bundle.DrawingFile, err)
	}
}

// large reports whether a drawing of the topology would take too long, and be of no use.
func large(t *nstest.Topology) bool {
	links := 0
	for _, h := range t.Hosts {
		links += len(h.Links) + len(h.Routes)
	}
	return len(t.Hosts) > 1000 || len(t.Networks) > 500 || links > 20_000 || len(t.Partitions) > 500
}

func readFile(b *bundle.Bundle, path string) ([]byte, error) {
	f, err := b.File(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(content) > maxFile {
		err = fmt.Errorf("it has more than %d bytes", maxFile)
	}
	return content, err
}

// readEvents reads the events, the last ones if there are too many, by time.
func (a *Analysis) readEvents(b *bundle.Bundle) []bundle.Event {
	var events []bundle.Event
	left, wrong := 0, 0
	for e, err := range b.Events() {
		switch {
		case err != nil:
			if wrong++; wrong <= maxErrors {
				a.note("%v", err)
			}
			continue
		case e.Time.IsZero():
			continue
		}
		e.Text = Clip(e.Text, 1<<20)
		events = append(events, e)
		if len(events) >= 2*maxItems {
			left += maxItems
			events = slices.Delete(events, 0, maxItems)
		}
	}
	if left > 0 {
		a.note("the first %d events are not shown", left)
	}
	if wrong > maxErrors {
		a.note("%d more lines of %s are no events", wrong-maxErrors, bundle.EventsFile)
	}
	slices.SortStableFunc(events, func(x, y bundle.Event) int { return x.Time.Compare(y.Time) })
	return events
}

// learnAddrs finds out whose addresses are whose.
func (a *Analysis) learnAddrs(events []bundle.Event) {
	learn := func(host, addr string) {
		if p, err := netip.ParsePrefix(addr); err == nil {
			addr = p.Addr().String()
		}
		ip, err := netip.ParseAddr(addr)
		if err == nil && host != "" && !ip.IsLoopback() && !ip.IsLinkLocalUnicast() {
			a.addrs[ip.Unmap().WithZone("")] = host
		}
	}
	if a.State != nil {
		for _, h := range a.State.Hosts {
			for _, i := range h.Interfaces {
				for _, addr := range i.Addrs {
					learn(h.Name, addr)
				}
			}
		}
	}
	if a.Topology != nil {
		for _, h := range a.Topology.Hosts {
			for _, l := range h.Links {
				for _, addr := range l.Addrs {
					learn(h.Name, addr.String())
				}
			}
		}
	}
	for _, e := range events {
		if e.Kind == bundle.KindHost {
			for _, addr := range e.Addrs {
				learn(e.Host, addr)
			}
		}
	}
}

func (a *Analysis) readCapture(b *bundle.Bundle) {
	f, err := b.Capture()
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		a.note("packets are not shown: %v", err)
		return
	}
	defer f.Close()
	a.Capture = traffic.Read(f, a.addrs)
	if a.Capture.Err != nil {
		a.note("the last packets are not shown: %v", a.Capture.Err)
	}
	if a.Capture.Omitted > 0 {
		a.note("the first %d packets of the capture are not shown", a.Capture.Omitted)
	}
}

// findHosts collects the names of hosts, those of the manifest first.
func (a *Analysis) findHosts() {
	known := map[string]bool{}
	add := func(names ...string) {
		for _, n := range names {
			if n != "" && !known[n] && len(a.Hosts) < 1000 {
				known[n] = true
				a.Hosts = append(a.Hosts, n)
			}
		}
	}
	add(a.Manifest.Hosts...)
	if a.Topology != nil {
		for _, h := range a.Topology.Hosts {
			add(h.Name)
		}
	}
	if a.State != nil {
		for _, h := range a.State.Hosts {
			add(h.Name)
		}
	}
	more := map[string]bool{}
	for _, i := range a.Items {
		if !known[i.Host] {
			more[i.Host] = true
		}
		if !known[i.To] {
			more[i.To] = true
		}
	}
	add(slices.Sorted(maps.Keys(more))...)
	for i := range a.Items { // beyond the bound
		if !known[a.Items[i].Host] {
			a.Items[i].Host = ""
		}
		if !known[a.Items[i].To] {
			a.Items[i].To = ""
		}
	}
}

// Clip is a text of limited length, in UTF-8.
func Clip(s string, most int) string {
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
