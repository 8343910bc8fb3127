package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/inspect"
	"github.com/hermetic-go/nstest/nstest/internal/record"
	"golang.org/x/sys/unix"
)

// How long it may take to look at an environment, and then to write what was seen. What was not seen by then is said, and the
// looking goes on in the background until what it waits for ends.
const (
	stateLimit = 10 * time.Second
	hostLimit  = 5 * time.Second // a host, from when it is its turn
)

// How much memory it may take. Whoever is inside decides how much there is to be seen.
const (
	mostLookers = 8        // hosts that are looked at at a time
	mostStates  = 2        // of an environment that are made at a time
	mostState   = 64 << 20 // bytes of a state
)

// A stateFile is record.State as it is written.
type stateFile struct {
	record.State
	Hosts []json.RawMessage `json:"hosts"` // in the place of those of State
}

// writeState writes the state of the environment to a file, which it takes over.
func (e *environment) writeState(ctx context.Context, file *os.File) error {
	if err := checkCaptureFile(file); err != nil {
		return errors.Join(err, file.Close())
	}
	select {
	case e.states <- struct{}{}:
	case <-ctx.Done():
		return errors.Join(ctx.Err(), file.Close())
	}
	state, err := e.state(ctx)
	var b []byte
	if err == nil {
		b, err = json.Marshal(state)
	}
	if err != nil {
		<-e.states
		return errors.Join(err, file.Close())
	}
	done := make(chan error, 1)
	go func() { // a file may be slow, or wait for ever
		defer func() { <-e.states }()
		done <- replaceContents(file, b)
	}()
	late := time.NewTimer(stateLimit)
	defer late.Stop()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-late.C:
		return errSlowFile
	}
}

// replaceContents makes b all that is in a file that is open for appending, or leaves it empty, and closes it.
func replaceContents(file *os.File, b []byte) error {
	err := file.Truncate(0)
	if err == nil {
		if _, err = file.Write(b); err != nil {
			_ = file.Truncate(0)
		}
	}
	if err != nil {
		err = fmt.Errorf("write the file: %w", record.Pathless(err))
	}
	return errors.Join(err, file.Close())
}

// state is what the environment is like now.
func (e *environment) state(ctx context.Context) (*stateFile, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, stateLimit, fmt.Errorf("not within %v", stateLimit))
	defer cancel()
	views, faults, err := e.views()
	if err != nil {
		return nil, err
	}
	s := &stateFile{State: record.State{Time: time.Now(), Faults: faults}, Hosts: make([]json.RawMessage, len(views))}
	pids, err := e.assign(ctx, views)
	if err != nil {
		s.Errors = append(s.Errors, err.Error())
	}
	turns := make(chan struct{}, mostLookers)
	var size atomic.Int64
	var work sync.WaitGroup
	for i, v := range views {
		work.Go(func() {
			select {
			case turns <- struct{}{}:
				defer func() { <-turns }()
				s.Hosts[i] = v.tell(ctx, pids, &size)
			case <-ctx.Done():
				s.Hosts[i] = v.unseen("it was not looked at: %v", context.Cause(ctx))
			}
		})
	}
	work.Wait()
	var notes []string
	s.Cgroup, notes = e.cgroup()
	s.Errors = append(s.Errors, notes...)
	return s, nil
}

// tell looks at the host and writes what it has seen, if there is room for it: size is that of all hosts together.
func (v *view) tell(ctx context.Context, pids *processes, size *atomic.Int64) json.RawMessage {
	if size.Load() > mostState {
		return v.unseen("it was not looked at: what was seen of other hosts is more than %d bytes", mostState)
	}
	b, err := json.Marshal(v.look(ctx, pids))
	switch {
	case err != nil:
		return v.unseen("%v", err)
	case size.Add(int64(len(b))) > mostState:
		return v.unseen("what was seen of it and other hosts is more than %d bytes", mostState)
	}
	return b
}

// unseen is a host of which nothing is told, and why.
func (v *view) unseen(format string, args ...any) json.RawMessage {
	b, _ := json.Marshal(record.HostState{Name: v.host.name, Errors: []string{fmt.Sprintf(format, args...)}}) // strings cannot fail
	return b
}

// views are the hosts that there are, the environment's own first, and the faults in force.
func (e *environment) views() ([]*view, []record.FaultState, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.closedError(); err != nil {
		return nil, nil, err
	}
	var list []*view
	of := map[*host]*view{}
	for _, k := range append([]string{self}, slices.DeleteFunc(slices.Sorted(maps.Keys(e.hosts)), func(k string) bool { return k == self })...) {
		if h := e.hosts[k]; h != nil {
			of[h] = &view{environment: e, host: h, numbers: map[int]int{}}
			of[h].seen.Ended = slices.Clone(h.ended)
			list = append(list, of[h])
		}
	}
	for _, n := range slices.Sorted(maps.Keys(e.procs)) {
		p := e.procs[n]
		v := of[p.host]
		switch {
		case v == nil:
		case !p.hasEnded():
			v.numbers[p.child.PID] = n
		case len(v.seen.Ended) < mostEnded:
			if d, ok := p.badEnd(n); ok { // for which nobody has waited
				v.seen.Ended = append(v.seen.Ended, d)
			}
		}
	}
	return list, e.faultStates(), nil
}

func (p *process) hasEnded() bool {
	select {
	case <-p.child.Done():
		return true
	default:
		return false
	}
}

// processes are those of an environment's hosts, by their numbers in /proc.
type processes struct {
	table *inspect.Table
	of    map[*host][]int
}

// assign finds out which processes are whose.
func (e *environment) assign(ctx context.Context, views []*view) (*processes, error) {
	type result struct {
		p   *processes
		err error
	}
	ctx, cancel := context.WithTimeoutCause(ctx, hostLimit, fmt.Errorf("not within %v", hostLimit))
	defer cancel()
	done := make(chan result, 1)
	go func() {
		p, err := e.assignNow(ctx, views)
		done <- result{p, err}
	}()
	select {
	case r := <-done:
		return r.p, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("list processes: %w", context.Cause(ctx))
	}
}

func (e *environment) assignNow(ctx context.Context, views []*view) (*processes, error) {
	table, err := inspect.NewTable(ctx)
	if err != nil {
		return nil, err
	}
	places := make([]inspect.Place, len(views))
	own := ""
	for i, v := range views {
		places[i] = v.place()
		if v.host.name == self {
			own = places[i].PID
		}
		if !v.host.own.PID {
			places[i].PID = own
		}
		if places[i].PID == "" && e.userNS != nil {
			if places[i].User, err = inspect.NamespaceOf(e.userNS); err != nil {
				return nil, err
			}
		}
	}
	p := &processes{table: table, of: map[*host][]int{}}
	for i, pids := range table.Assign(places) {
		p.of[views[i].host] = pids
	}
	return p, nil
}

// cgroup is the control group of the environment's processes, if that is another one than the keeper's, and what could not be
// read of it.
func (e *environment) cgroup() (*record.Cgroup, []string) {
	pid, err := inspect.PIDOf(e.init.PIDFD)
	if err != nil || pid == 0 {
		return nil, nil
	}
	g, err := inspect.Cgroup(pid)
	if err != nil && !errors.Is(err, unix.ESRCH) && !errors.Is(err, os.ErrNotExist) {
		return g, []string{fmt.Sprintf("control group: %v", err)}
	}
	return g, nil
}
