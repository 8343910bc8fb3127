// Package idmap decides which user and group ids exist inside an environment, and writes the maps
// (user_namespaces(7)). As root every live environment gets a range of the machine's ids that nobody else has; an
// ordinary user has the ids that the system grants, at least the own one.
package idmap

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A Range is one line of a map.
type Range struct{ Inside, Outside, Count int }

// A Map is both maps of a user namespace.
type Map struct{ UIDs, GIDs []Range }

// Count is the number of user ids.
func (m Map) Count() int {
	n := 0
	for _, r := range m.UIDs {
		n += r.Count
	}
	return n
}

// Outside is what the user id inside is outside.
func Outside(ranges []Range, inside int) (int, bool) {
	for _, r := range ranges {
		if inside >= r.Inside && inside-r.Inside < r.Count {
			return r.Outside + inside - r.Inside, true
		}
	}
	return 0, false
}

// Identity maps every id that from maps, to itself: what a namespace made inside one with the map from can have.
func (m Map) Identity() Map {
	same := func(ranges []Range) []Range {
		out := make([]Range, len(ranges))
		for i, r := range ranges {
			out[i] = Range{r.Inside, r.Inside, r.Count}
		}
		return out
	}
	return Map{same(m.UIDs), same(m.GIDs)}
}

// First is the part of m with the ids below count.
func (m Map) First(count int) Map {
	cut := func(ranges []Range) []Range {
		var out []Range
		for _, r := range ranges {
			if r.Inside < count {
				out = append(out, Range{r.Inside, r.Outside, min(r.Count, count-r.Inside)})
			}
		}
		return out
	}
	return Map{cut(m.UIDs), cut(m.GIDs)}
}

// Write writes the maps of process pid, with the capabilities that it needs in the parent namespace (CAP_SETUID and
// CAP_SETGID). pid is as /proc of the caller shows it.
func (m Map) Write(pid int) error {
	for _, f := range []struct {
		name   string
		ranges []Range
	}{{"uid_map", m.UIDs}, {"gid_map", m.GIDs}} {
		if err := write(pid, f.name, f.ranges); err != nil {
			return err
		}
	}
	return nil
}

func write(pid int, name string, ranges []Range) error {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/%s", pid, name), []byte(format(ranges)), 0); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func format(ranges []Range) string {
	var b strings.Builder
	for _, r := range ranges {
		fmt.Fprintf(&b, "%d %d %d\n", r.Inside, r.Outside, r.Count)
	}
	return b.String()
}

// Current is the map of the user namespace that this process is in.
func Current() (Map, error) {
	var m Map
	var err error
	if m.UIDs, err = read("/proc/self/uid_map"); err != nil {
		return Map{}, err
	}
	m.GIDs, err = read("/proc/self/gid_map")
	return m, err
}

func read(path string) ([]Range, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read id map: %w", err)
	}
	defer f.Close()
	var ranges []Range
	s := bufio.NewScanner(f)
	for s.Scan() {
		var r Range
		if _, err := fmt.Sscan(s.Text(), &r.Inside, &r.Outside, &r.Count); err != nil {
			return nil, fmt.Errorf("parse %s: %w", path, err)
		}
		ranges = append(ranges, r)
	}
	return ranges, s.Err()
}

// IsInitial reports whether m is the map of the initial user namespace: every id is itself.
func (m Map) IsInitial() bool {
	return len(m.UIDs) == 1 && m.UIDs[0] == Range{0, 0, 1<<32 - 1}
}

// needed are the capabilities without which environments cannot be made in the user namespace that we are in.
const needed = 1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID | 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_SYS_PTRACE

// Privileged reports whether this process can make namespaces where it is. What decides is its effective
// capabilities, never its user id: root in a container often has none of them, and an ordinary user in a user
// namespace has all.
func Privileged() (bool, error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return false, fmt.Errorf("read capabilities: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "CapEff:"); ok {
			caps, err := strconv.ParseUint(strings.TrimSpace(v), 16, 64)
			return caps&needed == needed, err
		}
	}
	return false, fmt.Errorf("read capabilities: no CapEff in /proc/self/status")
}
