package probe

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// limit is a number of which there may be too little. Those of files are the machine's, those of resources the process's.
type limit struct {
	name, title string
	path        string // to read it from, or ""
	resource    int    // of getrlimit(2), where path is ""
	low         int64  // less than this is reported, and this is recommended
	unlimited   bool   // 0 means no limit
	cost        string
}

// The per-user limits of user namespaces are charged to their makers too, up to the first one, so that all environments
// of one user share them in every mode: seen with fs.inotify.max_user_instances, where environments of root with
// disjoint id ranges ran out together.
var limits = []limit{
	{name: "inotify-instances", path: "/proc/sys/fs/inotify/max_user_instances", low: 512,
		cost: "all environments of one user share them, root's too: inotify_init gives EMFILE, as \"too many open files\""},
	{name: "inotify-watches", path: "/proc/sys/fs/inotify/max_user_watches", low: 65536,
		cost: "all environments of one user share them: inotify_add_watch gives ENOSPC"},
	{name: "keys", path: "/proc/sys/kernel/keys/maxkeys", low: 200,
		cost: "each environment has a session keyring: with many at once an ordinary user gets EDQUOT"},
	{name: "mqueue", path: "/proc/sys/fs/mqueue/queues_max", low: 256, cost: "mq_open gives ENOSPC in programs with many queues"},
	{name: "pipe-pages", path: "/proc/sys/fs/pipe-user-pages-soft", low: 16384, unlimited: true,
		cost: "further pipes of the same user hold one page each, and programs that fill them block earlier"},
	{name: "pids", path: "/proc/sys/kernel/pid_max", low: 32768, cost: "fork gives EAGAIN when many environments are alive"},
	{name: "open-files", title: "RLIMIT_NOFILE", resource: unix.RLIMIT_NOFILE, low: 4096,
		cost: "EMFILE with many environments: each takes several descriptors in its keeper"},
	{name: "processes", title: "RLIMIT_NPROC", resource: unix.RLIMIT_NPROC, low: 2048,
		cost: "fork gives EAGAIN: the processes and threads of one user count together"},
	{name: "mqueue-bytes", title: "RLIMIT_MSGQUEUE", resource: unix.RLIMIT_MSGQUEUE, low: 819200,
		cost: "mq_open gives EMFILE: the queues of one user count together"},
	{name: "signals", title: "RLIMIT_SIGPENDING", resource: unix.RLIMIT_SIGPENDING, low: 1024,
		cost: "timer_create and sigqueue give EAGAIN: those of one user count together"},
}

var limitProbes = makeLimitProbes()

func makeLimitProbes() []*probe {
	list := make([]*probe, 0, len(limits)+2)
	for _, l := range limits {
		title := l.title
		if title == "" {
			title = sysctlName(l.path)
		}
		list = append(list, &probe{name: "limit." + l.name, title: title, cost: l.cost, look: l.look})
	}
	return append(list,
		&probe{name: "limit.namespaces", title: "user.max_*_namespaces", cost: "ENOSPC with many environments", look: lookNamespaceLimits},
		&probe{name: "memory", title: "memory", cost: "environments and what runs in them may be killed", look: lookMemory})
}

// sysctlName is /proc/sys/fs/mqueue/queues_max as sysctl(8) calls it.
func sysctlName(path string) string {
	return strings.ReplaceAll(strings.TrimPrefix(path, "/proc/sys/"), "/", ".")
}

func (l limit) look(m *machine, _ Trials) (string, error) {
	if l.path != "" {
		value, ok := m.number(l.path)
		if !ok {
			return "", fmt.Errorf("read %s: there is no number", l.path)
		}
		if value >= l.low || l.unlimited && value == 0 {
			return strconv.FormatInt(value, 10), nil
		}
		name := sysctlName(l.path)
		return "", &Absent{Feature: name, Cause: restricted{fmt.Sprintf("%d, which is low", value)}, Remedy: sysctl(name, l.low)}
	}
	var value unix.Rlimit
	if err := unix.Getrlimit(l.resource, &value); err != nil {
		return "", fmt.Errorf("read %s: %w", l.title, err)
	}
	// Go raises the soft limit of open files by itself, a keeper the others.
	if value.Max == unix.RLIM_INFINITY || value.Max >= uint64(l.low) {
		return limitText(value.Cur) + " of " + limitText(value.Max), nil
	}
	item := map[int]string{
		unix.RLIMIT_NOFILE: "nofile", unix.RLIMIT_NPROC: "nproc", unix.RLIMIT_MSGQUEUE: "msgqueue", unix.RLIMIT_SIGPENDING: "sigpending",
	}[l.resource]
	return "", &Absent{
		Feature: l.title, Cause: restricted{fmt.Sprintf("%d at most, which is low", value.Max)},
		Remedy: fmt.Sprintf("echo '%s - %s %d' | sudo tee -a /etc/security/limits.conf   # then log in again", m.user(), item, l.low),
	}
}

func limitText(n uint64) string {
	if n == unix.RLIM_INFINITY {
		return "unlimited"
	}
	return strconv.FormatUint(n, 10)
}

func lookNamespaceLimits(m *machine, _ Trials) (string, error) {
	const low = 1024
	least, of := int64(math.MaxInt64), ""
	for _, k := range kinds {
		if value, ok := m.number("/proc/sys/user/" + k.limit); ok && value < least {
			least, of = value, k.limit
		}
	}
	switch {
	case of == "":
		return "", errors.New("there is no limit below /proc/sys/user")
	case least < low:
		return "", &Absent{
			Feature: "user." + of, Cause: restricted{fmt.Sprintf("user.%s is %d, which is low", of, least)}, Remedy: sysctl("user."+of, 65536),
		}
	}
	return fmt.Sprintf("%d at least", least), nil
}

func lookMemory(m *machine, _ Trials) (string, error) {
	const low = 256 // MiB
	free, where, err := m.memory()
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("%d MiB are available%s; an environment with three hosts takes about 2", free, where)
	if free < low {
		return "", &Absent{Feature: "memory", Cause: restricted{text}, Remedy: "run fewer specs at once (go test -p 1, ginkgo -p --procs 1)"}
	}
	return text, nil
}

// memory is what the machine has left, or the process's cgroup (v2) if that is less, in MiB.
func (m *machine) memory() (free int64, where string, err error) {
	free = -1
	for line := range strings.Lines(m.text("/proc/meminfo")) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "MemAvailable:" {
			if free, err = strconv.ParseInt(fields[1], 10, 64); err != nil {
				return 0, "", fmt.Errorf("read MemAvailable: %w", err)
			}
			free >>= 10
		}
	}
	if free < 0 {
		return 0, "", errors.New("there is no MemAvailable in /proc/meminfo")
	}
	if dir := m.cgroupDir(); dir != "" {
		limit, limited := m.number(dir + "/memory.max") // the word "max" is none
		used, known := m.number(dir + "/memory.current")
		if left := (limit - used) >> 20; limited && known && left < free {
			return left, " in " + dir, nil
		}
	}
	return free, "", nil
}
