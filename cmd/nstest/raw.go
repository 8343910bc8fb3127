package main

import (
	"fmt"
	"sync"

	"golang.org/x/term"
)

// A rawMode is a terminal that hands over every key as it is typed, until restore.
type rawMode struct {
	fd int

	mu    sync.Mutex
	state *term.State // how it was; nil = it is so now
}

// enterRaw makes the terminal raw. The caller restores it.
func enterRaw(fd int) (*rawMode, error) {
	m := &rawMode{fd: fd}
	return m, m.enter()
}

func (m *rawMode) enter() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.state != nil { // somebody else changed it, for instance a shell that continued us
		_, err := term.MakeRaw(m.fd)
		return err
	}
	var err error
	if m.state, err = term.MakeRaw(m.fd); err != nil {
		return fmt.Errorf("make terminal raw: %w", err)
	}
	return nil
}

// restore makes the terminal as it was. It may be called more than once.
func (m *rawMode) restore() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.state != nil {
		_ = term.Restore(m.fd, m.state) // the terminal may be gone
		m.state = nil
	}
}

// guard is to be deferred in each goroutine: a panic ends the program without running what others have deferred.
func (m *rawMode) guard() {
	if p := recover(); p != nil {
		m.restore()
		panic(p)
	}
}
