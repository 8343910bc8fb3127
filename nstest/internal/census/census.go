// Package census knows what this program holds of nstest: the environments that are open, and the keeper. Package leaks
// asks it, so that it needs nothing of package nstest, whose own tests use it.
package census

import (
	"runtime"
	"slices"
	"sync"
)

// An Entry is an environment that is being opened or is open.
type Entry struct {
	Number int // no two of a program are the same
	Name   string
	PCs    []uintptr // where it is opened from, for runtime.CallersFrames
}

// A Keeper is what leaks needs of the keeper.
type Keeper interface {
	// Running reports whether there is one.
	Running() bool
	// StopIdle ends it if no environment is open, and returns when it is gone. The next Open starts another one.
	StopIdle() error
	// Trim makes it give up what it keeps ready for the next environment, and returns when that is gone.
	Trim() error
}

var state struct {
	sync.Mutex
	number  int
	entries map[int]Entry
	keeper  Keeper
}

// Enter notes an environment; leave, which may be called more than once, takes it out. skip is the number of callers to
// leave out of the trace, 0 for the one of Enter.
func Enter(name string, skip int) (leave func()) {
	pcs := make([]uintptr, 32)
	pcs = pcs[:runtime.Callers(skip+2, pcs)]
	state.Lock()
	defer state.Unlock()
	state.number++
	n := state.number
	if state.entries == nil {
		state.entries = map[int]Entry{}
	}
	state.entries[n] = Entry{n, name, pcs}
	return func() {
		state.Lock()
		defer state.Unlock()
		delete(state.entries, n)
	}
}

// Entries lists the environments, the oldest first.
func Entries() []Entry {
	state.Lock()
	defer state.Unlock()
	var list []Entry
	for _, e := range state.entries {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b Entry) int { return a.Number - b.Number })
	return list
}

// SetKeeper says whom TheKeeper is.
func SetKeeper(k Keeper) {
	state.Lock()
	defer state.Unlock()
	state.keeper = k
}

// TheKeeper is the one of SetKeeper; nil before the first environment.
func TheKeeper() Keeper {
	state.Lock()
	defer state.Unlock()
	return state.keeper
}
