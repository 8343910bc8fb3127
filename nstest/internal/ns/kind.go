// Package ns is the only place that creates or joins namespaces (clone(2), unshare(2), setns(2)). It starts the first
// process of a set of new namespaces, makes network namespaces that no process lives in, and lends a thread to code
// that has to run inside existing ones.
package ns

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Kinds is a set of namespace kinds (namespaces(7)). The zero value is the empty set.
type Kinds uintptr

// The eight kinds.
const (
	User   Kinds = unix.CLONE_NEWUSER
	PID    Kinds = unix.CLONE_NEWPID
	Net    Kinds = unix.CLONE_NEWNET
	Mount  Kinds = unix.CLONE_NEWNS
	IPC    Kinds = unix.CLONE_NEWIPC
	UTS    Kinds = unix.CLONE_NEWUTS
	Cgroup Kinds = unix.CLONE_NEWCGROUP
	Time   Kinds = unix.CLONE_NEWTIME // Linux 5.6; clone(2) ignores it: unshare and fork
)

// All is every kind that clone(2) can make: all but Time.
const All = User | PID | Net | Mount | IPC | UTS | Cgroup

var kindNames = []struct {
	kind Kinds
	name string
}{{User, "user"}, {PID, "pid"}, {Net, "net"}, {Mount, "mnt"}, {IPC, "ipc"}, {UTS, "uts"}, {Cgroup, "cgroup"}, {Time, "time"}}

// ParseKind is the kind with the name that /proc/PID/ns gives it.
func ParseKind(name string) (Kinds, error) {
	for _, k := range kindNames {
		if k.name == name {
			return k.kind, nil
		}
	}
	return 0, fmt.Errorf("unknown namespace kind %q: use one of user, pid, net, mnt, ipc, uts, cgroup, time", name)
}

// Has reports whether every kind of other is in k.
func (k Kinds) Has(other Kinds) bool { return k&other == other }

// String lists the names, separated by commas.
func (k Kinds) String() string {
	var names []string
	for _, n := range kindNames {
		if k&n.kind != 0 {
			names = append(names, n.name)
		}
	}
	return strings.Join(names, ",")
}

// OfProcess is the inode of each namespace of a process, by kind name: equal numbers are the same namespace.
// dir is the process's directory below /proc.
func OfProcess(dir string) (map[string]string, error) {
	inodes := map[string]string{}
	for _, n := range kindNames {
		link, err := os.Readlink(dir + "/ns/" + n.name)
		if os.IsNotExist(err) {
			continue // a kind that this kernel does not have
		}
		if err != nil {
			return nil, fmt.Errorf("read namespaces of %s: %w", dir, err)
		}
		inodes[n.name] = link
	}
	return inodes, nil
}
