package keeper

import (
	"bytes"
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// A list has the environments that somebody has asked for, until they end. The zero value is empty.
type list struct {
	mu   sync.Mutex // taken after an environment's
	last int        // the last number that was given: none is given again
	all  map[int]*environment

	counting sync.Mutex // held while processes are counted, however many ask
}

// An entry is what an environment is in the list.
type entry struct {
	number int // 0 for one that nobody has asked for
	at     time.Time
	spare  bool // it was opened for a spec, and none is in it yet

	position wire.Position // of what runs there
}

// kindSpec is the kind of environments that are opened before it is known what is to run in them.
const kindSpec = "spec"

// maxName bounds the name of an environment, and what is said of where it is, in bytes.
const maxName = 1 << 12

// used names the environment after what runs in it, and notes where that is.
func (e *environment) used(p wire.NameParams) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if p.Name != "" {
		e.params.Name, e.entry.spare = short(p.Name), false
	}
	if p.At != nil {
		e.entry.position = wire.Position{Text: short(p.At.Text), Location: short(p.At.Location), Since: p.At.Since}
	}
	return e.closedError()
}

func short(text string) string { return text[:min(len(text), maxName)] }

// add gives an environment its number, and lists it if it has not ended meanwhile.
func (l *list) add(e *environment) {
	e.mu.Lock()
	defer e.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	e.entry = entry{number: l.last, at: time.Now(), spare: e.params.Kind == kindSpec}
	if e.closed {
		return
	}
	if l.all == nil {
		l.all = map[int]*environment{}
	}
	l.all[l.last] = e
}

// remove takes out an environment that ends. Its mutex is held.
func (l *list) remove(e *environment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.all, e.entry.number)
}

func (l *list) find(number int) *environment {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all[number]
}

// listings are the environments in the order in which they were asked for.
func (l *list) listings(ctx context.Context) wire.ListResult {
	l.mu.Lock()
	all := maps.Clone(l.all)
	l.mu.Unlock()
	var r wire.ListResult
	usage := l.count(ctx, all)
	for _, number := range slices.Sorted(maps.Keys(all)) {
		if all[number].isSpare() {
			continue
		}
		w := all[number].listing()
		w.Processes, w.Memory = usage[number].processes, usage[number].memory
		r.Environments = append(r.Environments, w)
	}
	return r
}

func (e *environment) isSpare() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.entry.spare
}

// listing is the environment without what its processes use.
func (e *environment) listing() wire.Listing {
	e.mu.Lock()
	defer e.mu.Unlock()
	w := wire.Listing{Number: e.entry.number, Name: e.params.Name, Kind: e.params.Kind, Began: e.entry.at, At: e.entry.position}
	for k, h := range e.hosts {
		if h != nil && k != self {
			w.Hosts = append(w.Hosts, h.name)
		}
	}
	slices.Sort(w.Hosts)
	w.Hosts = append([]string{self}, w.Hosts...)
	if e.held != nil {
		w.Held = e.held.since
	}
	return w
}

// usage is what the processes of an environment use.
type usage struct {
	processes int
	memory    int64
}

// count looks at the processes of environments, their inits included, as far as it comes before ctx ends.
func (l *list) count(ctx context.Context, all map[int]*environment) map[int]usage {
	l.counting.Lock()
	defer l.counting.Unlock()
	owner := map[int]int{} // the environment's number, by the process's id
	for number, e := range all {
		owner[e.init.PID] = number
	}
	parents := parents(ctx)
	used := map[int]usage{}
	for pid := range parents {
		number := 0
		for at, steps := pid, 0; at > 1 && number == 0 && steps < maxDepth; at, steps = parents[at], steps+1 {
			number = owner[at]
		}
		if number == 0 || ctx.Err() != nil {
			continue
		}
		u := used[number]
		u.processes++
		if !all[number].servesFiles() { // else a process may keep whoever looks at its memory waiting
			u.memory += proportional(pid)
		}
		used[number] = u
	}
	return used
}

// maxDepth bounds the climb from a process to the first ancestor. What is read while processes come and go may go round.
const maxDepth = 1 << 12

// parents are the parents of all processes below the keeper.
func parents(ctx context.Context) map[int]int {
	found := map[int]int{}
	proc, err := os.ReadDir("/proc")
	if err != nil {
		return found
	}
	for _, d := range proc {
		pid, err := strconv.Atoi(d.Name())
		if err != nil || ctx.Err() != nil {
			continue
		}
		b, err := os.ReadFile(filepath.Join("/proc", d.Name(), "stat"))
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])) // state, parent
		if len(fields) > 1 {
			found[pid], _ = strconv.Atoi(fields[1])
		}
	}
	return found
}

// proportional is the memory of a process, in bytes, with its part of what it shares.
func proportional(pid int) int64 {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "smaps_rollup"))
	if err != nil {
		return 0 // it has ended
	}
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, "Pss:"); ok {
			kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kib << 10
		}
	}
	return 0
}
