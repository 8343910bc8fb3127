package probe

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// The settings that stand between an ordinary user and a user namespace. Each is a finding of its own, and explain puts
// them together after a failure.
const (
	maxUserNamespaces = "/proc/sys/user/max_user_namespaces"
	debianClone       = "/proc/sys/kernel/unprivileged_userns_clone"
	apparmorRestrict  = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
)

const noUserNamespace = "an ordinary user cannot make a user namespace, and so no environment"

var obstacleProbes = []*probe{
	{name: "userns.limit", title: "user.max_user_namespaces", cost: "no environment for anybody", look: lookUserNamespaceLimit},
	{name: "userns.debian", title: "kernel.unprivileged_userns_clone", cost: noUserNamespace, look: lookDebianClone},
	{name: "userns.apparmor", title: "AppArmor and user namespaces", cost: noUserNamespace, look: lookAppArmor},
	{name: "userns.chroot", title: "not in a chroot", cost: noUserNamespace, look: lookChroot},
	{name: "seccomp", title: "seccomp filter in force", cost: noUserNamespace, look: lookSeccomp},
}

func lookUserNamespaceLimit(m *machine, _ Trials) (string, error) {
	limit, ok := m.number(maxUserNamespaces)
	switch {
	case !ok:
		return "there is no such limit", nil
	case limit == 0:
		return "", &Absent{Feature: "user namespaces", Cause: restricted{"it is 0"}, Remedy: sysctl("user.max_user_namespaces", 65536)}
	}
	return fmt.Sprint(limit), nil
}

func lookDebianClone(m *machine, _ Trials) (string, error) {
	value, ok := m.number(debianClone)
	switch {
	case !ok:
		return "there is no such setting", nil
	case value != 0:
		return fmt.Sprint(value), nil
	case m.mode() != Rootless:
		return "0, which does not concern root", nil
	}
	return "", &Absent{Feature: "user namespaces", Cause: restricted{"it is 0"}, Remedy: sysctl("kernel.unprivileged_userns_clone", 1)}
}

func lookAppArmor(m *machine, _ Trials) (string, error) {
	value, ok := m.number(apparmorRestrict)
	profile := m.apparmor()
	switch {
	case !ok:
		return "there is no such restriction", nil
	case value == 0:
		return "kernel.apparmor_restrict_unprivileged_userns is 0", nil
	case m.mode() != Rootless:
		return "restricted, which does not concern root", nil
	case profile != "" && profile != "unconfined":
		return "restricted, and this program has the profile " + profile, nil
	}
	return "", &Absent{
		Feature: "user namespaces", Remedy: m.apparmorRemedy(),
		Cause: restricted{fmt.Sprintf("kernel.apparmor_restrict_unprivileged_userns is %d, and this program has no profile that allows them", value)},
	}
}

func lookChroot(m *machine, _ Trials) (string, error) {
	if m.rooted() {
		return "the root directory is that of the mount namespace", nil
	}
	return "", &Absent{
		Feature: "user namespaces", Cause: restricted{"the root directory is that of a chroot(2), where the kernel refuses them"},
		Remedy: "enter the tree with pivot_root(2), as unshare --root, bwrap or systemd-nspawn do, instead of chroot",
	}
}

func lookSeccomp(m *machine, _ Trials) (string, error) {
	mode := m.status("Seccomp")
	switch {
	case mode == "":
		return "", errors.New("there is no Seccomp field in /proc/self/status")
	case mode == "0":
		return "none", nil
	}
	if err := userNamespace.seen(m); err == nil {
		return "there is one, and it lets user namespaces be made", nil
	}
	return "", &Absent{
		Feature: "user namespaces", Cause: restricted{"there is one, and user namespaces are refused" + m.inContainer()},
		Remedy: m.containerRemedy(allowSeccomp),
	}
}

// seen is the answer for this machine, without a new trial where there has been one.
func (p *probe) seen(m *machine) error {
	if m == live() {
		return p.have()
	}
	_, err := p.look(m, m.trials())
	return err
}

// apparmor is the profile that confines the process, "" without AppArmor.
func (m *machine) apparmor() string {
	for _, path := range []string{"/proc/self/attr/apparmor/current", "/proc/self/attr/current"} {
		if profile := m.text(path); profile != "" && m.exists("/sys/module/apparmor") {
			return strings.Trim(profile, "\x00")
		}
	}
	return ""
}

// sysctl is the command that sets a kernel setting now, and for good.
func sysctl(name string, value int64) string {
	return fmt.Sprintf("sudo sysctl -w %s=%d\n", name, value) +
		fmt.Sprintf("echo '%s = %d' | sudo tee -a /etc/sysctl.d/60-nstest.conf   # also after a reboot", name, value)
}

// apparmorRemedy is what Ubuntu since 23.10 asks for: the restriction off for all, or a profile for some programs.
func (m *machine) apparmorRemedy() string {
	programs := "tmp/go-build*/**.test,tmp/go-build*/**/exe/*"
	if own, err := os.Executable(); err == nil && !strings.HasPrefix(own, "/tmp/") {
		programs = strings.TrimPrefix(own, "/") + "," + programs
	}
	return sysctl("kernel.apparmor_restrict_unprivileged_userns", 0) + "\n" +
		"# or, for these programs alone:\n" +
		"printf 'abi <abi/4.0>,\\nprofile nstest /{" + programs + "} flags=(unconfined) {\\n  userns,\\n}\\n' | sudo tee /etc/apparmor.d/nstest\n" +
		"sudo apparmor_parser -r /etc/apparmor.d/nstest"
}

// inContainer is " in a container (docker)", or nothing.
func (m *machine) inContainer() string {
	if name := m.container(); name != "" {
		return " in a container (" + name + ")"
	}
	return ""
}

// allowance is something that a container's runtime can permit.
type allowance int

const (
	allowSeccomp allowance = iota
	allowAppArmor
	allowProc
	allowTun
)

// containerRemedy is how the runtime of this container permits it.
func (m *machine) containerRemedy(allow allowance) string {
	flags := map[string][]string{
		"docker": {
			"docker run --security-opt seccomp=unconfined …", "docker run --security-opt apparmor=unconfined …",
			"docker run --security-opt systempaths=unconfined …", "docker run --device /dev/net/tun …",
		},
		"podman": {
			"podman run --security-opt seccomp=unconfined …", "podman run --security-opt apparmor=unconfined …",
			"podman run --security-opt unmask=ALL …", "podman run --device /dev/net/tun …",
		},
		"kubernetes": {
			"in the container: securityContext: {seccompProfile: {type: Unconfined}}",
			"in the container: securityContext: {appArmorProfile: {type: Unconfined}}",
			"in the pod: hostUsers: false, and in its container: securityContext: {procMount: Unmasked}",
			"a device plugin that gives the container /dev/net/tun",
		},
	}
	if list, ok := flags[m.container()]; ok {
		return list[allow]
	}
	general := [...]string{
		"run where no seccomp filter denies clone, unshare, mount and setns (docker run --security-opt seccomp=unconfined …)",
		"run without that AppArmor profile (docker run --security-opt apparmor=unconfined …)",
		"run where nothing is mounted over parts of /proc and /sys (docker run --security-opt systempaths=unconfined …)",
		"sudo modprobe tun",
	}
	return general[allow]
}
