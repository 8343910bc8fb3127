package target

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

var namespaces = []check{
	{"user", "R4", "user namespace", func(s *sight, f *finding) {
		s.namespace("user", f)
		f.saw("ids (inside, outside, how many)", strings.Join(s.uidMap, "; "))
	}},
	{"ids", "R18", "the machine's root has no id here", rootIsAnother},
	{"pid", "P9", "PID namespace", func(s *sight, f *finding) {
		s.namespace("pid", f)
		f.saw("we are", s.pid)
		if ids := s.status["NSpid"]; ids != "" {
			f.saw("NSpid", ids)
		}
	}},
	{"mnt", "M1", "mount namespace", func(s *sight, f *finding) {
		s.namespace("mnt", f)
		f.saw("mounts", len(s.mounts))
	}},
	{"net", "N1", "network namespace", func(s *sight, f *finding) {
		s.namespace("net", f)
		if s.netSettings != unclear {
			f.saw("the first one's net.core.netdev_max_backlog is there", s.netSettings == yes)
		}
	}},
	{"ipc", "I1", "IPC namespace", func(s *sight, f *finding) {
		s.namespace("ipc", f)
		for _, kind := range []string{"shm", "msg", "sem"} {
			if list := lines("/proc/sysvipc/" + kind); len(list) > 0 {
				f.saw("System V "+kind, len(list)-1) // below a heading
			}
		}
	}},
	{"uts", "U1", "UTS namespace", func(s *sight, f *finding) {
		s.namespace("uts", f)
		if name, err := os.Hostname(); err == nil {
			f.saw("host name", name)
		}
	}},
	{"cgroup", "C1", "cgroup namespace", func(s *sight, f *finding) {
		s.namespace("cgroup", f)
		f.saw("path", strings.Join(unified(lines("/proc/self/cgroup")), " "))
	}},
	{"time", "T1", "time namespace", func(s *sight, f *finding) {
		s.namespace("time", f)
		f.saw("offsets", strings.Join(lines("/proc/self/timens_offsets"), "; "))
	}},
}

// namespace says whether one is the machine's.
func (s *sight) namespace(kind string, f *finding) {
	n, ok := s.namespaces[kind]
	if !ok {
		if len(s.namespaces) > 0 {
			f.absent("this kernel has none")
		} else {
			f.unknown("/proc/self/ns cannot be read")
		}
		return
	}
	f.saw("inode", n)
	switch s.initial(kind) {
	case yes:
		f.leaks("it is the machine's (inode %d)", n)
	case no:
		f.isolated()
	default:
		f.unknown("inode %d may be anybody's", n)
	}
}

// rootIsAnother looks at who a file belongs to that is the machine's root's, whatever namespace one looks from. Our map of
// ids does not tell: it is relative to the user namespace around ours, and that may be shifted itself.
func rootIsAnother(s *sight, f *finding) {
	const file = "/proc/sys/kernel/core_pattern"
	f.saw("we are", os.Geteuid())
	f.saw("ids (inside, outside, how many)", strings.Join(s.uidMap, "; "))
	var stat unix.Stat_t
	if err := unix.Stat(file, &stat); err != nil {
		f.unknown("%s: %v", file, err)
		return
	}
	f.saw("the machine's root is", stat.Uid)
	if strconv.Itoa(int(stat.Uid)) != text("/proc/sys/kernel/overflowuid") {
		f.leaks("the machine's root is id %d here", stat.Uid)
		return
	}
	f.isolated()
}

// unified are the lines of the unified hierarchy, or all if there is none.
func unified(list []string) []string {
	for _, line := range list {
		if strings.HasPrefix(line, "0::") {
			return []string{line}
		}
	}
	return list
}
