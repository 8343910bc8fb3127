package nsx

import (
	"fmt"
	"os"
	"syscall"

	"github.com/hermetic-go/nstest/nstest/internal/ns"
	"golang.org/x/sys/unix"
)

// Kinds is a set of namespace kinds. The empty set is legal: a process that was cloned without flags shares everything.
// Its String is the names in /proc/PID/ns, separated by commas.
type Kinds = ns.Kinds

// The eight kinds.
const (
	User   = ns.User
	PID    = ns.PID
	Net    = ns.Net
	Mount  = ns.Mount
	IPC    = ns.IPC
	UTS    = ns.UTS
	Cgroup = ns.Cgroup
	Time   = ns.Time // Linux 5.6; clone(2) ignores it
)

// ParseKind is the kind with the name that /proc/PID/ns gives it.
func ParseKind(name string) (Kinds, error) { return ns.ParseKind(name) }

// path is where /proc shows a process's namespace of one kind. pid 0 is the calling thread.
func path(pid int, kind Kinds) string {
	if pid == 0 {
		return "/proc/thread-self/ns/" + kind.String()
	}
	return fmt.Sprintf("/proc/%d/ns/%s", pid, kind)
}

// Inode is the number of a process's namespace of one kind: two processes with the same number share it, for as long as
// one of them lives or somebody has it open. pid 0 is the calling thread.
func Inode(pid int, kind Kinds) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(path(pid, kind), &st); err != nil {
		return 0, fmt.Errorf("look up %s namespace of process %d: %w", kind, pid, err)
	}
	return st.Ino, nil
}

// Open opens a process's namespace of one kind, which lives at least as long as the file. The caller closes it. pid 0 is
// the calling thread.
func Open(pid int, kind Kinds) (*os.File, error) {
	f, err := os.Open(path(pid, kind))
	if err != nil {
		return nil, fmt.Errorf("open %s namespace of process %d: %w", kind, pid, err)
	}
	return f, nil
}

// InodeOf is the number of an open namespace.
func InodeOf(f *os.File) (uint64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, fmt.Errorf("look up namespace: %w", err)
	}
	return info.Sys().(*syscall.Stat_t).Ino, nil
}

// Pin mounts an open namespace at path, where it outlives its processes until path is unmounted. path is a file, which is
// made if there is none. The mount is in the caller's mount namespace and not in others; it needs CAP_SYS_ADMIN there.
//
// A mount namespace can be pinned only in one that comes before it in the kernel's order, lest two pin each other: otherwise
// the error is EINVAL. Until Linux 6.18 the order is that in which they were made; since then it cannot be told, and a file
// from Open keeps such a namespace more surely.
func Pin(f *os.File, path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o600)
	if err != nil {
		return fmt.Errorf("pin namespace: %w", err)
	}
	file.Close()
	if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("pin namespace at %s: %w", path, err)
	}
	return nil
}

// UnshareThread takes the calling thread out of namespaces that it shares (unshare(2)). It is for probes, whose thread is
// theirs; goroutines that a probe starts are not on it. User and Time are refused to a process with several threads,
// which every Go program is: how a probe gets those is said in its Spec.
func UnshareThread(kinds Kinds) error { return ns.UnshareThread(kinds) }

// JoinThread takes the calling thread into a namespace (setns(2)); as for UnshareThread, it is for probes.
func JoinThread(f *os.File) error { return ns.JoinThread(f) }
