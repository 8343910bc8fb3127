package nstest

import (
	"context"
	"fmt"
	"sync"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// A Fault is something that is broken on purpose, until it is healed.
type Fault struct {
	env  *Env
	id   int
	once sync.Once
	err  error
}

// Partition is AddPartition for a test: it fails the test on error. On an environment from Open it panics instead.
func (e *Env) Partition(groups ...[]*Host) *Fault {
	f, err := e.AddPartition(groups...)
	if err == nil {
		return f
	}
	if e.tb == nil {
		panic(err)
	}
	e.tb.Helper()
	e.tb.Fatalf("%v", err)
	return nil
}

// AddPartition cuts the groups of hosts from each other: no frame passes between hosts of different groups, on any
// network, neither ARP nor IPv6 neighbour discovery included. Hosts in no group keep all their neighbours. Several
// faults add up. It needs nftables for bridges in the kernel.
func (e *Env) AddPartition(groups ...[]*Host) (*Fault, error) {
	var p wire.PartitionParams
	for _, g := range groups {
		var names []string
		for _, h := range g {
			switch {
			case h == nil:
				return nil, wrap("partition", e.name, "", fmt.Errorf("a host of the groups is nil"))
			case h.env != e:
				return nil, wrap("partition", e.name, "", fmt.Errorf("host %q of the groups is not of this environment, but of %q", h.name, h.env.name))
			}
			names = append(names, h.name)
		}
		p.Groups = append(p.Groups, names)
	}
	var r wire.PartitionResult
	if err := e.call(context.Background(), wire.MethodPartition, p, &r); err != nil {
		return nil, wrap("partition", e.name, "", err)
	}
	return &Fault{env: e, id: r.Fault}, nil
}

// Heal is Close for a test: it fails the test on error. On an environment from Open it panics instead.
func (f *Fault) Heal() {
	err := f.Close()
	if err == nil {
		return
	}
	if f.env.tb == nil {
		panic(err)
	}
	f.env.tb.Helper()
	f.env.tb.Fatalf("%v", err)
}

// Close undoes the fault. It may be called more than once; in an environment that is closed there is nothing to undo.
func (f *Fault) Close() error {
	f.once.Do(func() {
		if f.env.closed.Load() {
			return
		}
		f.err = wrap("heal", f.env.name, "", f.env.call(context.Background(), wire.MethodHeal, wire.HealParams{Fault: f.id}, nil))
	})
	return f.err
}
