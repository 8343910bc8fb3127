package leaks

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// wakePoller makes the Go runtime open the descriptors that it polls with, which it keeps.
func wakePoller() {
	if r, w, err := os.Pipe(); err == nil {
		r.Close()
		w.Close()
	}
}

func files() []entry {
	const dir = "/proc/self/fd"
	d, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	var list []entry
	for _, n := range names {
		if n == strconv.Itoa(int(d.Fd())) {
			continue
		}
		target, err := os.Readlink(dir + "/" + n)
		if err != nil {
			continue // closed meanwhile
		}
		info, _ := os.ReadFile("/proc/self/fdinfo/" + n)
		if kept(target, string(info)) {
			continue
		}
		// Sockets, pipes and the like have names that are never used again, so that one is as good as another.
		class, _, _ := strings.Cut(target, ":[")
		list = append(list, entry{class: class, id: n + " " + target, what: n + " → " + target, origin: describe(target, string(info))})
	}
	return list
}

// kept tells what nstest opens once in a program: a descriptor of the program itself, and its static init.
func kept(target, info string) bool {
	self := "\nPid:\t" + selfPID() + "\n"
	return strings.HasPrefix(target, "/memfd:nstest-init") ||
		strings.HasSuffix(target, "[pidfd]") && strings.Contains(info, self) ||
		strings.HasPrefix(target, "pidfd:") && strings.Contains(info, self)
}

// describe adds to what fdinfo says the path of a unix socket, or the process behind a pidfd.
func describe(target, info string) string {
	out := strings.Join(strings.Fields(info), " ")
	if inode, ok := strings.CutPrefix(target, "socket:["); ok {
		for _, s := range unixSockets() {
			if s.inode == strings.TrimSuffix(inode, "]") {
				out += fmt.Sprintf("\nunix socket %s", s.path)
			}
		}
	}
	return out
}
