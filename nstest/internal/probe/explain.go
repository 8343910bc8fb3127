package probe

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Explain says why the kernel refused op with err, and what to do about it: commands or settings, one a line, "" where
// there is nothing to be done. It looks at the machine as it is now. op is what was tried, in words: "clone user
// namespace", "unshare net namespace", "write uid_map", "mount proc", "mount sysfs", "mount overlay", "idmap mount",
// "add bridge", "add netem", "nftables", "open /dev/net/tun", or anything else. An err without an errno explains itself.
func Explain(err error, op string) (cause, remedy string) { return live().explain(err, op) }

// lookFurther is the remedy where no probe has an answer.
const lookFurther = "nstest doctor   # shows what this machine can do"

// explanation is a row of the table: the first one that matches the operation and has an answer is the one.
type explanation struct {
	words []string // op has one of them
	why   func(m *machine, errno syscall.Errno, op string) (cause, remedy string)
}

var explanations = []explanation{
	{[]string{"uid_map", "gid_map", "newuidmap", "newgidmap", "setgroups"}, (*machine).explainIDMap},
	{[]string{"user namespace"}, (*machine).explainUserNamespace},
	{[]string{"idmap", "mount_setattr", "open_tree"}, (*machine).explainIDMappedMount},
	{[]string{"proc", "sysfs", "/sys"}, (*machine).explainFresh},
	{[]string{"overlay"}, (*machine).explainOverlay},
	{[]string{"/dev/net/tun", "tuntap", " tap"}, (*machine).explainTun},
	{[]string{"nftables", "nft", "netem", "qdisc", "bridge", "veth", "add link"}, (*machine).explainNetwork},
	{[]string{"namespace", "unshare", "clone", "setns"}, (*machine).explainNamespace},
	{[]string{""}, (*machine).explainAny},
}

func (m *machine) explain(err error, op string) (cause, remedy string) {
	if err == nil {
		return "", ""
	}
	var absent *Absent
	if errors.As(err, &absent) {
		return absent.Cause.Error(), absent.Remedy
	}
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err.Error(), lookFurther
	}
	op = strings.ToLower(op)
	for _, row := range explanations {
		for _, word := range row.words {
			if !strings.Contains(op, word) {
				continue
			}
			if cause, remedy := row.why(m, errno, op); cause != "" {
				return cause, remedy
			}
			break
		}
	}
	return err.Error(), lookFurther
}

func (m *machine) explainUserNamespace(errno syscall.Errno, _ string) (cause, remedy string) {
	switch errno {
	case syscall.ENOSPC, syscall.EUSERS:
		limit, ok := m.number(maxUserNamespaces)
		switch {
		case ok && limit == 0:
			return "user.max_user_namespaces is 0", sysctl("user.max_user_namespaces", 65536)
		case ok && limit < 1024:
			return fmt.Sprintf("user.max_user_namespaces is %d, and that many are alive", limit), sysctl("user.max_user_namespaces", 65536)
		case m.initialUserNS():
			return fmt.Sprintf("a limit of user namespaces is reached (user.max_user_namespaces is %s)", m.text(maxUserNamespaces)),
				sysctl("user.max_user_namespaces", 2*max(limit, 65536))
		}
		return "the kernel nests user namespaces 32 levels deep, or an outer one has reached its user.max_user_namespaces", "nest fewer environments in each other"
	case syscall.EPERM, syscall.EACCES:
		return m.userNamespaceObstacle()
	case syscall.EINVAL, syscall.ENOSYS:
		if !m.exists("/proc/self/ns/user") {
			return "the kernel has no user namespaces", kernelRemedy("USER_NS")
		}
	}
	return "", ""
}

// userNamespaceObstacle goes through the settings that forbid user namespaces, the most certain one first.
func (m *machine) userNamespaceObstacle() (cause, remedy string) {
	for _, obstacle := range []struct {
		before string
		look   func(*machine, Trials) (string, error)
	}{
		{"kernel.unprivileged_userns_clone: ", lookDebianClone},
		{"", lookAppArmor},
		{"", lookChroot},
	} {
		var absent *Absent
		if _, err := obstacle.look(m, nil); errors.As(err, &absent) {
			return obstacle.before + absent.Cause.Error(), absent.Remedy
		}
	}
	return m.confined("user namespaces")
}

