package probe

import (
	"slices"
	"strings"
)

// mount is a line of mountinfo (proc_pid_mountinfo(5)).
type mount struct {
	id, parent   string
	root         string // of the mount within its filesystem
	point        string
	options      []string // of the mount
	fstype       string
	superOptions []string
}

func (m *machine) mounts() []mount {
	var mounts []mount
	for line := range strings.Lines(m.text("/proc/self/mountinfo")) {
		fields := strings.Fields(line)
		dash := slices.Index(fields, "-")
		if dash < 6 || len(fields) < dash+4 {
			continue
		}
		mounts = append(mounts, mount{
			id: fields[0], parent: fields[1], root: unescape.Replace(fields[3]), point: unescape.Replace(fields[4]),
			options: strings.Split(fields[5], ","), fstype: fields[dash+1], superOptions: strings.Split(fields[dash+3], ","),
		})
	}
	return mounts
}

// unescape undoes what the kernel does to blanks in mountinfo.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// emptyDirectories are made by the kernel to be mounted over and stay empty, so that a mount there hides nothing
// (sysfs_create_mount_point, register_sysctl_mount_point, proc_create_mount_point).
var emptyDirectories = map[string][]string{
	"proc": {"/sys/fs/binfmt_misc", "/fs/nfsd", "/openprom"},
	"sysfs": {
		"/fs/cgroup", "/fs/bpf", "/fs/pstore", "/fs/fuse/connections", "/fs/selinux", "/fs/smackfs", "/fs/resctrl",
		"/fs/xenfs", "/kernel/debug", "/kernel/tracing", "/kernel/security", "/kernel/config", "/firmware/efi/efivars",
	},
}

// masked finds what keeps the kernel from letting a user namespace mount a filesystem of that type afresh
// (mnt_already_visible in fs/namespace.c): some mount of it must be visible whole, with nothing mounted over its content. It
// returns the mount points that are in the way, none when one mount is whole; visible is false when there is none at all.
func (m *machine) masked(fstype string) (over []string, readOnly, visible bool) {
	mounts := m.mounts()
	for _, whole := range mounts {
		if whole.fstype != fstype || whole.root != "/" {
			continue
		}
		var found []string
		for _, child := range mounts {
			if child.parent != whole.id || child.id == whole.id {
				continue
			}
			inside := "/" + strings.TrimPrefix(strings.TrimPrefix(child.point, whole.point), "/")
			if !slices.Contains(emptyDirectories[fstype], inside) {
				found = append(found, child.point)
			}
		}
		ro := slices.Contains(whole.options, "ro")
		if len(found) == 0 && !ro {
			return nil, false, true
		}
		if !visible || len(found) < len(over) {
			over, readOnly = found, ro
		}
		visible = true
	}
	return over, readOnly, visible
}

// rooted says whether the process's root directory is the root of its mount namespace, false in a chroot(2).
func (m *machine) rooted() bool {
	mounts := m.mounts()
	return len(mounts) == 0 || slices.ContainsFunc(mounts, func(at mount) bool { return at.point == "/" })
}
