package idmap

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// The ids that environments of root use: far above those of people and daemons, below the sign bit, and the ids that
// systemd reserves for its own containers (524288 to 1879048191, systemd UIDS-GIDS).
const (
	firstID = 524288
	lastID  = 1879048191
	Size    = 65536 // ids of an environment that asks for no more
)

// A Lease is a range of ids of the machine that no other live environment has, on this machine or in this process.
// Release gives it back.
type Lease struct {
	Base, Count int
	locks       []int
}

// reserved are the ranges that belong to other containers according to subuid(5); they are never taken.
var reserved = sync.OnceValue(func() []Range { return granted(subuidFile, subgidFile) })

// granted are the ranges that the files give to anybody. A file that cannot be read gives none.
func granted(files ...string) []Range {
	var all []Range
	for _, file := range files {
		if r, err := grants(file, func(string) bool { return true }); err == nil {
			all = append(all, r...)
		}
	}
	return all
}

// Take leases count ids, rounded up to a multiple of Size. The lock is an abstract socket for each Size ids, whose name
// the kernel lets only one process have and forgets with it: nothing is left of a process that is killed. Processes in
// different network namespaces do not see each other's locks; the place is drawn at random for their sake.
func Take(count int) (*Lease, error) {
	slots := (count + Size - 1) / Size
	const total = (lastID - firstID + 1) / Size
	if slots < 1 || slots > total {
		return nil, fmt.Errorf("lease %d ids: between 1 and %d are possible", count, total*Size)
	}
	start := rand.IntN(total)
	for i := range total {
		slot := (start + i) % total
		if slot+slots > total || overlapsReserved(firstID+slot*Size, slots*Size) {
			continue
		}
		locks, err := lock(slot, slots)
		if err == nil {
			return &Lease{Base: firstID + slot*Size, Count: slots * Size, locks: locks}, nil
		}
		if !errors.Is(err, unix.EADDRINUSE) {
			return nil, fmt.Errorf("lease ids: %w", err)
		}
	}
	return nil, errors.New("lease ids: every range is in use")
}

func overlapsReserved(base, count int) bool {
	for _, r := range reserved() {
		if base < r.Outside+r.Count && r.Outside < base+count {
			return true
		}
	}
	return false
}

func lock(slot, slots int) (fds []int, err error) {
	for i := range slots {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			fds = append(fds, fd)
			err = unix.Bind(fd, &unix.SockaddrUnix{Name: fmt.Sprintf("@nstest-ids-%d", slot+i)})
		}
		if err != nil {
			for _, fd := range fds {
				unix.Close(fd)
			}
			return nil, err
		}
	}
	return fds, nil
}

// Map maps ids 0 to Count-1 inside to the lease.
func (l *Lease) Map() Map {
	r := []Range{{0, l.Base, l.Count}}
	return Map{r, r}
}

// Release gives the ids back. It may be called more than once.
func (l *Lease) Release() {
	for _, fd := range l.locks {
		unix.Close(fd)
	}
	l.locks = nil
}

// Invoker is the user who an administrator's program works for: SUDO_UID, or the owner of path. It is 0 if nobody
// but root is to be found.
func Invoker(path string) (uid, gid int) {
	if _, err := fmt.Sscan(os.Getenv("SUDO_UID"), &uid); err == nil && uid != 0 {
		if _, err := fmt.Sscan(os.Getenv("SUDO_GID"), &gid); err == nil {
			return uid, gid
		}
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, 0
	}
	return int(st.Uid), int(st.Gid)
}
