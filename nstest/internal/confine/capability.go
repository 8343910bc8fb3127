package confine

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/hermetic-go/nstest/nstest/internal/pid1"
	"golang.org/x/sys/unix"
)

// names are the capabilities in the order of their numbers (capabilities(7)).
var names = []string{"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
	"LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE",
	"SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME",
	"SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG",
	"WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE"}

// Drops are the numbers of the capabilities that are left out when drop is taken from the full set and add put back.
// Names are with or without CAP_, in any case; ALL stands for every one.
func Drops(drop, add []string) ([]int, error) {
	gone, err := numbers(drop)
	if err != nil {
		return nil, err
	}
	kept, err := numbers(add)
	if err != nil {
		return nil, err
	}
	last := lastCap()
	var out []int
	for c := range gone {
		if !kept[c] && c <= last {
			out = append(out, c)
		}
	}
	slices.Sort(out)
	return out, nil
}

func numbers(list []string) (map[int]bool, error) {
	set := map[int]bool{}
	for _, name := range list {
		short := strings.TrimPrefix(strings.ToUpper(name), "CAP_")
		if short == "ALL" {
			for c := range lastCap() + 1 {
				set[c] = true
			}
			continue
		}
		c := slices.Index(names, short)
		if c < 0 {
			return nil, fmt.Errorf("unknown capability %q: use a name of capabilities(7), such as NET_ADMIN, or ALL: %w", name, unix.EINVAL)
		}
		set[c] = true
	}
	return set, nil
}

var lastCap = sync.OnceValue(func() int {
	b, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err != nil {
		return len(names) - 1
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return len(names) - 1
	}
	return n
})

// Capabilities appends to p what takes the given capabilities from every program that is executed later, and leaves
// nothing inheritable or ambient. The init itself keeps its rights.
func Capabilities(p *pid1.Program, drops []int) {
	p.Try("clear ambient capabilities", unix.SYS_PRCTL, pid1.Int(unix.PR_CAP_AMBIENT), pid1.Int(unix.PR_CAP_AMBIENT_CLEAR_ALL), pid1.Int(0), pid1.Int(0), pid1.Int(0))
	full := uint64(1)<<(lastCap()+1) - 1
	head := binary.NativeEndian.AppendUint32(nil, unix.LINUX_CAPABILITY_VERSION_3)
	head = binary.NativeEndian.AppendUint32(head, 0)
	var data []byte
	for _, half := range []uint32{uint32(full), uint32(full >> 32)} {
		for _, set := range []uint32{half, half, 0} { // effective, permitted, inheritable
			data = binary.NativeEndian.AppendUint32(data, set)
		}
	}
	p.Try("clear inheritable capabilities", unix.SYS_CAPSET, p.Bytes(head), p.Bytes(data))
	for _, c := range drops {
		p.Call("drop "+names[min(c, len(names)-1)], unix.SYS_PRCTL, pid1.Int(unix.PR_CAPBSET_DROP), pid1.Int(c))
	}
}

// Keyring appends to p the joining of a new session keyring (keyrings(7)), which no namespace isolates. A kernel
// without keys has none to leak.
func Keyring(p *pid1.Program) {
	p.Try("join session keyring", unix.SYS_KEYCTL, pid1.Int(unix.KEYCTL_JOIN_SESSION_KEYRING), pid1.Int(0))
}
