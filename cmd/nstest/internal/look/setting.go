package look

import (
	"slices"
	"strings"
)

// settings are the files below /proc/sys that belong to one namespace, by its kind.
var settings = map[string][]string{
	"uts": {"kernel/domainname", "kernel/hostname"},
	"ipc": {
		"kernel/auto_msgmni", "kernel/msg_next_id", "kernel/msgmax", "kernel/msgmnb", "kernel/msgmni", "kernel/sem",
		"kernel/sem_next_id", "kernel/shm_next_id", "kernel/shm_rmid_forced", "kernel/shmall", "kernel/shmmax", "kernel/shmmni",
	},
	"pid": {"kernel/ns_last_pid", "kernel/pid_max" /* Linux 6.14 */, "vm/memfd_noexec" /* 6.3 */},
}

// SettingOf is the kind of namespace that a file below /proc/sys or /sys belongs to; "" is none, which is to say that
// it is the machine's.
func SettingOf(path string) string {
	name, ok := strings.CutPrefix(path, "/proc/sys/")
	if !ok {
		// A fresh /sys shows the network devices of one namespace alone, each where its bus has put it.
		if strings.HasPrefix(path, "/sys/devices/") && strings.Contains(path, "/net/") {
			return "net"
		}
		return ""
	}
	switch {
	case strings.HasPrefix(name, "net/"):
		return "net"
	case strings.HasPrefix(name, "user/"):
		return "user"
	case strings.HasPrefix(name, "fs/mqueue/"):
		return "ipc"
	}
	for kind, names := range settings {
		if slices.Contains(names, name) {
			return kind
		}
	}
	return ""
}
