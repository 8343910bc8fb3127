package probe

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/internal/ns"
)

// kind is a kind of namespace.
type kind struct {
	name   string // below /proc/self/ns
	flag   uintptr
	option string // of the kernel's configuration
	limit  string // below /proc/sys/user
	since  string
}

var kinds = []kind{
	{"user", unix.CLONE_NEWUSER, "USER_NS", "max_user_namespaces", "3.8"},
	{"mnt", unix.CLONE_NEWNS, "NAMESPACES", "max_mnt_namespaces", "2.4.19"},
	{"pid", unix.CLONE_NEWPID, "PID_NS", "max_pid_namespaces", "2.6.24"},
	{"net", unix.CLONE_NEWNET, "NET_NS", "max_net_namespaces", "2.6.29"},
	{"ipc", unix.CLONE_NEWIPC, "IPC_NS", "max_ipc_namespaces", "2.6.19"},
	{"uts", unix.CLONE_NEWUTS, "UTS_NS", "max_uts_namespaces", "2.6.19"},
	{"cgroup", unix.CLONE_NEWCGROUP, "CGROUPS", "max_cgroup_namespaces", "4.6"},
	{"time", unix.CLONE_NEWTIME, "TIME_NS", "max_time_namespaces", "5.6"},
}

func kindOf(name string) kind {
	return kinds[slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })]
}

var (
	userNamespace = &probe{
		name: "ns.user", title: "user namespace", required: true,
		cost: "no environment: its uids would be the machine's", look: lookUserNamespace,
	}
	mountNamespace  = namespaceProbe("mnt", "mount namespace", true, "no private file tree")
	pidNamespace    = namespaceProbe("pid", "PID namespace", true, "processes of a test would outlive it")
	netNamespace    = namespaceProbe("net", "network namespace", true, "no hosts and no networks")
	ipcNamespace    = namespaceProbe("ipc", "IPC namespace", true, "message queues and semaphores would be the machine's")
	utsNamespace    = namespaceProbe("uts", "UTS namespace", true, "no hostname of its own")
	cgroupNamespace = namespaceProbe("cgroup", "cgroup namespace", true, "the machine's cgroup paths would show")
	timeNamespace   = &probe{
		name: "ns.time", title: "time namespace", cost: "Config's time offsets and --time-offset are refused",
		look: func(m *machine, t Trials) (string, error) {
			if !m.exists("/proc/self/ns/time") {
				return "", m.noKind("time")
			}
			return tried(t, "ns.time", "monotonic and boottime can be shifted"), m.judge("the time namespace", "time namespace", t.TimeNS())
		},
	}
	namespaceProbes = []*probe{
		userNamespace, mountNamespace, pidNamespace, netNamespace, ipcNamespace, utsNamespace, cgroupNamespace, timeNamespace,
	}
)

// HaveUserNamespace tells whether the caller can make a user namespace and write its maps (Linux 3.8).
func HaveUserNamespace() error { return userNamespace.have() }

// HaveMountNamespace and its siblings tell whether an environment can have one, with the capabilities that the caller
// has or, as an ordinary user, gets in a user namespace.
func HaveMountNamespace() error { return mountNamespace.have() }

// HavePIDNamespace is like HaveMountNamespace.
func HavePIDNamespace() error { return pidNamespace.have() }

// HaveNetNamespace is like HaveMountNamespace.
func HaveNetNamespace() error { return netNamespace.have() }

// HaveIPCNamespace is like HaveMountNamespace.
func HaveIPCNamespace() error { return ipcNamespace.have() }

// HaveUTSNamespace is like HaveMountNamespace.
func HaveUTSNamespace() error { return utsNamespace.have() }

// HaveCgroupNamespace is like HaveMountNamespace (Linux 4.6).
func HaveCgroupNamespace() error { return cgroupNamespace.have() }

// HaveTimeNamespace tells whether clocks can be shifted (Linux 5.6).
func HaveTimeNamespace() error { return timeNamespace.have() }

// firstID is the first id that an environment of root may be given, and idCount how many one has.
const (
	firstID = 524288
	idCount = 65536
)

// trialIDs are maps as an environment would have them, as far as the caller can write them without a setuid program.
func (m *machine) trialIDs() ns.TrialIDs {
	if m.mode() == Root {
		shifted := []syscall.SysProcIDMap{{HostID: firstID, Size: idCount}}
		return ns.TrialIDs{UIDs: shifted, GIDs: shifted, Setgroups: true}
	}
	return ns.TrialIDs{
		UIDs: []syscall.SysProcIDMap{{HostID: m.uid, Size: 1}},
		GIDs: []syscall.SysProcIDMap{{HostID: m.gid, Size: 1}},
	}
}

func lookUserNamespace(m *machine, _ Trials) (string, error) {
	if !m.exists("/proc/self/ns/user") {
		return "", m.noKind("user")
	}
	ids := m.trialIDs()
	if err := ns.Trial(0, ids); err != nil {
		op, _, _ := strings.Cut(err.Error(), ":")
		return "", m.judge("the user namespace", op, err)
	}
	first := ids.UIDs[0]
	if first.Size == 1 {
		return fmt.Sprintf("made one in which uid %d is 0", first.HostID), nil
	}
	return fmt.Sprintf("made one in which uids from %d on are 0 to %d", first.HostID, first.Size-1), nil
}

func namespaceProbe(name, title string, required bool, cost string) *probe {
	k := kindOf(name)
	return &probe{name: "ns." + name, title: title, required: required, cost: cost, look: func(m *machine, _ Trials) (string, error) {
		if !m.exists("/proc/self/ns/" + k.name) {
			return "", m.noKind(k.name)
		}
		if m.mode() == Rootless {
			err := ns.Trial(k.flag, m.trialIDs())
			if err != nil && !strings.HasPrefix(err.Error(), "unshare") {
				return "", &Absent{Feature: "the " + title, Cause: &explained{"it takes a user namespace", err}}
			}
			return "made one in a user namespace", m.judge("the "+title, k.name+" namespace", err)
		}
		return "made one", m.judge("the "+title, k.name+" namespace", ns.TrialThread(k.flag, nil))
	}}
}

// noKind says that the kernel has no such namespaces.
func (m *machine) noKind(name string) error {
	k := kindOf(name)
	cause := fmt.Errorf("there is no /proc/self/ns/%s: Linux %s has none", name, m.release)
	if m.text("/proc/self/status") == "" {
		cause = errors.New("/proc is not mounted")
		return fmt.Errorf("look for /proc/self/ns/%s: %w", name, cause)
	}
	return &Absent{Feature: "the " + name + " namespace", Cause: cause, Remedy: "Linux " + k.since + " or later with CONFIG_" + k.option + "=y"}
}
