package leaks

import (
	"context"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/census"
)

// A Snapshot is what there is at one moment. The zero value has nothing in it.
type Snapshot struct {
	entries map[Kind][]entry
	keeper  bool // nstest's keeper was running
}

// An entry is one thing. Things of a class stand for each other: one that goes and one that comes are no leak. A thing
// that has an identity is a class of its own.
type entry struct {
	class, id    string
	what, origin string
}

// threadSlack is by how many the threads that are not idle may grow: the Go runtime and what has not ended yet have some.
const threadSlack = 16

// settled is how long Leaks waits for what ends on its own. Tests that know that there are leaks make it shorter.
var settled = 5 * time.Second

// Take looks at what there is. What cannot be read, such as the namespaces of another user's process, is left out.
func Take() Snapshot {
	s := Snapshot{entries: map[Kind][]entry{}}
	if k := census.TheKeeper(); k != nil {
		s.keeper = k.Running()
		_ = k.Trim() // what is left of it is seen
	}
	wakePoller()
	s.entries[Environment] = environments()
	s.entries[Goroutine] = goroutines()
	tree := descendants()
	s.entries[Process] = processes(tree)
	s.entries[Thread] = threads()
	s.entries[Namespace] = namespaces(tree)
	s.entries[Mount] = mounts()
	s.entries[Link] = links()
	s.entries[Socket] = sockets(tree)
	s.entries[File] = files()
	return s
}

// Diff is what later has and s has not.
func (s Snapshot) Diff(later Snapshot) []Leak {
	var list []Leak
	for _, k := range kinds {
		growth, had := map[string]int{}, map[string]bool{}
		for _, e := range s.entries[k] {
			growth[e.class]--
			had[e.class+"\x00"+e.id] = true
		}
		if k == Thread {
			growth[atHome] -= threadSlack
		}
		for _, e := range later.entries[k] {
			growth[e.class]++
		}
		for _, e := range later.entries[k] {
			if growth[e.class] > 0 && !had[e.class+"\x00"+e.id] {
				growth[e.class]--
				list = append(list, Leak{k, e.what, e.origin})
			}
		}
	}
	return list
}

// Leaks is what there is and was not in s. It waits up to 5 seconds for what ends on its own: see Wait.
func (s Snapshot) Leaks() []Leak {
	ctx, cancel := context.WithTimeout(context.Background(), settled)
	defer cancel()
	return s.Wait(ctx)
}

// Wait is what there is and was not in s, nothing as soon as there is nothing, and what remains when ctx has ended. A keeper
// that was started since, and that no environment needs, is stopped first.
func (s Snapshot) Wait(ctx context.Context) []Leak {
	if k := census.TheKeeper(); k != nil && !s.keeper {
		_ = k.StopIdle() // what is left of it is reported
	}
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		last := ctx.Err() != nil // what a look sees that begins earlier may have ended since: looks take their time
		list := s.Diff(Take())
		if len(list) == 0 || last {
			return list
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
	}
}
