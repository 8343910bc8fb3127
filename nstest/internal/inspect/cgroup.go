package inspect

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/hermetic-go/nstest/nstest/internal/record"
)

// Cgroup is the control group that a process is in, of the second version; nil if it is ours too, or there are none.
func Cgroup(pid int) (*record.Cgroup, error) {
	theirs, err := groupOf(strconv.Itoa(pid))
	if err != nil {
		return nil, err
	}
	ours, err := groupOf("self")
	if err != nil || theirs == "" || theirs == ours {
		return nil, err
	}
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err == nil {
			return readCgroup(root, theirs)
		}
	}
	return nil, nil
}

// groupOf is the group of a process as our own cgroup namespace sees it (cgroup_namespaces(7)).
func groupOf(pid string) (string, error) {
	b, err := os.ReadFile(filepath.Join("/proc", pid, "cgroup"))
	if errors.Is(err, fs.ErrNotExist) && pid == "self" { // a kernel without them
		return "", nil
	}
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(b)) {
		if path, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::"); ok {
			return path, nil
		}
	}
	return "", nil
}

func readCgroup(root, group string) (*record.Cgroup, error) {
	dir := filepath.Join(root, group)
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	g := &record.Cgroup{Path: group}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return "" // the controller is not enabled
		}
		return strings.TrimSpace(string(b))
	}
	g.Memory, _ = strconv.ParseInt(read("memory.current"), 10, 64)
	g.Limit, _ = strconv.ParseInt(read("memory.max"), 10, 64) // "max" is none
	g.PIDs, _ = strconv.Atoi(read("pids.current"))
	for line := range strings.Lines(read("memory.events")) {
		if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
			g.OOMKills, _ = strconv.Atoi(strings.TrimSpace(n))
		}
	}
	for _, resource := range []string{"cpu", "io", "memory"} {
		for line := range strings.Lines(read(resource + ".pressure")) {
			kind, rest, _ := strings.Cut(line, " ") // some avg10=0.12 avg60=…
			value, _, _ := strings.Cut(strings.TrimPrefix(rest, "avg10="), " ")
			if v, err := strconv.ParseFloat(value, 64); err == nil && v > 0 {
				g.Pressure = append(g.Pressure, record.Statistic{Name: resource + " " + kind, Value: int64(v*100 + 0.5)})
			}
		}
	}
	return g, nil
}
