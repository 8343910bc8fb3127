package look

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Lines are those of a file, with one blank between words.
func Lines(path string) ([]string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		out = append(out, strings.Join(strings.Fields(line), " "))
	}
	return out, nil
}

// Inherited lists the open files that the process was started with. Those are not marked to be closed by execve(2), or
// they would have been; all that a Go program opens itself is.
func Inherited() ([]string, error) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			out = append(out, e.Name())
		}
	}
	slices.SortFunc(out, func(a, b string) int { return len(a)*10 + strings.Compare(a, b) - len(b)*10 })
	return out, nil
}

// Writable lists the files below dirs that open for writing. Nothing is written.
func Writable(dirs ...string) []string {
	var out []string
	for _, dir := range dirs {
		// What cannot be entered has nothing to be written in.
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil // go on with the others
			}
			fd, err := unix.Open(path, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
			if err == nil {
				out = append(out, path)
				_ = unix.Close(fd)
			}
			return nil
		})
	}
	return out
}
