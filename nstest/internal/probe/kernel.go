package probe

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/internal/ns"
)

const needed = "environments cannot be made as they are on later kernels"

var (
	clone3       = systemCall("clone3", "5.3", true, ns.TrialClone3)
	pidfd        = systemCall("pidfd_open", "5.3", true, tryPidfd)
	openTree     = systemCall("open_tree", "5.2", true, tryOpenTree)
	mountSetattr = systemCall("mount_setattr", "5.12", false, tryMountSetattr)
	ioURing      = &probe{name: "io_uring", title: "io_uring", look: lookIOUring}
	filter       = &probe{
		name: "seccomp-filter", title: "seccomp filters", look: lookSeccompFilter,
		cost: "AF_VSOCK and io_uring, which belong to no namespace, stay open in environments",
	}
	cgroup = &probe{
		name: "cgroup2", title: "cgroup v2", look: lookCgroup, cost: "no limits of memory, CPU time and processes for environments",
	}
	ptrace = &probe{
		name: "ptrace", title: "ptrace (Yama)", look: lookPtrace, cost: "debuggers and strace inside an environment need CAP_SYS_PTRACE",
	}
	corePattern = &probe{
		name: "core_pattern", title: "core dumps", look: lookCorePattern,
		cost: "no core file is left in the environment, and the handler sees paths and pids of the inside",
	}
	kernelProbes = []*probe{clone3, pidfd, openTree, mountSetattr, cgroup, filter, ioURing, ptrace, corePattern}
)

func systemCall(name, since string, required bool, try func() error) *probe {
	p := &probe{name: "syscall." + name, title: name, required: required, cost: needed}
	if !required {
		p.cost = "no idmapped mounts"
	}
	p.look = func(m *machine, _ Trials) (string, error) {
		err := try()
		switch {
		case err == nil:
			return "Linux " + since + " or later", nil
		case errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM):
			cause, remedy := m.systemCall(since)
			return "", &Absent{Feature: name, Cause: &explained{cause, fmt.Errorf("%s: %w", name, err)}, Remedy: remedy}
		}
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return p
}

// systemCall says why a system call is not there.
func (m *machine) systemCall(since string) (cause, remedy string) {
	var major, minor int
	if _, err := fmt.Sscanf(since, "%d.%d", &major, &minor); err == nil && m.atLeast(major, minor) && m.status("Seccomp") != "0" {
		return "a seccomp filter denies it" + m.inContainer(), m.containerRemedy(allowSeccomp)
	}
	return "it came with Linux " + since + ", and this is " + m.release, "Linux " + since + " or later"
}

func tryPidfd() error {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

func tryOpenTree() error {
	fd, err := unix.OpenTree(unix.AT_FDCWD, "/", unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// tryMountSetattr passes attributes that are too short, which is found out before anything else.
func tryMountSetattr() error {
	_, _, errno := unix.Syscall6(unix.SYS_MOUNT_SETATTR, ^uintptr(0), 0, 0, 0, 0, 0)
	if errno == 0 || errno == unix.EINVAL || errno == unix.EFAULT {
		return nil
	}
	return errno
}

// tryIOUring passes no parameters, so that nothing is made.
func tryIOUring() error {
	_, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, 0, 0)
	if errno == 0 || errno == unix.EFAULT || errno == unix.EINVAL {
		return nil
	}
	return errno
}

// lookIOUring never finds fault: environments are denied it by default.
func lookIOUring(m *machine, _ Trials) (string, error) {
	err := tryIOUring()
	switch {
	case err == nil:
		return "present; environments are denied it unless they ask for it", nil
	case errors.Is(err, unix.ENOSYS):
		return "not in the kernel, or hidden by a seccomp filter", nil
	case errors.Is(err, unix.EPERM):
		return "disabled (kernel.io_uring_disabled is " + m.text("/proc/sys/kernel/io_uring_disabled") + ")", nil
	}
	return "", fmt.Errorf("io_uring_setup: %w", err)
}

func lookSeccompFilter(m *machine, _ Trials) (string, error) {
	actions := m.text("/proc/sys/kernel/seccomp/actions_avail")
	switch {
	case slices.Contains(strings.Fields(actions), "errno"):
		return "actions: " + actions, nil
	case m.config("SECCOMP_FILTER") == "n", actions != "":
		return "", &Absent{
			Feature: "seccomp filters", Cause: errors.New("the kernel has no filters that return an errno"), Remedy: kernelRemedy("SECCOMP_FILTER"),
		}
	}
	return "", errors.New("there is no /proc/sys/kernel/seccomp/actions_avail")
}

// cgroupDir is the directory of the process's own cgroup (v2), "" when none is mounted.
func (m *machine) cgroupDir() string {
	point := ""
	for _, at := range m.mounts() {
		if at.fstype == "cgroup2" {
			point = at.point
			break
		}
	}
	if point == "" {
		return ""
	}
	own := ""
	for line := range strings.Lines(m.text("/proc/self/cgroup")) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			own = path
		}
	}
	return filepath.Join(point, own)
}

