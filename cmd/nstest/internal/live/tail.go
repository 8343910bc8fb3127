package live

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/analysis"
	"github.com/hermetic-go/nstest/cmd/nstest/internal/page"
	"github.com/hermetic-go/nstest/nstest/bundle"
)

// A tail reads the events of a test while they are written, and while somebody looks.
type tail struct {
	base time.Time

	mu       sync.Mutex
	watchers int
	live     *analysis.Live
	over     string        // the state, when the test has ended and everything was read
	changed  chan struct{} // closed when there is more; nil if nobody waits
	ended    chan string   // the state, when the test has ended
	gone     chan struct{} // closed when nobody looks any more
}

const (
	poll    = 100 * time.Millisecond // how often the file is read
	settled = 200 * time.Millisecond // an event that old has all earlier ones before it: two processes write
	maxLine = 4 << 20
	maxRead = 4 << 20 // bytes at once
)

// newTail reads a file for one who looks. Times are from base.
func newTail(path string, base time.Time) *tail {
	t := &tail{base: base, watchers: 1, live: analysis.NewLive(), ended: make(chan string, 1), gone: make(chan struct{})}
	go t.run(path)
	return t
}

// enter adds somebody who looks. It reports whether that is not too late.
func (t *tail) enter() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.watchers == 0 {
		return false
	}
	t.watchers++
	return true
}

// leave ends what enter or newTail has begun.
func (t *tail) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.watchers--; t.watchers == 0 {
		close(t.gone)
	}
}

// end says how the test has ended. It must be called once at most.
func (t *tail) end(state string) { t.ended <- state }

func (t *tail) run(path string) {
	r := reader{path: path}
	defer r.close()
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for {
		t.add(r.read(time.Now().Add(-settled)), "")
		select {
		case <-t.gone:
			return
		case state := <-t.ended:
			for more := true; more; more = r.more {
				t.add(r.read(time.Time{}), "")
			}
			t.add(nil, state)
			return
		case <-ticker.C:
		}
	}
}

func (t *tail) add(events []bundle.Event, over string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = over
	if len(events) == 0 && over == "" {
		return
	}
	t.live.Add(events)
	if t.changed != nil {
		close(t.changed)
		t.changed = nil
	}
}

// next is the next increment of a stream, nil if there is none yet; whether there is more, or what to wait for; and how the test has
// ended, if it has.
func (t *tail) next(s *page.Stream) (data []byte, more bool, wait <-chan struct{}, over string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.changed == nil {
		t.changed = make(chan struct{})
	}
	data, more, err = s.Next(t.live)
	return data, more, t.changed, t.over, err
}

// A reader reads a file of events as it grows.
type reader struct {
	path    string
	file    *os.File
	rest    []byte // of a line that has no end yet
	waiting []bundle.Event
	more    bool // there was more than was read
}

// read reads what is new, and returns the events up to a time: all for the zero time. What is no event is left out.
func (r *reader) read(until time.Time) []bundle.Event {
	r.more = false
	if r.file == nil {
		f, err := os.OpenFile(r.path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
		if err != nil {
			return nil
		}
		if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
			_ = f.Close() // it was read only
			return nil
		}
		r.file = f
	}
	data, _ := io.ReadAll(io.LimitReader(r.file, maxRead)) // what can be read; the rest may be later
	r.more = len(data) == maxRead
	data = append(r.rest, data...)
	for {
		line, rest, whole := bytes.Cut(data, []byte("\n"))
		if !whole {
			break
		}
		var e bundle.Event
		if json.Unmarshal(line, &e) == nil {
			r.waiting = append(r.waiting, e)
		}
		data = rest
	}
	if len(data) > maxLine {
		data = nil
	}
	r.rest = append([]byte(nil), data...)
	var out, later []bundle.Event
	for _, e := range r.waiting {
		if until.IsZero() || !e.Time.After(until) {
			out = append(out, e)
		} else {
			later = append(later, e)
		}
	}
	r.waiting = later
	return out
}

func (r *reader) close() {
	if r.file != nil {
		_ = r.file.Close() // it was read only
	}
}
