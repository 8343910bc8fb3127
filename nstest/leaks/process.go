package leaks

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A process is one line of what proc(5) shows.
type process struct {
	pid, parent, state, started, command string
}

// keeperName is the name that nstest gives a keeper.
const keeperName = "nstest-keeper"

// descendants are the children of this program, their children, and so on.
func descendants() []process {
	dirs, _ := filepath.Glob("/proc/[1-9]*")
	children := map[string][]process{}
	for _, dir := range dirs {
		if p, ok := readProcess(dir); ok {
			children[p.parent] = append(children[p.parent], p)
		}
	}
	var list []process
	var walk func(pid string)
	walk = func(pid string) {
		for _, p := range children[pid] {
			list = append(list, p)
			walk(p.pid)
		}
	}
	walk(selfPID())
	return list
}

// selfPID is this program's number as /proc has it, which may belong to another PID namespace.
func selfPID() string {
	pid, err := os.Readlink("/proc/self")
	if err != nil {
		return strconv.Itoa(os.Getpid())
	}
	return pid
}

func readProcess(dir string) (process, bool) {
	b, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return process{}, false
	}
	pid, rest, _ := strings.Cut(string(b), " (")
	at := strings.LastIndex(rest, ") ")
	if at < 0 {
		return process{}, false
	}
	name, fields := rest[:at], strings.Fields(rest[at+2:])
	if len(fields) < 20 {
		return process{}, false
	}
	p := process{pid: pid, state: fields[0], parent: fields[1], started: fields[19], command: "[" + name + "]"}
	if args, err := os.ReadFile(dir + "/cmdline"); err == nil && len(args) > 0 {
		p.command = strings.TrimSpace(strings.ReplaceAll(string(args), "\x00", " "))
	}
	return p, true
}

func processes(tree []process) []entry {
	var list []entry
	for _, p := range tree {
		e := entry{id: p.pid + " " + p.started, what: p.pid + " " + p.command}
		e.class = e.id
		if p.command == keeperName { // a new one in the place of one that died is no leak
			e.class = keeperName
		}
		e.origin = "child of " + p.parent + ", state " + p.state
		if p.state == "Z" {
			e.origin += ": nobody has waited for it"
		}
		list = append(list, e)
	}
	return list
}

// kindsOfNamespaces are the names in /proc/PID/ns that are namespaces of the process itself.
var kindsOfNamespaces = []string{"user", "pid", "net", "mnt", "ipc", "uts", "cgroup", "time"}

func namespaces(tree []process) []entry {
	var list []entry
	home := map[string]bool{}
	for _, k := range kindsOfNamespaces {
		if link, err := os.Readlink("/proc/self/ns/" + k); err == nil {
			home[link] = true
		}
	}
	add := func(dir, who, keeper string) {
		for _, k := range kindsOfNamespaces {
			link, err := os.Readlink(dir + "/ns/" + k)
			if err != nil || home[link] {
				continue
			}
			home[link] = true // once is enough
			e := entry{class: link, id: link, what: link, origin: "of " + who}
			if keeper != "" {
				e.class = keeper + " " + k
			}
			list = append(list, e)
		}
	}
	for _, p := range tree {
		keeper := ""
		if p.command == keeperName {
			keeper = keeperName
		}
		add("/proc/"+p.pid, "process "+p.pid+" "+p.command, keeper)
	}
	for _, tid := range tasks() {
		add("/proc/self/task/"+tid, "thread "+tid, "")
	}
	return list
}

func tasks() []string {
	dirs, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return nil
	}
	var list []string
	for _, d := range dirs {
		list = append(list, d.Name())
	}
	return list
}

// idle reports whether a thread waits in futex(2), which is how the Go runtime keeps the threads that it has no work for.
// How many there are is its own business: as many as system calls have once blocked at the same time. A goroutine that
// sits on such a thread is found as a goroutine.
func idle(tid string) bool {
	b, err := os.ReadFile("/proc/self/task/" + tid + "/syscall")
	if err != nil {
		return false
	}
	number, _, _ := strings.Cut(string(b), " ")
	return number == strconv.Itoa(unix.SYS_FUTEX)
}

// atHome is the class of threads that are in the program's own namespaces.
const atHome = "at home"

func threads() []entry {
	var list []entry
	for _, tid := range tasks() {
		e := entry{class: atHome, id: tid, what: tid}
		for _, k := range kindsOfNamespaces {
			ours, err1 := os.Readlink("/proc/self/ns/" + k)
			theirs, err2 := os.Readlink("/proc/self/task/" + tid + "/ns/" + k)
			if err1 == nil && err2 == nil && ours != theirs {
				e.class, e.origin = tid, "in "+theirs+", the program is in "+ours
			}
		}
		if e.class != atHome || !idle(tid) {
			list = append(list, e)
		}
	}
	n := len(list)
	for i := range list {
		if list[i].class == atHome {
			list[i].origin = strconv.Itoa(n) + " threads that wait for something"
		}
	}
	return list
}
