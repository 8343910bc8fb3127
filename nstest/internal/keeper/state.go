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
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/inspect"
	"github.com/hermetic-go/nstest/nstest/internal/record"
	"golang.org/x/sys/unix"
)

// How long it may take to look at an environment. What was not seen by then is said, and the looking goes on in the background
// until what it waits for ends.
const (
	stateLimit = 10 * time.Second
	hostLimit  = 2 * time.Second // a host, from when it is its turn
)

// lookers is how many hosts are looked at at a time.
const lookers = 16

// writeState writes the state of the environment to a file, which it takes over.
func (e *environment) writeState(ctx context.Context, file *os.File) error {
	if err := checkCaptureFile(file); err != nil {
		return errors.Join(err, file.Close())
	}
	state, err := e.state(ctx)
	if err == nil {
		err = unwrapPath(file.Truncate(0))
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	b, err := json.Marshal(state)
	s := newSink(file)
	for err == nil && len(b) > 0 {
		n := min(len(b), maxWaiting/2)
		if _, err = s.Write(b[:n]); err == nil {
			err = s.flush(ctx)
		}
		b = b[n:]
	}
	return errors.Join(err, s.close())
}

// state is what the environment is like now.
func (e *environment) state(ctx context.Context) (*record.State, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, stateLimit, fmt.Errorf("not within %v", stateLimit))
	defer cancel()
	views, faults, err := e.views()
	if err != nil {
		return nil, err
	}
	s := &record.State{Time: time.Now(), Faults: faults}
	pids, err := e.assign(ctx, views)
	if err != nil {
		s.Errors = append(s.Errors, err.Error())
	}
	s.Hosts = make([]record.HostState, len(views))
	turns := make(chan struct{}, lookers)
	var work sync.WaitGroup
	for i, v := range views {
		work.Go(func() {
			select {
			case turns <- struct{}{}:
				defer func() { <-turns }()
				s.Hosts[i] = v.look(ctx, pids)
			case <-ctx.Done():
				s.Hosts[i] = record.HostState{Name: v.host.name, Errors: []string{fmt.Sprintf("it was not looked at: %v", context.Cause(ctx))}}
			}
		})
	}
	work.Wait()
	var notes []string
	s.Cgroup, notes = e.cgroup()
	s.Errors = append(s.Errors, notes...)
	return s, nil
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
