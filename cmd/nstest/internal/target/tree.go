package target

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

var tree = []check{
	{"root", "M20", "what is written to the tree stays here", rootKeepsWrites},
	{"propagation", "M2", "later mounts outside do not appear here", propagation},
	{"tmp", "D1", "/tmp is the sandbox's own", func(s *sight, f *finding) { s.leftovers("/tmp", f) }},
	{"shm", "I10", "/dev/shm is the sandbox's own", func(s *sight, f *finding) { s.leftovers("/dev/shm", f) }},
	{"etc", "D6", "/etc/hostname, hosts and resolv.conf are the sandbox's own", func(s *sight, f *finding) {
		var shared []string
		for _, name := range []string{"hostname", "hosts", "resolv.conf"} {
			if path := "/etc/" + name; exists(path) && s.mountAt(path) == nil {
				shared = append(shared, path)
			}
		}
		f.saw("without a mount of their own", some(shared))
		root := s.mountAt("/")
		switch {
		case s.initial("mnt") == yes:
			f.leaks("the tree is the machine's")
		case len(shared) == 0 || root != nil && root.layered():
			f.isolated()
		case root != nil && root.root == "/":
			f.leaks("%s may be the machine's", some(shared))
		}
	}},
	{"homes", "D7", "homes of others cannot be read", homes},
}

// rootKeepsWrites goes by the file system at the root: a layer, memory, something read-only, or the machine's disk.
func rootKeepsWrites(s *sight, f *finding) {
	root := s.mountAt("/")
	if root == nil {
		f.unknown("/proc/self/mountinfo does not tell of a root")
		return
	}
	f.saw("file system", root.kind)
	f.saw("directory in it", root.root)
	f.saw("read-only", root.readOnly)
	var through []string // directories, as far as they are the whole of a file system
	for _, m := range s.mounts {
		if !m.readOnly && !m.layered() && m.point != "/" && disk(m.kind) && m.root == "/" {
			through = append(through, m.point)
		}
	}
	switch {
	case s.initial("mnt") == yes:
		f.leaks("it is the machine's tree (%s)", root.kind)
	case len(through) > 0:
		f.leaks("file systems of the machine can be written to: %s", some(through))
	case root.readOnly || root.layered():
		f.isolated()
	case root.root == "/":
		f.leaks("the root is a whole file system (%s)", root.kind)
	default:
		f.unknown("the root is %s of a file system (%s), and who else uses that cannot be told", root.root, root.kind)
	}
}

// disk reports whether a type of file system is one that keeps files.
func disk(kind string) bool {
	for line := range strings.Lines(text("/proc/filesystems")) {
		if strings.TrimSpace(line) == kind && !strings.HasPrefix(line, "nodev") {
			return true
		}
	}
	return false
}

func propagation(s *sight, f *finding) {
	var receiving, shared []string
	for _, m := range s.mounts {
		for _, tag := range m.propagation {
			switch {
			case strings.HasPrefix(tag, "master:"):
				receiving = append(receiving, m.point)
			case strings.HasPrefix(tag, "shared:"):
				shared = append(shared, m.point)
			}
		}
	}
	f.saw("slaves", some(receiving))
	f.saw("shared", some(shared))
	switch {
	case len(s.mounts) == 0:
		f.unknown("/proc/self/mountinfo cannot be read")
	case s.initial("mnt") == yes:
		f.leaks("the mounts are the machine's")
	case len(receiving) > 0:
		f.leaks("slaves of mounts outside: %s", some(receiving))
	case len(shared) > 0:
		f.unknown("with whom these are shared cannot be told: %s", some(shared))
	default:
		f.isolated()
	}
}

// leftovers looks in a directory for what was there before the sandbox. What got there by a mount was meant to.
func (s *sight) leftovers(dir string, f *finding) {
	if s.initial("mnt") == yes {
		f.leaks("the tree is the machine's")
		return
	}
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		f.isolated()
		f.saw(dir, "there is none")
		return
	}
	if err != nil {
		f.unknown("%v", err)
		return
	}
	var all, old []string
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if s.leadsToMount(path) {
			continue
		}
		all = append(all, e.Name())
		if s.older(path) {
			old = append(old, e.Name())
		}
	}
	f.saw("entries", len(all))
	switch {
	case len(all) == 0:
		f.isolated()
	case len(old) > 0:
		f.leaks("older than the sandbox: %s", some(old))
	default:
		f.unknown("it has %d entries, which may have come from here", len(all))
	}
}

// older reports whether a file is there for longer than the sandbox, as far as a PID namespace of its own says when that
// began. Nobody can set a file's time of change.
func (s *sight) older(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || s.began.IsZero() || s.initial("pid") != no || !s.ownProc() {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	const rounded = 2 * time.Second // the time of boot is
	return ok && time.Unix(stat.Ctim.Unix()).Before(s.began.Add(-rounded))
}

func homes(_ *sight, f *finding) {
	dirs, _ := filepath.Glob("/home/*") // the pattern is a good one
	var others []string
	for _, dir := range append([]string{"/root"}, dirs...) {
		var stat unix.Stat_t
		if unix.Lstat(dir, &stat) != nil || stat.Mode&unix.S_IFMT != unix.S_IFDIR || dir == os.Getenv("HOME") || int(stat.Uid) == os.Geteuid() {
			continue
		}
		if readable(dir, stat) {
			others = append(others, dir)
		}
	}
	f.saw("readable", some(others))
	if len(others) > 0 {
		f.leaks("%s", some(others))
		return
	}
	f.isolated()
}

// readable reports whether there is something to be read in a directory. One that is a mount is not entered: that may
// mount it.
func readable(dir string, stat unix.Stat_t) bool {
	var above unix.Stat_t
	if err := unix.Lstat(filepath.Dir(dir), &above); err != nil || above.Dev != stat.Dev {
		return unix.Faccessat(unix.AT_FDCWD, dir, unix.R_OK|unix.X_OK, unix.AT_EACCESS) == nil
	}
	entries, err := os.ReadDir(dir)
	return err == nil && len(entries) > 0
}
