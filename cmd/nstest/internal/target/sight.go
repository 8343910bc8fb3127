package target

import (
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/look"
)

// A sight is what several checks go by.
type sight struct {
	namespaces           map[string]uint64 // inodes, by kind
	netSettings          answer            // /proc/sys/net has what only the first network namespace has
	uidMap               []string
	status               map[string]string // /proc/self/status
	effective, bounding  look.CapSet
	mounts               []mount
	pid                  int
	self                 string    // what /proc/self leads to; "" where there is no /proc, or it knows nothing of us
	began                time.Time // process 1 did; zero if that is not known
	pids                 []int
	comm1, comm2, device string // of process 1 and 2; the type of the file system at /dev
}

// An answer is yes, no, or not to be had.
type answer int

const (
	unclear answer = iota
	yes
	no
)

func is(b bool) answer {
	if b {
		return yes
	}
	return no
}

// see looks. What cannot be read is not there, and checks say so.
func see() *sight {
	s := &sight{
		namespaces: map[string]uint64{}, status: map[string]string{}, mounts: mountsOf(lines("/proc/self/mountinfo")), pid: os.Getpid(),
		uidMap: lines("/proc/self/uid_map"), comm1: text("/proc/1/comm"), comm2: text("/proc/2/comm"), began: began(),
	}
	for _, kind := range look.Kinds {
		link, _ := os.Readlink("/proc/self/ns/" + kind)
		number, _ := strings.CutPrefix(strings.TrimSuffix(link, "]"), kind+":[")
		if n, err := strconv.ParseUint(number, 10, 64); err == nil {
			s.namespaces[kind] = n
		}
	}
	if exists("/proc/sys/net/core/somaxconn") {
		s.netSettings = is(exists("/proc/sys/net/core/netdev_max_backlog"))
	}
	for _, line := range lines("/proc/self/status") {
		name, value, _ := strings.Cut(line, ":")
		s.status[name] = strings.TrimSpace(value)
	}
	s.effective, s.bounding = capabilities(s.status["CapEff"]), capabilities(s.status["CapBnd"])
	s.self, _ = os.Readlink("/proc/self")
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			s.pids = append(s.pids, pid)
		}
	}
	if m := s.mountAt("/dev"); m != nil {
		s.device = m.kind
	}
	return s
}

// The namespaces that a machine begins with, from linux/nsfs.h. Those of net and mnt have such numbers since Linux 6.18.
var first = map[string]uint64{
	"ipc": 0xEFFFFFFF, "uts": 0xEFFFFFFE, "user": 0xEFFFFFFD, "pid": 0xEFFFFFFC, "cgroup": 0xEFFFFFFB, "time": 0xEFFFFFFA,
	"net": 0xEFFFFFF9, "mnt": 0xEFFFFFF8,
}

// Numbers are given out from here on. The first few are given out before there is a process.
const given, givenEarly = 0xF0000000, 16

// initial reports whether a namespace is the one that the machine began with.
func (s *sight) initial(kind string) answer {
	n, ok := s.namespaces[kind]
	switch {
	case !ok:
		return unclear
	case n == first[kind]:
		return yes
	case kind == "mnt":
		return is(n >= given && n < given+givenEarly)
	case kind == "net":
		return s.netSettings
	}
	return no
}

// ownProc reports whether /proc shows the process's own PID namespace.
func (s *sight) ownProc() bool { return s.self == strconv.Itoa(s.pid) }

// began is when process 1 began; zero if /proc does not tell.
func began() time.Time {
	_, fields, ok := strings.Cut(text("/proc/1/stat"), ") ") // the command before may have blanks
	list := strings.Fields(fields)
	const startTime = 22 - 3 // proc_pid_stat(5), after the first two
	if !ok || len(list) <= startTime {
		return time.Time{}
	}
	ticks, err := strconv.ParseInt(list[startTime], 10, 64)
	if err != nil {
		return time.Time{}
	}
	for _, line := range lines("/proc/stat") {
		if value, ok := strings.CutPrefix(line, "btime "); ok {
			if boot, err := strconv.ParseInt(value, 10, 64); err == nil {
				return time.Unix(boot, 0).Add(time.Duration(ticks) * time.Second / 100) // USER_HZ
			}
		}
	}
	return time.Time{}
}

func capabilities(hex string) look.CapSet {
	set, _ := strconv.ParseUint(hex, 16, 64) // none, where there is no /proc
	return look.CapSet(set)
}

// lines are those of a file; none if it cannot be read.
func lines(path string) []string {
	list, err := look.Lines(path)
	if err != nil {
		return nil
	}
	return list
}

// text is a file's, without blanks around it; "" if it cannot be read.
func text(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
