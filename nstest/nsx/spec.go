package nsx

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/ns"
)

// A Way is the system call by which a process comes into namespaces.
type Way = ns.Way

// The four ways.
const (
	Clone   = ns.ByClone   // clone(2): a child in new namespaces
	Clone3  = ns.ByClone3  // clone3(2), Linux 5.3: likewise
	Unshare = ns.ByUnshare // unshare(2): a child that leaves those that it shares with the caller
	Setns   = ns.BySetns   // setns(2): a child that joins some that exist
)

// A Spec says which namespaces a probe runs in. The zero value is a child that shares all of the caller's.
//
// With Unshare and Setns, PID and Time are changed for children only: there the probe is a child of the process that
// does it.
type Spec struct {
	How   Way
	Kinds Kinds

	// Into is for Setns: namespaces that are joined in this order, or a process's pidfd (Process.PIDFD), of which those of
	// Kinds are.
	Into []*os.File

	// UIDMaps and GIDMaps are the id maps of a new User namespace, written by the caller before the probe begins. Without
	// them no id is mapped: the probe is nobody, 65534, and has no capabilities.
	UIDMaps, GIDMaps []IDMap

	// Setgroups is what is written before GIDMaps. Who lacks CAP_SETGID must deny it.
	Setgroups Setgroups

	// UID and GID are what the probe runs as, as its namespace counts; nil leaves the caller's.
	UID, GID *int

	// KeepCapabilities leaves the probe all capabilities that it has in its new User namespace, whatever its id. Without
	// it the kernel's rule for execve(2) decides: all for user 0, none for others.
	KeepCapabilities bool

	// TimeOffsets are those of the Time namespace that is made by Unshare; nil leaves the clocks as they are.
	TimeOffsets *TimeOffsets

	// Gate holds the process back when it is in its namespaces and its maps are written, until OpenGate: the caller can
	// put a network device into them, write other maps, or look.
	Gate bool

	// Files are for the probe, which finds them in Parent.Files. They stay the caller's.
	Files []*os.File

	// Blocked are signals that are blocked from the beginning, in all threads of the probe and in what it starts: a probe
	// can only block them in one of its threads, and the others would be sent them. What the Go runtime needs, such as
	// SIGSEGV and SIGURG, it unblocks.
	Blocked []syscall.Signal

	// Cgroup is the directory of the cgroup that the process is born in, and SetTID its number in its PID namespace and in
	// those around it, the innermost first. Both are for Clone3 (Linux 5.7 and 5.5).
	Cgroup *os.File
	SetTID []int32
}

// An IDMap is a line of a uid_map or gid_map (user_namespaces(7)).
type IDMap struct{ Inside, Outside, Count int }

// Setgroups says whether setgroups(2) is possible in a user namespace.
type Setgroups string

// What can be said. The zero value says nothing, and the namespace is like the one around it.
const (
	AllowSetgroups Setgroups = "allow"
	DenySetgroups  Setgroups = "deny"
)

// TimeOffsets are added to the clocks of a time namespace.
type TimeOffsets struct{ Monotonic, Boottime time.Duration }

// AsRoot is s in a new user namespace whose root is the caller, and which has no other id: what every user may do where
// user namespaces are allowed.
func (s Spec) AsRoot() Spec {
	s.Kinds |= User
	s.UIDMaps = []IDMap{{Inside: 0, Outside: os.Geteuid(), Count: 1}}
	s.GIDMaps = []IDMap{{Inside: 0, Outside: os.Getegid(), Count: 1}}
	s.Setgroups = DenySetgroups
	return s
}

// check refuses what contradicts itself.
func (s Spec) check() error {
	switch {
	case len(s.Into) > 0 && s.How != Setns:
		return fmt.Errorf("there is something in Into, which is for Setns, and How is %v", s.How)
	case len(s.Into) == 0 && s.How == Setns:
		return fmt.Errorf("nothing to join is in Into, and How is Setns")
	case s.How == Setns && len(s.UIDMaps)+len(s.GIDMaps) > 0:
		return fmt.Errorf("id maps are for a new user namespace, and How is Setns")
	case !s.Kinds.Has(User) && (len(s.UIDMaps)+len(s.GIDMaps) > 0 || s.Setgroups != ""):
		return fmt.Errorf("id maps and Setgroups are for a user namespace: add User to Kinds")
	case s.TimeOffsets != nil && (s.How != Unshare || !s.Kinds.Has(Time)):
		return fmt.Errorf("time offsets are for a Time namespace made by Unshare: what clone3 makes is in use, and so its offsets are fixed")
	case (s.Cgroup != nil || len(s.SetTID) > 0) && s.How != Clone3:
		return fmt.Errorf("a Cgroup and a SetTID are for Clone3, and How is %v", s.How)
	}
	for _, sig := range s.Blocked {
		if sig < 1 || sig > 64 {
			return fmt.Errorf("block signal %d: there are those from 1 to 64", sig)
		}
	}
	return nil
}

func (s Spec) entry() ns.Entry {
	e := ns.Entry{Way: s.How, Kinds: s.Kinds, Into: s.Into, Cgroup: s.Cgroup, SetTID: s.SetTID}
	if t := s.TimeOffsets; t != nil {
		e.Clocks = &ns.Clocks{Monotonic: t.Monotonic, Boottime: t.Boottime}
	}
	return e
}

// writeMaps writes the maps of process pid.
func (s Spec) writeMaps(pid int) error {
	write := func(file, text string) error {
		if text == "" {
			return nil
		}
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/%s", pid, file), []byte(text), 0); err != nil {
			return fmt.Errorf("write %s: %w", file, causeOf(err))
		}
		return nil
	}
	if err := write("uid_map", lines(s.UIDMaps)); err != nil {
		return err
	}
	if err := write("setgroups", string(s.Setgroups)); err != nil {
		return err
	}
	return write("gid_map", lines(s.GIDMaps))
}

func lines(maps []IDMap) string {
	var b strings.Builder
	for _, m := range maps {
		fmt.Fprintf(&b, "%d %d %d\n", m.Inside, m.Outside, m.Count)
	}
	return b.String()
}
