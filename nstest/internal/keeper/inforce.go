package keeper

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/record"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// inForce is since when the faults are in force that do not know it themselves. It is guarded by the environment's mutex.
type inForce struct {
	partitions map[int]time.Time
	trunks     map[[2]string]time.Time // those that are pulled
	dns        []wire.DNSFault
	dnsSince   time.Time
}

// begin remembers a partition.
func (f *inForce) begin(n int) {
	if f.partitions == nil {
		f.partitions = map[int]time.Time{}
	}
	f.partitions[n] = time.Now()
}

// trunk remembers that a trunk was pulled, or is plugged in again.
func (f *inForce) trunk(a, b string, up bool) {
	ends := [2]string{min(a, b), max(a, b)}
	switch _, pulled := f.trunks[ends]; {
	case up:
		delete(f.trunks, ends)
	case !pulled:
		if f.trunks == nil {
			f.trunks = map[[2]string]time.Time{}
		}
		f.trunks[ends] = time.Now()
	}
}

// faultStates are the faults in force: those with a number first, in their order. The mutex is held.
func (e *environment) faultStates() []record.FaultState {
	var list []record.FaultState
	for n, groups := range e.faults {
		list = append(list, record.FaultState{Fault: n, Since: e.inForce.partitions[n], Text: partitionText(groups), Hosts: slices.Sorted(slices.Values(slices.Concat(groups...)))})
	}
	for n, f := range e.flaps {
		f.host.mu.Lock()
		text := fmt.Sprintf("flap of %s on %s", f.host.name, f.cable.network.name)
		f.host.mu.Unlock()
		list = append(list, record.FaultState{Fault: n, Since: f.since, Text: text, Hosts: []string{f.host.name}})
	}
	slices.SortFunc(list, func(a, b record.FaultState) int { return a.Fault - b.Fault })
	for _, k := range slices.Sorted(maps.Keys(e.hosts)) {
		if h := e.hosts[k]; h != nil {
			list = append(list, h.pulled()...)
		}
	}
	for _, ends := range slices.SortedFunc(maps.Keys(e.inForce.trunks), func(a, b [2]string) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) }) {
		list = append(list, record.FaultState{Since: e.inForce.trunks[ends], Text: fmt.Sprintf("trunk of %s and %s: pulled", ends[0], ends[1])})
	}
	for _, f := range e.inForce.dns {
		list = append(list, record.FaultState{Since: e.inForce.dnsSince, Text: dnsText(f), Hosts: f.Hosts})
	}
	return list
}

// pulled are the host's cables that are pulled, and not by a flap.
func (h *host) pulled() (list []record.FaultState) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.cables {
		if c.pulled && c.flap == nil {
			list = append(list, record.FaultState{Since: c.since, Text: fmt.Sprintf("%s on %s: cable pulled", h.name, c.network.name), Hosts: []string{h.name}})
		}
	}
	return list
}

// partitionText is "partition of a, b | c".
func partitionText(groups [][]string) string {
	var parts []string
	for _, g := range groups {
		parts = append(parts, strings.Join(g, ", "))
	}
	return "partition of " + strings.Join(parts, " | ")
}

// dnsText is "DNS for a: A of db.example: servfail".
func dnsText(f wire.DNSFault) string {
	who := "DNS"
	if len(f.Hosts) > 0 {
		who += " for " + strings.Join(f.Hosts, ", ")
	}
	what := cmp.Or(f.Name, "every name")
	if f.Type != "" {
		what = f.Type + " of " + what
	}
	how := f.Answer
	if f.Delay > 0 {
		how = strings.TrimPrefix(how+", after "+f.Delay.String(), ", ")
	}
	if f.Times > 0 {
		how += fmt.Sprintf(", %d times", f.Times)
	}
	return who + ": " + what + ": " + how
}