// confined blames what confines the process from outside, if anything does.
func (m *machine) confined(what string) (cause, remedy string) {
	if mode := m.status("Seccomp"); mode != "" && mode != "0" {
		return "a seccomp filter is in force" + m.inContainer() + " and denies " + what, m.containerRemedy(allowSeccomp)
	}
	if profile := m.apparmor(); profile != "" && profile != "unconfined" {
		return "the AppArmor profile " + profile + " denies " + what + m.inContainer(), m.containerRemedy(allowAppArmor)
	}
	return "", ""
}

func (m *machine) explainIDMap(errno syscall.Errno, op string) (cause, remedy string) {
	switch errno {
	case syscall.EPERM, syscall.EACCES:
		if cause, remedy := m.onlyAppArmor(); cause != "" {
			return cause, remedy
		}
		if m.mode() == Rootless {
			for _, look := range []func(*machine, Trials) (string, error){lookIDHelpers, lookIDRanges} {
				var absent *Absent
				if _, err := look(m, nil); errors.As(err, &absent) {
					return absent.Cause.Error() + ": without it an ordinary user may map one id only, the own", absent.Remedy
				}
			}
		}
		return "the ids outside are not all the caller's: as root they need CAP_SETUID and CAP_SETGID, nested they must be mapped here",
			lookFurther
	case syscall.EINVAL:
		return "the lines of the map overlap, are empty, more than 340, or name ids that the outer user namespace has not", lookFurther
	}
	return "", ""
}

// onlyAppArmor blames Ubuntu's restriction: it lets the namespace be made and takes the capabilities in it away.
func (m *machine) onlyAppArmor() (cause, remedy string) {
	var absent *Absent
	if _, err := lookAppArmor(m, nil); errors.As(err, &absent) {
		return absent.Cause.Error(), absent.Remedy
	}
	return "", ""
}

func (m *machine) explainNamespace(errno syscall.Errno, op string) (cause, remedy string) {
	var wanted []kind
	for _, k := range kinds {
		if strings.Contains(op, k.name+" ") || strings.Contains(op, k.name+",") { // one, or "user,pid,net namespaces"
			wanted = append(wanted, k)
		}
	}
	if len(wanted) == 0 {
		wanted = kinds
	}
	switch errno {
	case syscall.EPERM, syscall.EACCES:
		if cause, remedy := m.onlyAppArmor(); cause != "" {
			return cause, remedy
		}
		if cause, remedy := m.confined(op); cause != "" {
			return cause, remedy
		}
		if !m.capable(unix.CAP_SYS_ADMIN) {
			return "it needs CAP_SYS_ADMIN, which this process has not" + m.inContainer(), "make a user namespace first, or run as root"
		}
	case syscall.ENOSPC, syscall.EUSERS:
		for _, k := range wanted {
			if limit, ok := m.number("/proc/sys/user/" + k.limit); ok && (limit < 1024 || len(wanted) == 1) {
				return fmt.Sprintf("user.%s is %d", k.limit, limit), sysctl("user."+k.limit, max(65536, 2*limit))
			}
		}
		if strings.Contains(op, "user,") {
			return m.explainUserNamespace(errno, op)
		}
		if strings.Contains(op, "pid") {
			return "the kernel nests PID namespaces 32 levels deep", "nest fewer environments in each other"
		}
	case syscall.EINVAL, syscall.ENOSYS:
		for _, k := range wanted {
			if !m.exists("/proc/self/ns/" + k.name) {
				return "the kernel has no " + k.name + " namespaces", "Linux " + k.since + " or later with CONFIG_" + k.option + "=y"
			}
		}
	}
	return "", ""
}

