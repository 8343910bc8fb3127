package ns

import (
	"fmt"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/pid1"
	"golang.org/x/sys/unix"
)

// NewNet appends to p what puts the init into a new network namespace.
func NewNet(p *pid1.Program) {
	p.Call("unshare network namespace", unix.SYS_UNSHARE, pid1.Int(unix.CLONE_NEWNET))
}

// EnterNet appends to p what puts the init into a network namespace that is there (setns(2)).
func EnterNet(p *pid1.Program, netns pid1.Arg) {
	p.Call("enter network namespace", unix.SYS_SETNS, netns, pid1.Int(unix.CLONE_NEWNET))
}

// ShiftClocks appends to p what puts everything that the init starts later into a time namespace with these offsets
// (time_namespaces(7), Linux 5.6). /proc must be the init's own.
func ShiftClocks(p *pid1.Program, monotonic, boottime time.Duration) {
	p.Call("unshare time namespace", unix.SYS_UNSHARE, pid1.Int(unix.CLONE_NEWTIME))
	p.WriteFile("/proc/self/timens_offsets", Clocks{monotonic, boottime}.lines(), 0, 0)
}

// lines are the offsets as the kernel reads them.
func (c Clocks) lines() string {
	line := func(clock string, d time.Duration) string {
		sec := d.Nanoseconds() / 1e9
		nsec := d.Nanoseconds() % 1e9
		if nsec < 0 {
			sec, nsec = sec-1, nsec+1e9
		}
		return fmt.Sprintf("%s %d %d\n", clock, sec, nsec)
	}
	return line("monotonic", c.Monotonic) + line("boottime", c.Boottime)
}

// Renumber appends to p what makes the one id that the caller has look like uid and gid, in a nested user namespace
// with that map alone: programs that refuse to run as root do not see that they do.
func Renumber(p *pid1.Program, uid, gid int) {
	p.Call("unshare user namespace", unix.SYS_UNSHARE, pid1.Int(unix.CLONE_NEWUSER))
	p.WriteFile("/proc/self/setgroups", "deny", 0, 0)
	p.WriteFile("/proc/self/uid_map", fmt.Sprintf("%d 0 1\n", uid), 0, 0)
	p.WriteFile("/proc/self/gid_map", fmt.Sprintf("%d 0 1\n", gid), 0, 0)
}
