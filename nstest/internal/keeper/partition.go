package keeper

import (
	"fmt"
	"maps"
	"slices"

	"github.com/hermetic-go/nstest/nstest/internal/lan"
	"golang.org/x/sys/unix"
)

// maxFaults bounds the partitions in force at a time.
const maxFaults = 1000

// partition cuts groups of hosts from each other, on every network. Hosts in no group keep all neighbours.
func (e *environment) partition(groups [][]string) (int, error) {
	if len(groups) < 2 {
		return 0, refuse(unix.EINVAL, "partition: it takes at least two groups, to be cut from each other: there are %d", len(groups))
	}
	seen := map[string]bool{}
	for _, g := range groups {
		if len(g) == 0 {
			return 0, refuse(unix.EINVAL, "partition: a group is empty")
		}
		for _, name := range g {
			if _, err := e.host(name); err != nil {
				return 0, err
			}
			if seen[key(name)] {
				return 0, refuse(unix.EINVAL, "partition: host %q is in two groups", name)
			}
			seen[key(name)] = true
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.faults) >= maxFaults {
		return 0, refuse(unix.ENOSPC, "partition: %d are in force, and no more are possible: heal some", maxFaults)
	}
	e.number++
	n := e.number
	e.faults[n] = groups
	if err := e.enforce(); err != nil {
		delete(e.faults, n)
		return 0, err
	}
	e.recordPartition(n, "")
	e.inForce.begin(n)
	return n, nil
}

// heal undoes a fault; one that is undone already is fine.
func (e *environment) heal(n int) error {
	e.mu.Lock()
	if f := e.flaps[n]; f != nil {
		delete(e.flaps, n)
		e.mu.Unlock()
		return f.heal(e)
	}
	defer e.mu.Unlock()
	if _, ok := e.faults[n]; !ok || e.closed {
		return nil
	}
	e.recordPartition(n, healed)
	delete(e.faults, n)
	delete(e.inForce.partitions, n)
	return e.enforce()
}

// enforce makes the switches drop what the faults in force forbid. The mutex is held.
func (e *environment) enforce() error {
	for _, n := range e.networks {
		if n.lan == nil {
			continue // an overlay goes over links that are cut themselves
		}
		var cuts []lan.Cut
		for _, number := range slices.Sorted(maps.Keys(e.faults)) {
			blocked := map[lan.Pair]bool{}
			remotes := map[lan.Remote]bool{}
			groups := e.faults[number]
			for i, g := range groups {
				for j, other := range groups {
					if j > i {
						e.cross(n, g, other, blocked)
					}
					if j != i {
						e.crossTrunks(n, g, other, remotes)
					}
				}
			}
			cuts = append(cuts, lan.Cut{
				Name:  faultText(number, partitionText(groups)),
				Pairs: slices.Collect(maps.Keys(blocked)), Remotes: slices.Collect(maps.Keys(remotes)),
			})
		}
		if err := n.lan.Block(cuts...); err != nil {
			return err
		}
	}
	return nil
}

// faultText names a fault: "fault 3: partition of a | b".
func faultText(number int, text string) string { return fmt.Sprintf("fault %d: %s", number, text) }

// cross adds to blocked every pair of ports of n with one host in a and one in b.
func (e *environment) cross(n *network, a, b []string, blocked map[lan.Pair]bool) {
	for _, x := range e.ports(n, a) {
		for _, y := range e.ports(n, b) {
			blocked[lan.Pair{A: min(x, y), B: max(x, y)}] = true
		}
	}
}

func (e *environment) ports(n *network, hosts []string) []lan.PortID {
	var out []lan.PortID
	for _, name := range hosts {
		h := e.hosts[key(name)]
		if h == nil {
			continue
		}
		h.mu.Lock()
		for _, c := range h.cables {
			if c.network == n && c.port != 0 {
				out = append(out, c.port)
			}
		}
		h.mu.Unlock()
	}
	return out
}
