package keeper

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/hermetic-go/nstest/nstest/internal/inspect"
	"github.com/hermetic-go/nstest/nstest/internal/record"
	"github.com/hermetic-go/nstest/nstest/internal/rootfs"
)

// A view is a host that somebody looks at.
type view struct {
	environment *environment
	host        *host
	numbers     map[int]int // of the processes that somebody started, by their numbers in the host

	mu    sync.Mutex // guards what follows, of which what was seen is there as soon as it was seen
	seen  record.HostState
	at    string // what is being looked at
	ended bool   // nobody waits for more
}

// initPID is the number in /proc of the host's init; 0 if it has ended.
func (v *view) initPID() int {
	pidfd := v.environment.init.PIDFD
	if child := v.host.ownInit(); child != nil {
		pidfd = child.PIDFD
	}
	pid, err := inspect.PIDOf(pidfd)
	if err != nil {
		return 0
	}
	return pid
}

// place is where the host's processes are. A host without a PID namespace of its own is in that of the environment's, if there is one.
func (v *view) place() inspect.Place {
	var p inspect.Place
	if pid := v.initPID(); pid != 0 && v.host.own.PID {
		p.PID = inspect.PIDNamespaceOf(pid)
	}
	if netns, err := v.host.netns(); err == nil && netns != nil {
		p.Net, _ = inspect.NamespaceOf(netns)
		_ = netns.Close()
	}
	return p
}

// netns is the host's network namespace; nil if it is the machine's.
func (h *host) netns() (*os.File, error) {
	if h.route == nil || !h.own.Net {
		return nil, nil
	}
	return h.route.NetNS()
}

// look looks at the host, or reports what was seen of it until the time was up.
func (v *view) look(ctx context.Context, pids *processes) record.HostState {
	limit, cancel := context.WithTimeoutCause(ctx, hostLimit, fmt.Errorf("not within %v", hostLimit))
	defer cancel()
	h := v.host
	v.seen.Name = h.name
	done := make(chan struct{})
	select {
	case h.looking <- struct{}{}:
		go func() {
			defer func() { <-h.looking; close(done) }()
			v.lookNow(limit, pids)
		}()
	case <-limit.Done():
		return record.HostState{Name: h.name, Errors: []string{"somebody has begun to look at it before, and waits yet"}}
	}
	select {
	case <-done:
	case <-limit.Done():
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ended = true
	inspect.Own(&v.seen)
	if v.at != "" {
		v.seen.Errors = append(v.seen.Errors, fmt.Sprintf("%s: not all was seen: %v", v.at, context.Cause(limit)))
	}
	return v.seen
}

// next says what is looked at next, and reports whether anybody waits for it.
func (v *view) next(ctx context.Context, what string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.at = what
	return !v.ended && ctx.Err() == nil
}

// saw takes down what was seen. It reports whether anybody waits for more.
func (v *view) saw(f func(s *record.HostState) (notes []string)) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.ended {
		v.seen.Errors = append(v.seen.Errors, f(&v.seen)...)
	}
	return !v.ended
}

// lookNow looks first at what never waits.
func (v *view) lookNow(ctx context.Context, pids *processes) {
	if !v.lookAtNetwork(ctx) || !v.lookAtProcesses(ctx, pids) || !v.next(ctx, "mounts") {
		return
	}
	if pid := v.initPID(); pid != 0 && v.host.hasMounts() {
		mounts, notes := inspect.Mounts(pid)
		v.saw(func(s *record.HostState) []string { s.Mounts = mounts; return notes })
	}
	v.next(ctx, "")
}

// hasMounts reports whether the host has mounts of its own.
func (h *host) hasMounts() bool { return h.name == self || h.own.UTS }

