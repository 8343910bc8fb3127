package report

import (
	"cmp"
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// A Machine is where a report was made, and who made it.
type Machine struct {
	Architecture string `json:"architecture"`
	Distribution string `json:"distribution"`
	UID          int    `json:"uid"`
	Privilege    string `json:"privilege"`
	Container    string `json:"container,omitempty"`
	Kernel       Kernel `json:"kernel"`
}

// ThisMachine is the one that the process runs on.
func ThisMachine() Machine {
	return Machine{
		Architecture: runtime.GOARCH, Distribution: cmp.Or(distribution(), "unknown"), UID: os.Geteuid(), Privilege: privilege(),
		Container: container(), Kernel: thisKernel(),
	}
}

// String is a line for people.
func (m Machine) String() string {
	where := ""
	if m.Container != "" {
		where = " in " + m.Container
	}
	return fmt.Sprintf("Linux %s %s, %s%s, %s (uid %d)", m.Kernel.Release, m.Architecture, m.Distribution, where, m.Privilege, m.UID)
}

// Initial namespaces of the machine, from linux/nsfs.h.
const (
	initialUser = "user:[4026531837]"
	initialPID  = "pid:[4026531836]"
)

func privilege() string {
	namespace, err := os.Readlink("/proc/self/ns/user")
	switch {
	case os.Geteuid() != 0:
		return "rootless"
	case err != nil:
		return "unknown"
	case namespace == initialUser:
		return "root"
	}
	return "nested"
}

// container is what the process runs in, "" for nothing that could be recognised. A machine may have been made from a
// container's image, with the files that mark one: its processes are in the first PID namespace.
func container() string {
	if namespace, err := os.Readlink("/proc/self/ns/pid"); err == nil && namespace == initialPID {
		return ""
	}
	init, _ := os.ReadFile("/proc/1/comm") // where there is no /proc the file says nothing
	switch string(init) {
	case "nstest-init\n":
		return "nstest"
	case "bwrap\n":
		return "bwrap"
	}
	for _, sign := range [][2]string{
		{"/var/run/secrets/kubernetes.io", "kubernetes"}, {"/run/.containerenv", "podman"}, {"/.dockerenv", "docker"},
	} {
		if _, err := os.Lstat(sign[0]); err == nil {
			return sign[1]
		}
	}
	name, _ := os.ReadFile("/run/systemd/container") // systemd's; others have none
	return strings.TrimSpace(string(name))
}

func distribution() string {
	for _, path := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		text, _ := os.ReadFile(path) // the next one
		for line := range strings.Lines(string(text)) {
			if value, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
				return strings.Trim(value, `"'`)
			}
		}
	}
	return ""
}

// thisKernel is the running one.
func thisKernel() Kernel {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return Kernel{Release: "unknown"}
	}
	k := Kernel{Release: unix.ByteSliceToString(u.Release[:]), Version: unix.ByteSliceToString(u.Version[:])}
	k.configure("/proc/config.gz", "/boot/config-"+k.Release, "/lib/modules/"+k.Release+"/config")
	return k
}
