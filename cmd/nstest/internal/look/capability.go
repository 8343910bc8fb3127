package look

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// capabilities are the names of capabilities(7) in the order of their numbers.
var capabilities = strings.Fields(`CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP
	LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT
	SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE
	AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE`)

// A CapSet is a set of capabilities, a bit each.
type CapSet uint64

// ParseCaps is the set with these names, with or without CAP_, in any case; ALL is every one.
func ParseCaps(list []string) CapSet {
	var set CapSet
	for _, name := range list {
		short := strings.TrimPrefix(strings.ToUpper(name), "CAP_")
		if short == "ALL" {
			return ^CapSet(0)
		}
		if i := slices.Index(capabilities, short); i >= 0 {
			set |= 1 << i
		}
	}
	return set
}

// String lists the names of a small set, and what a large one lacks.
func (c CapSet) String() string {
	all := CapSet(1)<<len(capabilities) - 1
	switch n := bits.OnesCount64(uint64(c & all)); {
	case n == 0:
		return "none"
	case c&all == all:
		return "all"
	case n > len(capabilities)/2:
		return "all but " + names(all&^c)
	default:
		return names(c)
	}
}

func names(c CapSet) string {
	var list []string
	for i, name := range capabilities {
		if c&(1<<i) != 0 {
			list = append(list, name)
		}
	}
	if extra := c >> len(capabilities); extra != 0 {
		list = append(list, fmt.Sprintf("%#x", uint64(extra)<<len(capabilities)))
	}
	return strings.Join(list, " ")
}
