package target

import (
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

var devices = []check{
	{"dev", "D2", "no devices of the machine", foreignDevices},
	{"pts", "D3", "pseudo-terminals are the sandbox's own", pseudoTerminals},
}

// harmless are the character devices that belong to nobody.
var harmless = [][2]uint32{{1, 3}, {1, 5}, {1, 7}, {1, 8}, {1, 9}, {5, 0}, {5, 1}, {5, 2}} // null zero full random urandom tty console ptmx

// pts are the majors of devices of pseudo-terminals.
func pts(major uint32) bool { return major >= 136 && major <= 143 }

func foreignDevices(s *sight, f *finding) {
	f.saw("file system", s.device)
	var list []string
	usable := 0
	err := walk("/dev", func(path string, d fs.DirEntry) error {
		var stat unix.Stat_t
		if d.Type()&fs.ModeDevice == 0 || unix.Lstat(path, &stat) != nil || known(d.Type(), stat.Rdev) {
			return nil
		}
		list = append(list, strings.TrimPrefix(path, "/dev/"))
		if unix.Faccessat(unix.AT_FDCWD, path, unix.R_OK, unix.AT_EACCESS) == nil {
			usable++
		}
		return nil
	})
	if err != nil && !os.IsNotExist(err) {
		f.unknown("%v", err)
		return
	}
	f.saw("devices", len(list))
	f.saw("that we may open", usable)
	if len(list) > 0 {
		f.leaks("%s; we may open %d", some(list), usable)
		return
	}
	f.isolated()
}

func known(mode fs.FileMode, rdev uint64) bool {
	if mode&fs.ModeCharDevice == 0 {
		return false // a disk
	}
	major, minor := unix.Major(rdev), unix.Minor(rdev)
	for _, h := range harmless {
		if h == [2]uint32{major, minor} {
			return true
		}
	}
	return pts(major)
}

func pseudoTerminals(s *sight, f *finding) {
	ours := map[string]bool{}
	for fd := range 3 {
		to, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)) // what is closed is none
		ours[to] = true
	}
	entries, err := os.ReadDir("/dev/pts")
	var others, old []string
	for _, e := range entries {
		path := "/dev/pts/" + e.Name()
		if e.Name() == "ptmx" || ours[path] {
			continue
		}
		others = append(others, e.Name())
		if s.older(path) {
			old = append(old, e.Name())
		}
	}
	f.saw("others", some(others))
	switch {
	case s.initial("mnt") == yes || s.device == "devtmpfs":
		f.leaks("/dev is the machine's")
	case err != nil && !os.IsNotExist(err):
		f.unknown("%v", err)
	case len(old) > 0:
		f.leaks("older than the sandbox: %s", some(old))
	case len(others) == 0:
		f.isolated()
	}
}
