package inspect

import (
	"os"
	"strconv"
	"strings"
)

// An idMap is the uid_map of a user namespace, as /proc/PID/uid_map shows it to us.
type idMap []idRange

type idRange struct{ inside, outside, count int }

// uid is what a user is called in the namespace; one that is not mapped is called what it is outside.
func (m idMap) uid(outside int) int {
	for _, r := range m {
		if outside >= r.outside && outside < r.outside+r.count {
			return r.inside + outside - r.outside
		}
	}
	return outside
}

// ids is the map of the user namespace that a process is in.
func (t *Table) ids(pid int) idMap {
	user := namespace(pid, "user")
	t.mu.Lock()
	defer t.mu.Unlock()
	if m, ok := t.users[user]; ok {
		return m
	}
	var m idMap
	if own, err := os.Readlink("/proc/self/ns/user"); err != nil || own != user { // whose map tells of those above us
		b, err := os.ReadFile(procPath(pid, "uid_map"))
		if err != nil {
			return nil
		}
		m = parseIDMap(string(b))
	}
	t.users[user] = m
	return m
}

func parseIDMap(text string) idMap {
	var m idMap
	for line := range strings.Lines(text) {
		var n [3]int
		f := strings.Fields(line)
		for i := range min(len(f), 3) {
			n[i], _ = strconv.Atoi(f[i])
		}
		m = append(m, idRange{n[0], n[1], n[2]})
	}
	return m
}
