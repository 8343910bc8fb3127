package probe

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Mode is by which rights environments are made.
type Mode string

// The modes.
const (
	Root     Mode = "root"     // with capabilities over the whole machine
	Nested   Mode = "nested"   // with capabilities over a user namespace, as in an environment
	Rootless Mode = "rootless" // with none: a user namespace comes first
)

func (m Mode) describe() string {
	switch m {
	case Root:
		return "with root's capabilities"
	case Nested:
		return "with capabilities in a user namespace (nested)"
	default:
		return "as an ordinary user (rootless)"
	}
}

// neededCapabilities are those without which an environment is made as by an ordinary user.
var neededCapabilities = []int{
	unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN, unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_DAC_OVERRIDE, unix.CAP_SYS_PTRACE,
}

// mode is decided by the id map and the capabilities: uid 0 says nothing in a container.
func (m *machine) mode() Mode {
	all := true
	for _, bit := range neededCapabilities {
		all = all && m.capable(bit)
	}
	switch {
	case !all:
		return Rootless
	case m.initialUserNS():
		return Root
	default:
		return Nested
	}
}

// initialUserNS says whether every id is itself, as in the first user namespace.
func (m *machine) initialUserNS() bool {
	fields := strings.Fields(m.text("/proc/self/uid_map"))
	return len(fields) == 3 && fields[0] == "0" && fields[1] == "0" && fields[2] == "4294967295"
}

func (m *machine) capable(bit int) bool {
	set, err := strconv.ParseUint(m.status("CapEff"), 16, 64)
	return err == nil && set&(1<<bit) != 0
}

// status is a field of /proc/self/status, "" when it is not there.
func (m *machine) status(field string) string {
	for line := range strings.Lines(m.text("/proc/self/status")) {
		if name, value, ok := strings.Cut(line, ":"); ok && name == field {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