func (v *view) lookAtNetwork(ctx context.Context) bool {
	if !v.next(ctx, "network") {
		return false
	}
	netns, err := v.host.netns()
	if netns == nil && err == nil {
		return v.saw(func(*record.HostState) []string {
			return []string{"its network is that of whoever has made the environment"}
		})
	}
	var n *inspect.Net
	if err == nil {
		defer netns.Close()
		if err = v.environment.owns(netns); err == nil {
			n, err = inspect.OpenNet(netns)
		}
	}
	if err != nil {
		return v.saw(func(*record.HostState) []string { return []string{fmt.Sprintf("network: %v", err)} })
	}
	defer func() { _ = n.Close() }()
	for _, part := range []struct {
		name string
		read func() func(s *record.HostState) []string
	}{
		{"interfaces", func() func(s *record.HostState) []string {
			list, notes := n.Interfaces()
			v.host.nameNetworks(list)
			return func(s *record.HostState) []string { s.Interfaces = list; return notes }
		}},
		{"routes", func() func(s *record.HostState) []string {
			list, notes := n.Routes()
			return func(s *record.HostState) []string { s.Routes = list; return notes }
		}},
		{"neighbours", func() func(s *record.HostState) []string {
			list, notes := n.Neighbours()
			return func(s *record.HostState) []string { s.Neighbours = list; return notes }
		}},
		{"sockets", func() func(s *record.HostState) []string {
			list, notes := n.Sockets()
			list = slices.DeleteFunc(list, v.host.isKeepers)
			return func(s *record.HostState) []string { s.Sockets = list; return notes }
		}},
		{"statistics", func() func(s *record.HostState) []string {
			list, notes := n.Statistics()
			return func(s *record.HostState) []string { s.Kernel = list; return notes }
		}},
		{"counters", func() func(s *record.HostState) []string {
			list, notes := n.Counters()
			return func(s *record.HostState) []string { s.Counters = list; return notes }
		}},
	} {
		if !v.next(ctx, part.name) || !v.saw(part.read()) {
			return false
		}
	}
	return true
}

// nameNetworks says which devices are the ends of which networks' cables.
func (h *host) nameNetworks(list []record.Interface) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.cables {
		for i := range list {
			if list[i].Name == c.name() {
				list[i].Network = c.network.name
			}
		}
	}
}

func (v *view) lookAtProcesses(ctx context.Context, pids *processes) bool {
	if pids == nil {
		return true // which was said
	}
	if !v.next(ctx, "processes") {
		return false
	}
	init := v.initPID()
	if !v.host.own.PID {
		init, _ = inspect.PIDOf(v.environment.init.PIDFD)
	}
	level, err := inspect.Level(init)
	if init == 0 || err != nil {
		return v.saw(func(*record.HostState) []string { return []string{"processes: the host's init has ended"} })
	}
	list, numbers, notes := pids.table.Processes(pids.of[v.host], level)
	r := inspect.Reader{Cautious: v.environment.servesFiles()}
	if r.Cautious {
		notes = append(notes, "processes: their arguments were not read, since some may be in files that are served from inside")
	}
	ok := v.saw(func(s *record.HostState) []string {
		for i, k := range list {
			list[i].Number = v.numbers[k.PID]
		}
		s.Processes = list
		return notes
	})
	for i, pid := range numbers {
		if !ok || !v.next(ctx, fmt.Sprintf("process %d", list[i].PID)) { // the number does not change any more
			return false
		}
		d := r.Details(pid, list[i].State)
		ok = v.saw(func(s *record.HostState) []string {
			k := &s.Processes[i]
			k.Waits, k.Files = d.Waits, d.Files
			if len(d.Args) > 0 {
				k.Args = d.Args
			}
			for j, note := range d.Notes {
				d.Notes[j] = fmt.Sprintf("process %d: %s", k.PID, note)
			}
			return d.Notes
		})
	}
	return ok
}

// servesFiles reports whether a process inside may serve a file system, whose files may keep whoever reads them for ever.
func (e *environment) servesFiles() bool {
	return e.params.Privileged || slices.Contains(e.params.Devices, "/dev/fuse")
}

// isKeepers tells of a socket in the host whether it is the name server's.
func (h *host) isKeepers(s record.Socket) bool {
	return h.dns != nil && s.Local == rootfs.Nameserver+":53" && (s.Protocol == "udp" || s.State == "LISTEN")
}
