package target

import (
	"path"
	"slices"
	"strconv"
	"strings"
)

var limits = []check{
	{"cgroups", "C4", "control groups of the machine cannot be changed", func(s *sight, f *finding) {
		var open []string
		for _, m := range s.mounts {
			if strings.HasPrefix(m.kind, "cgroup") && !m.readOnly && mayWrite(m.point+"/cgroup.procs") {
				open = append(open, m.point)
			}
		}
		f.saw("may be written", some(open))
		switch {
		case len(s.mounts) == 0:
			f.unknown("/proc/self/mountinfo cannot be read")
		case len(open) > 0 && s.initial("cgroup") != no:
			f.leaks("%s", some(open))
		case len(open) > 0:
			f.unknown("these may be a part that is the sandbox's: %s", some(open))
		default:
			f.isolated()
		}
	}},
	{"pids", "C6", "the number of processes is limited", func(s *sight, f *finding) { s.limit(f, "pids", "pids.max", "pids.max") }},
	{"memory", "C7", "memory is limited", func(s *sight, f *finding) { s.limit(f, "memory", "memory.max", "memory.limit_in_bytes") }},
}

// limit reads one of our control group, where that can be seen. A limit further up counts as well, and cannot be seen.
func (s *sight) limit(f *finding, controller, file, fileV1 string) {
	for _, line := range lines("/proc/self/cgroup") {
		fields := strings.SplitN(line, ":", 3)
		if len(fields) != 3 {
			continue
		}
		kind, name := "cgroup", fileV1
		if fields[1] == "" {
			kind, name = "cgroup2", file
		} else if !slices.Contains(strings.Split(fields[1], ","), controller) {
			continue
		}
		for _, m := range s.mounts {
			if m.kind != kind || kind == "cgroup" && !slices.Contains(strings.Split(m.options, ","), controller) {
				continue
			}
			group := path.Join(m.point, strings.TrimPrefix(fields[2], m.root))
			if !exists(group + "/cgroup.procs") {
				continue
			}
			value := text(group + "/" + name) // the topmost group has none
			f.saw(name, value)
			if n, err := strconv.ParseUint(value, 10, 64); err == nil && n < 1<<62 {
				f.isolated()
			} else {
				f.leaks("no limit")
			}
			return
		}
	}
	f.unknown("our control group cannot be seen")
}
