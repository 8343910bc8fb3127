package robustness

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A task is a process as proc(5) shows it.
type task struct {
	pid, parent int
	state       string
	args        string
}

// below lists the descendants of a process.
func below(pid int) []task {
	dirs, _ := filepath.Glob("/proc/[1-9]*")
	children := map[int][]task{}
	for _, dir := range dirs {
		b, err := os.ReadFile(dir + "/stat")
		if err != nil {
			continue
		}
		var t task
		t.pid, _ = strconv.Atoi(filepath.Base(dir))
		rest := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		t.state = rest[0]
		t.parent, _ = strconv.Atoi(rest[1])
		args, _ := os.ReadFile(dir + "/cmdline")
		t.args = strings.TrimSpace(strings.ReplaceAll(string(args), "\x00", " "))
		children[t.parent] = append(children[t.parent], t)
	}
	var list []task
	var walk func(int)
	walk = func(p int) {
		for _, c := range children[p] {
			list = append(list, c)
			walk(c.pid)
		}
	}
	walk(pid)
	return list
}

const keeperArgs = "nstest-keeper"

// keeperOf is the process id of the keeper that a process has started, or 0.
func keeperOf(pid int) int {
	for _, t := range below(pid) {
		if t.parent == pid && t.args == keeperArgs && t.state != "Z" {
			return t.pid
		}
	}
	return 0
}

// reapAdopted waits for those of our children that a victim has left to us and that have ended. known are our own.
func reapAdopted(known map[int]bool) {
	for _, t := range below(os.Getpid()) {
		if t.parent == os.Getpid() && t.state == "Z" && !known[t.pid] {
			_, _ = unix.Wait4(t.pid, nil, unix.WNOHANG, nil)
		}
	}
}

// named are the files in the machine's directories for what is shared whose names have nstest in them.
func named() map[string]bool {
	found := map[string]bool{}
	for _, dir := range []string{"/run", "/dev/shm", "/dev/mqueue"} {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if strings.Contains(e.Name(), "nstest") {
				found[filepath.Join(dir, e.Name())] = true
			}
		}
	}
	return found
}

// cgroups are the control groups of the machine.
func cgroups() map[string]bool {
	found := map[string]bool{}
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.Contains(d.Name(), "nstest") {
			found[path] = true
		}
		return nil
	})
	return found
}

// abstract are the abstract unix sockets that nstest names, by inode.
func abstract() map[string]string {
	found := map[string]string{}
	b, _ := os.ReadFile("/proc/self/net/unix")
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 7 && strings.HasPrefix(f[7], "@nstest") {
			found[f[6]] = f[7]
		}
	}
	return found
}

// abstractOf are those of them that the descendants of a process have open.
func abstractOf(pid int) map[string]string {
	all, found := abstract(), map[string]string{}
	for _, p := range below(pid) {
		dir := "/proc/" + strconv.Itoa(p.pid) + "/fd/"
		fds, _ := os.ReadDir(dir)
		for _, fd := range fds {
			link, _ := os.Readlink(dir + fd.Name())
			inode := strings.TrimSuffix(strings.TrimPrefix(link, "socket:["), "]")
			if name, ok := all[inode]; ok {
				found[inode] = name
			}
		}
	}
	return found
}
