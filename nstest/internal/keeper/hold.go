package keeper

import (
	"context"
	"time"

	"golang.org/x/sys/unix"
)

// A hold is an environment's wait for somebody to release it.
type hold struct {
	since    time.Time
	waiting  int           // for it to end
	released chan struct{} // closed by letGo
}

// hold returns when somebody lets go of the environment, or it ends, or ctx does. Several may wait at the same time.
func (e *environment) hold(ctx context.Context) error {
	e.mu.Lock()
	if err := e.closedError(); err != nil {
		e.mu.Unlock()
		return err
	}
	if e.held == nil {
		e.held = &hold{since: time.Now(), released: make(chan struct{})}
	}
	h := e.held
	h.waiting++
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if h.waiting--; h.waiting == 0 && e.held == h {
			e.held = nil
		}
	}()
	select {
	case <-h.released:
		return nil
	case <-e.ended:
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.closedError()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// letGo ends the wait.
func (e *environment) letGo() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.closedError(); err != nil {
		return err
	}
	if e.held == nil {
		return refuse(unix.ENOENT, "nobody waits for that")
	}
	close(e.held.released)
	e.held = nil
	return nil
}