func lookCgroup(m *machine, _ Trials) (string, error) {
	absent := func(cause error, remedy string) (string, error) {
		return "", &Absent{Feature: "cgroup v2", Cause: cause, Remedy: remedy}
	}
	dir := m.cgroupDir()
	if dir == "" {
		return absent(errors.New("no cgroup2 filesystem is mounted"), m.cgroupRemedy())
	}
	controllers := strings.Fields(m.text(dir + "/cgroup.controllers"))
	for _, name := range []string{"memory", "pids"} {
		if !slices.Contains(controllers, name) {
			return absent(fmt.Errorf("there is no controller %s in %s (a hybrid of v1 and v2 keeps it in v1)", name, dir), m.cgroupRemedy())
		}
	}
	for _, file := range []string{"", "/cgroup.procs", "/cgroup.subtree_control"} {
		// access(2) asks for the real uid; both are the caller's here.
		if err := unix.Access(m.path(dir+file), unix.W_OK); err != nil {
			remedy := "systemd-run --user --scope -p Delegate=yes go test ./..."
			if m.container() != "" {
				remedy = "mount a writable cgroup2 in the container (docker run --cgroupns private --privileged …, podman run --cgroups split …)"
			}
			return absent(fmt.Errorf("%s is not delegated to uid %d: %w", dir+file, m.uid, err), remedy)
		}
	}
	return dir + " with " + strings.Join(controllers, " "), nil
}

func (m *machine) cgroupRemedy() string {
	if m.exists("/run/systemd/system") {
		return "boot with systemd.unified_cgroup_hierarchy=1 on the kernel's command line"
	}
	return "mount cgroup v2 alone at /sys/fs/cgroup"
}

func lookPtrace(m *machine, _ Trials) (string, error) {
	scope, ok := m.number("/proc/sys/kernel/yama/ptrace_scope")
	switch {
	case !ok:
		return "no Yama: not restricted", nil
	case scope <= 1:
		return fmt.Sprintf("kernel.yama.ptrace_scope is %d: a debugger can trace what it started", scope), nil
	case scope == 3:
		return "", &Absent{
			Feature: "ptrace", Cause: restricted{"kernel.yama.ptrace_scope is 3: nobody can trace, until the next boot"},
			Remedy: "echo 'kernel.yama.ptrace_scope = 1' | sudo tee /etc/sysctl.d/60-nstest.conf && sudo reboot",
		}
	}
	return "", &Absent{
		Feature: "ptrace", Cause: restricted{fmt.Sprintf("kernel.yama.ptrace_scope is %d", scope)}, Remedy: sysctl("kernel.yama.ptrace_scope", 1),
	}
}

func lookCorePattern(m *machine, _ Trials) (string, error) {
	pattern := m.text("/proc/sys/kernel/core_pattern")
	if handler, ok := strings.CutPrefix(pattern, "|"); ok {
		program := ""
		if fields := strings.Fields(handler); len(fields) > 0 {
			program = fields[0]
		}
		return "", &Absent{
			Feature: "core files in environments", Remedy: "sudo sysctl -w kernel.core_pattern=core",
			Cause: restricted{"kernel.core_pattern is one for the whole machine and gives every core to " + program},
		}
	}
	return fmt.Sprintf("written as %q where the process runs", pattern), nil
}
