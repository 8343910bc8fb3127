package keeper

import (
	"sync"

	"github.com/hermetic-go/nstest/nstest/internal/ns"
	"golang.org/x/sys/unix"
)

// A spare is a plain cell that is made ahead, for the next environment. There is one at most, and none before the first
// environment and after drop. The zero value has none.
type spare struct {
	mu   sync.Mutex
	next chan *cell // gets one cell, or nil if it could not be made; nil if none is being made
}

// restock has a cell made in the background, unless there is one.
func (s *spare) restock(server *server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next != nil {
		return
	}
	next := make(chan *cell, 1)
	s.next = next
	go func() { next <- server.newCell() }()
}

// newCell makes a plain cell. It returns nil on error: that will come again, in the Open that needs a cell.
func (s *server) newCell() *cell {
	c := &cell{server: s, kinds: ns.All}
	for _, do := range []func(*cell) error{(*cell).leaseIDs, (*cell).startInit, (*cell).writeMaps, (*cell).makeSockets} {
		if err := do(c); err != nil {
			_ = c.close()
			return nil
		}
	}
	return c
}

// take returns the spare cell; nil if there is none, or somebody has ended it.
func (s *spare) take() *cell {
	s.mu.Lock()
	next := s.next
	s.next = nil
	s.mu.Unlock()
	if next == nil {
		return nil
	}
	c := <-next
	if c == nil {
		return nil
	}
	exit := []unix.PollFd{{Fd: int32(c.init.PIDFD.Fd()), Events: unix.POLLIN}}
	if n, err := unix.Poll(exit, 0); n != 0 || err != nil {
		_ = c.close()
		return nil
	}
	return c
}

// drop ends the spare cell. Nothing of it is left when it returns.
func (s *spare) drop() error {
	c := s.take()
	if c == nil {
		return nil
	}
	return c.close()
}
