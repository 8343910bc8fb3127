package page

import (
	"encoding/json"
	"time"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/analysis"
)

// A Stream is what a live page gets of a timeline: increments, each of which has what is new, and what was amended since the one
// before. Each page has its own, beginning with nothing.
type Stream struct {
	base    time.Time
	hosts   map[string]int
	begun   bool  // it has had an increment
	items   int   // how many it has had
	changed int   // how many of the changes
	last    int64 // when the last item was
}

// NewStream is one whose times are from the beginning.
func NewStream(base time.Time) *Stream { return &Stream{base: base, hosts: map[string]int{}} }

// An increment has the columns of the new items, the hosts that are new with them, and amendments of earlier items.
type increment struct {
	*columns
	First   bool              `json:"first,omitempty"` // whatever there is before it is forgotten
	Amended map[int]amendment `json:"amended,omitempty"`
}

// An amendment is what an item has become.
type amendment struct {
	Took  int64          `json:"d"`
	Level analysis.Level `json:"l"`
	Facts [][2]string    `json:"facts"`
}

// The bounds of an increment: what is more is in the next one.
const (
	maxIncrement = 5000
	maxStep      = 1 << 20 // bytes of texts
)

// Next is the next increment, which is nil if there is nothing new, and whether there is more.
func (s *Stream) Next(l *analysis.Live) (data []byte, more bool, err error) {
	items, changed := l.Items(), l.Changed()
	if s.begun && s.items == len(items) && s.changed == len(changed) {
		return nil, false, nil
	}
	n := increment{columns: newColumns(), First: !s.begun, Amended: map[int]amendment{}}
	n.Begin, n.End = s.base.UTC().Format(time.RFC3339Nano), max(0, l.End().Sub(s.base).Microseconds())
	s.begun = true
	from := s.items
	for size := 0; s.items < len(items) && s.items < from+maxIncrement && size < maxStep; s.items++ {
		i := items[s.items]
		size += len(i.Text)
		at := i.Time.Sub(s.base).Microseconds() // what was done for the test before it began has times below 0
		if s.items > 0 {
			at = max(at, s.last)
		}
		n.add(i, at-s.last, s.host(n.columns, i.Host), s.host(n.columns, i.To))
		s.last = at
		if f := facts(i); f != nil {
			n.Facts[s.items] = f
		}
	}
	if s.items == len(items) {
		for _, i := range changed[s.changed:] {
			if i < from { // the others are as they have become
				n.Amended[i] = amendment{took(items[i]), items[i].Level, facts(items[i])}
			}
		}
		s.changed = len(changed)
	}
	if s.items == from && len(n.Amended) == 0 && !n.First {
		return nil, false, nil
	}
	data, err = json.Marshal(n)
	return data, s.items < len(items), err
}

// host is the number of a host, which is new if nobody has heard of it.
func (s *Stream) host(c *columns, name string) int {
	if name == "" {
		return 0
	}
	n, known := s.hosts[name]
	if !known {
		if len(s.hosts) >= maxLiveHosts {
			return 0
		}
		n = len(s.hosts) + 1
		s.hosts[name] = n
		c.Hosts = append(c.Hosts, name)
	}
	return n
}

const maxLiveHosts = 1000

func facts(i analysis.Item) (list [][2]string) {
	for _, f := range i.Facts {
		list = append(list, [2]string{f.Name, f.Value})
	}
	return list
}
