package inspect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// A Table is which processes there were at a moment, and in which namespaces.
type Table struct {
	entries []entry

	mu    sync.Mutex
	users map[string]idMap // by user namespace
}

type entry struct {
	pid              int // in the PID namespace of the /proc that is read
	pidNS, user, net string
}

// NewTable lists all processes. It stops when ctx has ended.
func NewTable(ctx context.Context) (*Table, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	t := &Table{users: map[string]idMap{}}
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("list processes: %w", context.Cause(ctx))
		}
		e := entry{pid: pid, pidNS: namespace(pid, "pid"), user: namespace(pid, "user"), net: namespace(pid, "net")}
		if e.pidNS != "" { // or it has ended
			t.entries = append(t.entries, e)
		}
	}
	return t, nil
}

func procPath(pid int, name string) string { return filepath.Join("/proc", strconv.Itoa(pid), name) }

// namespace names a namespace of a process, "" if it has none, such as the network of one that has ended and was not reaped.
func namespace(pid int, kind string) string {
	id, err := os.Readlink(procPath(pid, "ns/"+kind))
	if err != nil {
		return ""
	}
	return id
}

// A Place is where processes are looked for.
type Place struct {
	PID, User, Net string // as NamespaceOf says, of a PID, a user and a network namespace
}

// NamespaceOf names the namespace behind a file.
func NamespaceOf(f *os.File) (id string, err error) {
	err = withDescriptor(f, func(fd string) (err error) { id, err = os.Readlink("/proc/self/fd/" + fd); return err })
	return id, err
}

// withDescriptor calls f with the number of an open file, which stays open until f has returned.
func withDescriptor(file *os.File, f func(fd string) error) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = raw.Control(func(fd uintptr) { inner = f(strconv.Itoa(int(fd))) })
	return errors.Join(err, inner)
}

// PIDOf is the number that the process behind a pidfd has in /proc; 0 if it has ended.
func PIDOf(pidfd *os.File) (int, error) {
	var b []byte
	err := withDescriptor(pidfd, func(fd string) (err error) { b, err = os.ReadFile("/proc/self/fdinfo/" + fd); return err })
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, "Pid:"); ok {
			pid, err := strconv.Atoi(strings.TrimSpace(value))
			return max(pid, 0), err
		}
	}
	return 0, errors.New("the file is no pidfd")
}

// PIDNamespaceOf names the PID namespace of a process by its number in /proc.
func PIDNamespaceOf(pid int) string { return namespace(pid, "pid") }

// Assign says of each process at which of the places it is: in its PID namespace, or else in its user namespace, or in one
// that was made inside of that; and among places with the same namespace, in its network namespace, or else at the first. What is at none is
// left out.
func (t *Table) Assign(places []Place) [][]int {
	first := map[string]int{}
	nets := map[[2]string]int{}
	for i, p := range places {
		id := p.id()
		if _, taken := first[id]; !taken {
			first[id] = i
		}
		nets[[2]string{id, p.Net}] = i
	}
	out := make([][]int, len(places))
	above := map[string]string{} // the namespace of a place that one belongs to; "" is none
	for _, e := range t.entries {
		id := ""
		for _, k := range []struct{ kind, id string }{{"pid", e.pidNS}, {"user", e.user}} {
			if id == "" {
				id = ancestor(e.pid, k.kind, k.id, first, above)
			}
		}
		if id == "" {
			continue
		}
		at, ok := nets[[2]string{id, e.net}]
		if !ok {
			at = first[id]
		}
		out[at] = append(out[at], e.pid)
	}
	return out
}

// id is the namespace whose processes are at the place.
func (p Place) id() string {
	if p.PID != "" {
		return p.PID
	}
	return p.User
}

// ancestor is the first of the wanted namespaces among that of a process and those in which it was made.
func ancestor(pid int, kind, id string, wanted map[string]int, known map[string]string) string {
	if found, ok := known[id]; ok {
		return found
	}
	if _, ok := wanted[id]; ok || id == "" {
		return id
	}
	f, err := os.Open(procPath(pid, "ns/"+kind))
	if err != nil {
		return "" // it has ended
	}
	found := ""
	for {
		fd, err := unix.IoctlRetInt(int(f.Fd()), unix.NS_GET_PARENT)
		f.Close()
		if err != nil { // EPERM: it is above our own
			break
		}
		f = os.NewFile(uintptr(fd), "parent")
		parent, err := NamespaceOf(f)
		if _, ok := wanted[parent]; ok && err == nil {
			found = parent
			f.Close()
			break
		}
	}
	known[id] = found
	return found
}

func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) }
