package keeper

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// A spare is an environment that is made ahead, because twice in a row the same was asked for, and probably will be again.
// It has plots for as many hosts as were added to the one before. There is one at most. Whoever gets it cannot tell it from
// one that was made when he asked: nobody has been in it, and at each path that it shows the machine still has the same.
// The zero value has none.
type spare struct {
	mu     sync.Mutex
	wanted string            // the recipe that was asked for last; "" if it was one for which nothing is made ahead
	hosts  int               // that were added to the last environment
	recipe string            // of next
	next   chan *environment // gets one, or nil if it could not be made; nil if none is being made
}

// recipe names what an environment is made from. Two that have the same recipe differ in their names only. It is "" where
// more goes into one than the keeper can compare.
func (s *server) recipe(p wire.OpenParams) string {
	kinds := len(p.ShareKinds) > 0 || p.Privileged
	files := p.Root != "" || len(p.Layers) > 0 || len(p.Shared) > 0 || len(p.Devices) > 0
	told := p.FailAt != "" || p.CancelAt != ""
	if kinds || files || told || p.Time != nil {
		return ""
	}
	p.Name, p.Kind, p.Attached, p.Awaited = "", "", false, false
	data, err := json.Marshal(p)
	if err != nil {
		return ""
	}
	return string(data) + s.machine.Identify(p.Visible) + s.machine.Identify(p.ReadOnly)
}

// take returns the spare environment, if it was made from this recipe; else nil.
func (s *spare) take(recipe string) *environment {
	s.mu.Lock()
	if s.next == nil || s.recipe != recipe {
		s.mu.Unlock()
		return nil
	}
	next := s.next
	s.next = nil
	s.mu.Unlock()
	e := <-next
	if e == nil || e.lives() {
		return e
	}
	e.closeLogged()
	return nil
}

// lives reports whether nobody has ended the environment.
func (e *environment) lives() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return false
	}
	return !e.init.Ended()
}

// tally counts a host that is added.
func (e *environment) tally() {
	e.mu.Lock()
	e.built++
	n := e.built
	e.mu.Unlock()
	s := &e.server.spare
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hosts = max(s.hosts, n)
}

// recall makes the number of hosts that the environment had the one that is expected of the next.
func (e *environment) recall() {
	e.mu.Lock()
	n := e.built
	e.mu.Unlock()
	s := &e.server.spare
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hosts = n
}

// maxPlots bounds the plots of a spare.
const maxPlots = 4

// restock has a spare made in the background, where that promises to be of use: a recipe was asked for again, and there
// is none. It takes the place of one that was made from another recipe.
func (s *server) restock(recipe string, params wire.OpenParams) {
	s.spare.mu.Lock()
	defer s.spare.mu.Unlock()
	again := recipe != "" && recipe == s.spare.wanted
	s.spare.wanted = recipe
	if !again || s.spare.next != nil && s.spare.recipe == recipe {
		return
	}
	if old := s.spare.next; old != nil {
		go discard(old)
	}
	next := make(chan *environment, 1)
	hosts := min(s.spare.hosts, maxPlots)
	s.spare.next, s.spare.recipe = next, recipe
	go func() {
		e, err := s.open(context.Background(), params, hosts)
		if err != nil {
			e = nil // the error will come again, in the Open that needs the environment
		}
		next <- e
	}()
}

func discard(next chan *environment) {
	if e := <-next; e != nil {
		e.closeLogged()
	}
}

// drop ends the spare environment, and forgets what was asked for. Nothing of it is left when drop returns.
func (s *spare) drop() {
	s.mu.Lock()
	next := s.next
	s.next, s.wanted, s.hosts = nil, "", 0
	s.mu.Unlock()
	if next != nil {
		discard(next)
	}
}
