package live

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hermetic-go/nstest/nstest/bundle"
)

// A test is an attempt at one, as its program tells of it.
type test struct {
	notice
	id      int
	changed int // the hub's version when it was changed last
	ended   time.Time
	dir     string   // of its bundle
	scratch *scratch // where that is in memory; nil where it is not
	tail    *tail    // while it runs and somebody looks
}

// The bounds of what is remembered of tests that are over.
const (
	maxPassed = 300
	maxFailed = 500
	maxKept   = 100 // reports that are in memory
)

// A scratch is a directory in memory, which is there as long as anybody uses it.
type scratch struct {
	dir   *os.File
	users int // its program, and the tests whose reports are there; guarded by the hub's mutex
}

// release ends a use of a directory.
func (h *hub) release(s *scratch) {
	if s == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.users--; s.users == 0 {
		_ = s.dir.Close() // it is only a path
	}
}

// A hub has the tests. The zero value has none.
type hub struct {
	mu       sync.Mutex
	last     int // the number that was given last
	version  int
	tests    map[int]*test
	passed   []int // that are remembered, and so on
	failed   []int
	kept     []*test
	counts   counts
	changed  chan struct{} // closed when the version becomes another one; nil if nobody waits
	watching atomic.Int64  // pages that follow something
	over     bool
}

// counts are how many tests there were.
type counts struct {
	Running int `json:"running"`
	Failed  int `json:"failed"`
	Passed  int `json:"passed"`
	Skipped int `json:"skipped"`
}

// touch has those who wait look again. The mutex is held.
func (h *hub) touch() {
	h.version++
	if h.changed != nil {
		close(h.changed)
		h.changed = nil
	}
}

// begin takes note of a test that runs, whose bundle is in a directory.
func (h *hub) begin(n notice, dir string, s *scratch) *test {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.touch()
	h.last++
	t := &test{notice: n, id: h.last, changed: h.version, dir: dir, scratch: s}
	if h.tests == nil {
		h.tests = map[int]*test{}
	}
	h.tests[t.id] = t
	h.counts.Running++
	return t
}

// end takes note of its end.
func (h *hub) end(t *test, n notice, dir string) {
	h.mu.Lock()
	if t.State != "running" {
		h.mu.Unlock()
		return
	}
	h.touch()
	t.Test, t.State, t.Message, t.dir = cmp.Or(n.Test, t.Test), n.State, n.Message, dir
	t.changed, t.ended = h.version, time.Now()
	h.counts.Running--
	var forgotten []*test
	switch t.State {
	case "passed", "skipped":
		if t.State == "passed" {
			h.counts.Passed++
		} else {
			h.counts.Skipped++
		}
		h.passed = h.forget(append(h.passed, t.id), maxPassed)
	default:
		h.counts.Failed++
		h.failed = h.forget(append(h.failed, t.id), maxFailed)
		if t.scratch != nil {
			t.scratch.users++
			h.kept = append(h.kept, t)
		}
		if over := len(h.kept) - maxKept; over > 0 {
			forgotten, h.kept = slices.Clone(h.kept[:over]), slices.Delete(h.kept, 0, over)
		}
	}
	tail, state := t.tail, t.State
	t.tail = nil
	h.mu.Unlock()
	if tail != nil {
		tail.end(state)
	}
	for _, t := range forgotten {
		_ = os.RemoveAll(t.dir) // it is in memory, which is limited
		h.release(t.scratch)
	}
}

// forget keeps so many of a list. The mutex is held.
func (h *hub) forget(list []int, most int) []int {
	for ; len(list) > most; list = list[1:] {
		delete(h.tests, list[0])
	}
	return list
}

// find is a test, as it is now.
func (h *hub) find(id int) (t test, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	found := h.tests[id]
	if found == nil {
		return test{}, false
	}
	return *found, true
}

// follow is the timeline of a test that runs, for somebody who leaves it when he has seen enough; nil if it is over.
func (h *hub) follow(id int) *tail {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.tests[id]
	if t == nil || t.State != "running" || t.Redacted {
		return nil
	}
	if t.tail == nil || !t.tail.enter() {
		t.tail = newTail(filepath.Join(t.dir, bundle.EventsFile), t.Began)
	}
	return t.tail
}

// finish says that nothing more comes.
func (h *hub) finish(over bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over != over {
		h.over = over
		h.touch()
	}
}

// A row is what a list says of a test.
type row struct {
	ID      int    `json:"id"`
	Test    string `json:"test"`
	Suite   string `json:"suite,omitempty"`
	Package string `json:"package,omitempty"`
	Attempt int    `json:"attempt"`
	State   string `json:"state"`
	Message string `json:"message,omitempty"`
	Began   int64  `json:"began"` // milliseconds of Unix time
	Ended   int64  `json:"ended,omitempty"`
}

// A list is an increment of the list of tests.
type list struct {
	First  bool   `json:"first,omitempty"` // whatever there is before it is forgotten
	Now    int64  `json:"now"`
	Counts counts `json:"counts"`
	Tests  []row  `json:"tests"`
}

// since are the tests that have changed since a version, and what to wait for if there are none: a channel, and whether all is over.
func (h *hub) since(version int) (l list, now int, wait <-chan struct{}, over bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.changed == nil {
		h.changed = make(chan struct{})
	}
	l = list{First: version < 0, Now: time.Now().UnixMilli(), Counts: h.counts, Tests: []row{}}
	for _, t := range h.tests {
		if t.changed <= version {
			continue
		}
		r := row{ID: t.id, Test: t.Test, Suite: t.Suite, Package: t.Package, Attempt: t.Attempt, State: t.State, Message: t.Message, Began: t.Began.UnixMilli()}
		if !t.ended.IsZero() {
			r.Ended = t.ended.UnixMilli()
		}
		l.Tests = append(l.Tests, r)
	}
	slices.SortFunc(l.Tests, func(a, b row) int { return cmp.Or(cmp.Compare(a.Ended, b.Ended), cmp.Compare(a.ID, b.ID)) })
	return l, h.version, h.changed, h.over
}
