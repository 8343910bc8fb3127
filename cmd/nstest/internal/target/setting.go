package target

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/look"
)

var settings = []check{
	{"proc-sys", "S1", "settings of the machine cannot be written", func(s *sight, f *finding) {
		s.foreign("/proc/sys", func(path string) bool { // everybody may open it; who writes needs a capability
			return path == "/proc/sys/kernel/ns_last_pid"
		}, f)
	}},
	{"sys", "S2", "/sys cannot be written", func(s *sight, f *finding) { s.foreign("/sys", func(string) bool { return false }, f) }},
	{"proc", "", "other files of /proc cannot be written", func(s *sight, f *finding) {
		s.foreign("/proc", func(path string) bool {
			name, _, _ := strings.Cut(strings.TrimPrefix(path, "/proc/"), "/")
			_, err := strconv.Atoi(name)
			return err == nil || name == "sys" || // processes, and what has a check of its own
				name == "pressure" // what is written is for the open file alone
		}, f)
	}},
	{"secrets", "S3", "what root alone may read cannot be read", func(_ *sight, f *finding) {
		f.readable("/proc/kmsg", "/proc/timer_list", "/proc/slabinfo", "/proc/kpagecount", "/proc/kpageflags", "/proc/kcore", "/proc/vmallocinfo")
	}},
	{"facts", "S4", "facts about the machine cannot be read", func(_ *sight, f *finding) {
		f.readable("/proc/cmdline", "/proc/kallsyms", "/proc/sys/kernel/random/boot_id", "/proc/meminfo", "/sys/block")
	}},
	{"core_pattern", "", "core dumps stay here", func(s *sight, f *finding) {
		pattern := text("/proc/sys/kernel/core_pattern")
		f.saw("core_pattern", pattern)
		switch {
		case pattern == "":
			f.unknown("/proc/sys/kernel/core_pattern cannot be read")
		case strings.HasPrefix(pattern, "|"):
			f.leaks("a program of the machine gets them: %s", pattern)
		case s.initial("mnt") == yes:
			f.leaks("the tree that they are written to is the machine's: %s", pattern)
		case s.initial("mnt") == no:
			f.isolated()
		}
	}},
}

// foreign looks below a directory for files that may be written, and are not a namespace's of the sandbox.
func (s *sight) foreign(dir string, skip func(string) bool, f *finding) {
	list, err := writable(dir, skip)
	if os.IsNotExist(err) {
		f.isolated()
		f.saw(dir, "there is none")
		return
	}
	if err != nil {
		f.unknown("%v", err)
		return
	}
	var foreign []string
	for _, path := range list {
		if kind := look.SettingOf(path); kind == "" || s.initial(kind) != no {
			foreign = append(foreign, strings.TrimPrefix(path, dir+"/"))
		}
	}
	f.saw("of the sandbox's namespaces", len(list)-len(foreign))
	f.saw("others", len(foreign))
	if len(foreign) > 0 {
		f.leaks("%d may be written: %s", len(foreign), some(foreign))
		return
	}
	f.isolated()
}

// readable says which files can be opened. One that is covered by /dev/null or by an empty file system is not there.
func (f *finding) readable(paths ...string) {
	var list []string
	for _, path := range paths {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
		if err != nil {
			continue
		}
		if !covered(fd, path) {
			list = append(list, filepath.Base(path))
		}
		_ = unix.Close(fd)
	}
	f.saw("readable", strings.Join(list, " "))
	if len(list) > 0 {
		f.leaks("%s", strings.Join(list, " "))
		return
	}
	f.isolated()
}

func covered(fd int, path string) bool {
	var stat unix.Stat_t
	if unix.Fstat(fd, &stat) != nil {
		return false
	}
	if stat.Mode&unix.S_IFMT == unix.S_IFDIR {
		entries, err := os.ReadDir(path)
		return err == nil && len(entries) == 0
	}
	return stat.Mode&unix.S_IFMT == unix.S_IFCHR
}