func (m *machine) explainFresh(errno syscall.Errno, op string) (cause, remedy string) {
	fstype, at := "proc", "/proc"
	if strings.Contains(op, "sys") {
		fstype, at = "sysfs", "/sys"
	}
	switch {
	case !strings.Contains(op, "mount"):
		return "", ""
	case errno == syscall.ENODEV:
		return "the kernel has no " + fstype, kernelRemedy(strings.ToUpper(strings.TrimSuffix(fstype, "fs")) + "_FS")
	case errno != syscall.EPERM && errno != syscall.EACCES:
		return "", ""
	}
	if over, _, visible := m.masked(fstype); len(over) > 0 {
		return m.maskedCause(at, over)
	} else if !visible {
		return "no whole " + fstype + " is visible in this mount namespace, and then the kernel lets no user namespace mount one",
			"mount -t " + fstype + " " + fstype + " " + at
	}
	if cause, remedy := m.onlyAppArmor(); cause != "" {
		return cause, remedy
	}
	if cause, remedy := m.confined("mounts"); cause != "" {
		return cause, remedy
	}
	if fstype == "sysfs" {
		return "the network namespace is not the environment's own, and sysfs shows its links", "give the environment its own network (run without --host-net)"
	}
	return "the PID namespace is not the environment's own", "give the environment its own PID namespace"
}

func (m *machine) explainOverlay(errno syscall.Errno, _ string) (cause, remedy string) {
	switch errno {
	case syscall.ENODEV:
		return "the kernel has no overlayfs", "sudo modprobe overlay"
	case syscall.EPERM, syscall.EACCES:
		if !m.atLeast(5, 11) && m.mode() != Root {
			return "Linux " + m.release + " mounts an overlay for root only", "Linux 5.11 or later, or run as root"
		}
		if cause, remedy := m.onlyAppArmor(); cause != "" {
			return cause, remedy
		}
		return m.confined("mounts")
	case syscall.EINVAL:
		if m.mode() != Root && !m.atLeast(5, 11) {
			return "Linux " + m.release + " does not know the option userxattr", "Linux 5.11 or later, or run as root"
		}
		return "the upper directory's filesystem cannot carry one (overlay on overlay, NFS, or without extended attributes), or a lower " +
			"directory has mounts below it that are locked together (user_namespaces)", "point TMPDIR to a local file system (ext4, xfs, btrfs or tmpfs)"
	case syscall.ENOSPC:
		return "the filesystem of the upper layer is full", "df -h /tmp /dev/shm"
	}
	return "", ""
}

func (m *machine) explainIDMappedMount(errno syscall.Errno, op string) (cause, remedy string) {
	switch errno {
	case syscall.ENOSYS:
		since := "5.12"
		if strings.Contains(op, "open_tree") {
			since = "5.2"
		}
		return m.systemCall(since)
	case syscall.EPERM:
		if m.mode() != Root {
			return "the kernel lets only root idmap a filesystem of the machine", "run as root"
		}
		return m.confined("mount_setattr")
	case syscall.EINVAL:
		return "the filesystem (" + m.rootType() + " is the root's) cannot be idmapped on Linux " + m.release,
			"keep the root on ext4, xfs or btrfs (Linux 5.15), tmpfs (6.3) or overlay over these, or do without"
	}
	return "", ""
}

func (m *machine) explainTun(errno syscall.Errno, op string) (cause, remedy string) {
	switch errno {
	case syscall.EACCES:
		return "/dev/net/tun is not writable for uid " + fmt.Sprint(m.uid), "sudo chmod 0666 /dev/net/tun"
	case syscall.EPERM:
		return "the container's device cgroup or the missing CAP_NET_ADMIN forbids it" + m.inContainer(), m.containerRemedy(allowTun)
	case syscall.ENOENT, syscall.ENODEV, syscall.ENXIO:
		if m.container() != "" {
			return "there is no /dev/net/tun" + m.inContainer(), m.containerRemedy(allowTun)
		}
		if m.config("TUN") == "n" {
			return "CONFIG_TUN is not set in the kernel", kernelRemedy("TUN")
		}
		return "the module tun is not loaded", "sudo modprobe tun"
	}
	return "", ""
}

