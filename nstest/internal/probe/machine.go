package probe

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// machine reads what the kernel and the distribution tell in files. A test points root at a tree of its own.
type machine struct {
	root    string // before every path; "" is the machine itself
	release string // uname -r
	uid     int    // effective
	gid     int

	kconfig func() string // the kernel's configuration; "" when it is nowhere to be read
}

// live is the machine that the process runs on.
var live = sync.OnceValue(func() *machine {
	var uts unix.Utsname
	release := ""
	if err := unix.Uname(&uts); err == nil {
		release = unix.ByteSliceToString(uts.Release[:])
	}
	return newMachine("", release, os.Geteuid(), os.Getegid())
})

func newMachine(root, release string, uid, gid int) *machine {
	m := &machine{root: root, release: release, uid: uid, gid: gid}
	m.kconfig = sync.OnceValue(m.readConfig)
	return m
}

func (m *machine) path(path string) string { return m.root + path }

// text is a file's content without blanks around it, "" when it cannot be read.
func (m *machine) text(path string) string {
	data, err := os.ReadFile(m.path(path))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// number is the first number in a file; false when the file is not there or holds something else.
func (m *machine) number(path string) (int64, bool) {
	fields := strings.Fields(m.text(path))
	if len(fields) == 0 {
		return 0, false
	}
	n, err := strconv.ParseInt(fields[0], 10, 64)
	return n, err == nil
}

func (m *machine) exists(path string) bool {
	_, err := os.Lstat(m.path(path))
	return err == nil
}

func (m *machine) readlink(path string) (string, error) { return os.Readlink(m.path(path)) }

// atLeast compares with the running kernel's version. Distributions bring features to older versions, so that a probe of
// the thing itself is better wherever there is one.
func (m *machine) atLeast(major, minor int) bool {
	parts := strings.FieldsFunc(m.release, func(r rune) bool { return r < '0' || r > '9' })
	if len(parts) < 2 {
		return false
	}
	a, errA := strconv.Atoi(parts[0])
	b, errB := strconv.Atoi(parts[1])
	return errA == nil && errB == nil && (a > major || a == major && b >= minor)
}

func (m *machine) readConfig() string {
	if data, err := os.ReadFile(m.path("/proc/config.gz")); err == nil {
		if zip, err := gzip.NewReader(bytes.NewReader(data)); err == nil {
			if text, err := io.ReadAll(zip); err == nil {
				return "\n" + string(text)
			}
		}
	}
	for _, path := range []string{"/boot/config-" + m.release, "/lib/modules/" + m.release + "/config", "/usr/lib/modules/" + m.release + "/config"} {
		if data, err := os.ReadFile(m.path(path)); err == nil {
			return "\n" + string(data)
		}
	}
	return ""
}

// config is the value of CONFIG_option: "y", "m", "n" (not set, or not known to that kernel), or "" where no configuration is to be read.
func (m *machine) config(option string) string {
	text := m.kconfig()
	if text == "" {
		return ""
	}
	_, rest, ok := strings.Cut(text, "\nCONFIG_"+option+"=")
	if !ok {
		return "n"
	}
	value, _, _ := strings.Cut(rest, "\n")
	return value
}

// moduleDir is where the running kernel's modules are, "" when they are not visible (most containers).
func (m *machine) moduleDir() string {
	for _, dir := range []string{"/lib/modules/", "/usr/lib/modules/"} {
		if m.exists(dir + m.release + "/modules.dep") {
			return dir + m.release
		}
	}
	return ""
}

// module finds a loadable or built-in module by its file name.
func (m *machine) module(name string) (detail string, ok bool) {
	dashed := strings.ReplaceAll(name, "_", "-")
	for line := range strings.Lines(m.text("/proc/modules")) {
		if strings.HasPrefix(line, name+" ") {
			return "module " + name + " is loaded", true
		}
	}
	dir := m.moduleDir()
	if dir == "" {
		return "", false
	}
	for _, list := range []string{"/modules.builtin", "/modules.dep"} {
		text := m.text(dir + list)
		for _, file := range []string{"/" + name + ".ko", "/" + dashed + ".ko"} {
			if strings.Contains(text, file) {
				return "module " + name + " is in " + dir, true
			}
		}
	}
	return "", false
}

// initialPIDNS is the inode of the first PID namespace, PID_NS_INIT_INO of linux/nsfs.h.
const initialPIDNS = "pid:[4026531836]"

// container names what the process runs in, "" for nothing that could be recognised. A machine may have been made from a
// container's image, with the files that mark one: its processes are in the first PID namespace.
func (m *machine) container() string {
	if link, err := m.readlink("/proc/self/ns/pid"); err == nil && link == initialPIDNS {
		return ""
	}
	switch {
	case m.exists("/var/run/secrets/kubernetes.io"):
		return "kubernetes"
	case m.exists("/run/.containerenv"):
		return "podman"
	case m.exists("/.dockerenv"):
		return "docker"
	}
	if name := m.text("/run/systemd/container"); name != "" {
		return name
	}
	groups := m.text("/proc/self/cgroup")
	for _, sign := range [][2]string{{"kubepods", "kubernetes"}, {"libpod", "podman"}, {"docker", "docker"}, {"/lxc", "lxc"}} {
		if strings.Contains(groups, sign[0]) {
			return sign[1]
		}
	}
	return ""
}

// osRelease is a field of os-release(5).
func (m *machine) osRelease(field string) string {
	for _, path := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		for line := range strings.Lines(m.text(path)) {
			if value, ok := strings.CutPrefix(strings.TrimSpace(line), field+"="); ok {
				return strings.Trim(value, `"'`)
			}
		}
	}
	return ""
}

// install is the command that installs a package, by its name in each family of distributions.
func (m *machine) install(debian, fedora, arch, alpine, suse string) string {
	for id := range strings.FieldsSeq(m.osRelease("ID") + " " + m.osRelease("ID_LIKE")) {
		switch id {
		case "debian", "ubuntu":
			return "sudo apt-get install " + debian
		case "fedora", "rhel", "centos":
			return "sudo dnf install " + fedora
		case "arch":
			return "sudo pacman -S " + arch
		case "alpine":
			return "apk add " + alpine
		case "suse", "opensuse":
			return "sudo zypper install " + suse
		}
	}
	return "install the package that has it (Debian: " + debian + ", Fedora: " + fedora + ")"
}

// user is the name of the caller in passwd(5), or its number.
func (m *machine) user() string {
	id := strconv.Itoa(m.uid)
	for line := range strings.Lines(m.text("/etc/passwd")) {
		if fields := strings.Split(line, ":"); len(fields) > 2 && fields[2] == id {
			return fields[0]
		}
	}
	return id
}

// find looks for a program in the usual places and in PATH.
func (m *machine) find(program string) string {
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin") {
		path := filepath.Join(dir, program)
		if info, err := os.Stat(m.path(path)); filepath.IsAbs(path) && err == nil && info.Mode()&0o111 != 0 && !info.IsDir() {
			return path
		}
	}
	return ""
}

func report(m *machine) Report {
	return Report{
		Kernel: m.release, Arch: runtime.GOARCH, OS: m.osRelease("PRETTY_NAME"), Container: m.container(),
		UID: m.uid, Mode: m.mode(),
	}
}