func (m *machine) explainNetwork(errno syscall.Errno, op string) (cause, remedy string) {
	parts := []struct{ word, option, module string }{
		{"bridge family", "NF_TABLES_BRIDGE", "nf_tables"}, {"nft", "NF_TABLES", "nf_tables"}, {"netem", "NET_SCH_NETEM", "sch_netem"}, {"veth", "VETH", "veth"}, {"bridge", "BRIDGE", "bridge"},
	}
	switch errno {
	case syscall.EPERM, syscall.EACCES:
		if cause, remedy := m.onlyAppArmor(); cause != "" {
			return cause, remedy
		}
		return "it needs CAP_NET_ADMIN in the user namespace that owns the network namespace", "use a network namespace of the environment's own"
	case syscall.EOPNOTSUPP, syscall.ENOENT, syscall.EPROTONOSUPPORT, syscall.EAFNOSUPPORT, syscall.ENOPROTOOPT, syscall.EINVAL, syscall.ENODEV, syscall.ENOSYS,
		syscall.ENOPKG:
		for _, part := range parts {
			if !strings.Contains(op, part.word) {
				continue
			}
			if m.config(part.option) == "n" {
				return "CONFIG_" + part.option + " is not set in the kernel", kernelRemedy(part.option)
			}
			if _, ok := m.module(part.module); !ok && m.moduleDir() != "" && m.config(part.option) != "y" {
				return "there is no module " + part.module + " in " + m.moduleDir(), m.moduleRemedy()
			}
			if errno != syscall.EINVAL && m.config(part.option) != "y" {
				return "the module " + part.module + " is not loaded", "sudo modprobe " + part.module
			}
		}
	}
	return "", ""
}

// explainAny knows what an errno means whatever was tried.
func (m *machine) explainAny(errno syscall.Errno, op string) (cause, remedy string) {
	switch errno {
	case syscall.EMFILE:
		if strings.Contains(op, "inotify") {
			return "fs.inotify.max_user_instances is " + m.text("/proc/sys/fs/inotify/max_user_instances"), sysctl("fs.inotify.max_user_instances", 8192)
		}
		return "the process has as many open files as RLIMIT_NOFILE permits", "ulimit -n 65536   # beyond the hard limit: /etc/security/limits.conf"
	case syscall.ENFILE:
		return "the machine has as many open files as fs.file-max permits", sysctl("fs.file-max", 9223372036854775807)
	case syscall.EAGAIN:
		return "a limit of processes is reached: RLIMIT_NPROC, kernel.pid_max (" + m.text("/proc/sys/kernel/pid_max") + ") or the cgroup's pids.max",
			"ulimit -u unlimited; " + sysctl("kernel.pid_max", 4194304)
	case syscall.ENOMEM:
		return "the kernel has no memory for it", "run fewer specs at once (go test -p 1)"
	case syscall.EDQUOT:
		return "kernel.keys.maxkeys is " + m.text("/proc/sys/kernel/keys/maxkeys"), sysctl("kernel.keys.maxkeys", 2000)
	case syscall.ENOSPC:
		if strings.Contains(op, "inotify") {
			return "fs.inotify.max_user_watches is " + m.text("/proc/sys/fs/inotify/max_user_watches"), sysctl("fs.inotify.max_user_watches", 1048576)
		}
		return "no space is left, or a limit below /proc/sys/user is reached", "df -h /tmp /dev/shm; grep . /proc/sys/user/*"
	case syscall.EROFS:
		return "the filesystem is mounted read-only" + m.inContainer(), m.containerRemedy(allowProc)
	case syscall.ENOSYS, syscall.EPERM, syscall.EACCES:
		if cause, remedy := m.confined(op); cause != "" {
			return cause, remedy
		}
		if errno == syscall.ENOSYS {
			return "Linux " + m.release + " has no such system call", "a later kernel"
		}
	}
	return "", ""
}
