package robustness

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest"
	"golang.org/x/sys/unix"
)

// The attacks, in the order in which a hostile root of an environment tries them. Each says what came of it.
var attacks = []struct {
	name string
	do   func(secrets map[string]string) string
	want string // what has to come of it
}{
	{"see processes outside", seeProcesses, "none"},
	{"parent of init", initsParent, "0"},
	{"trace the parent of init", func(map[string]string) string { return outcome(unix.PtraceAttach(0)) }, "no such process"},
	{"see sockets of nstest", seeSockets, "none"},
	{"reach a lock of nstest", reachLock, "connection refused"},
	{"files that were handed down", ownFiles, "none"},
	{"files of init", initsFiles, "none"},
	{"open a secret", readSecrets, "none"},
	{"open a secret by its handle", byHandle, "none"},
	{"leave a chroot", leaveChroot, "none"},
	{"make a device", makeDevice, "operation not permitted"},
	{"load a module", loadModule, "operation not permitted"},
	{"set the clock", func(map[string]string) string {
		return outcome(unix.ClockSettime(unix.CLOCK_REALTIME, &unix.Timespec{Sec: 1}))
	}, "operation not permitted"},
	{"join what init is in", joinInit, "nothing new"},
	{"unmount everything", unmountAll, "none"},
	{"kill everything", killAll, "done"},
}

func outcome(err error) string {
	if err == nil {
		return "done"
	}
	return err.Error()
}

func found(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, " ")
}

// attack carries out all attacks. Its arguments are paths of secrets and what is in them.
func attack() error {
	secrets := map[string]string{}
	for _, arg := range os.Args[1:] {
		path, content, _ := strings.Cut(arg, "=")
		secrets[path] = content
	}
	for _, a := range attacks {
		fmt.Printf("%s: %s\n", a.name, strings.ReplaceAll(a.do(secrets), "\n", " "))
	}
	return nil
}

func loadModule(map[string]string) string {
	err := unix.FinitModule(0, "", 0)
	if errors.Is(err, unix.ENOSYS) { // a kernel without modules
		err = unix.EPERM
	}
	return outcome(err)
}

// killAll kills whoever can be seen, and says itself how it ended if there was nobody else.
func killAll(map[string]string) string {
	err := unix.Kill(-1, unix.SIGKILL)
	if errors.Is(err, unix.ESRCH) {
		err = nil
	}
	return outcome(errors.Join(err, unix.Kill(1, unix.SIGKILL)))
}

func seeProcesses(map[string]string) string {
	var list []string
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		args, _ := os.ReadFile(dir + "/cmdline")
		name := strings.Split(string(args), "\x00")[0]
		if filepath.Base(name) != "nstest-init" && !strings.HasSuffix(name, ".test") {
			list = append(list, name)
		}
	}
	return found(list)
}

func initsParent(map[string]string) string {
	b, err := os.ReadFile("/proc/1/stat")
	if err != nil {
		return err.Error()
	}
	return strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))[1]
}

func seeSockets(map[string]string) string {
	var list []string
	for _, name := range abstract() {
		list = append(list, name)
	}
	return found(list)
}

// reachLock tries the locks of this very environment's ids, whose number its map tells.
func reachLock(map[string]string) string {
	b, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return err.Error()
	}
	outside, err := strconv.Atoi(strings.Fields(string(b))[1])
	if err != nil {
		return err.Error()
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err.Error()
	}
	defer unix.Close(fd)
	return outcome(unix.Connect(fd, &unix.SockaddrUnix{Name: fmt.Sprintf("@nstest-ids-%d", (outside-524288)/65536)}))
}

// ownFiles are what this process has open beyond standard input, output and error, and without what the Go runtime opens.
func ownFiles(map[string]string) string {
	var list []string
	for fd := 3; fd < 256; fd++ {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC == 0 {
			target, _ := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
			list = append(list, target)
		}
	}
	return found(list)
}

// initsFiles are the files, directories and namespaces that the init has open.
// initsFiles looks until there are none: init lets go of those of a process only some time after it has started it.
func initsFiles(map[string]string) string {
	deadline := time.Now().Add(30 * time.Second)
	for {
		list := filesOfInit()
		if list == "none" || time.Now().After(deadline) {
			return list
		}
		pause()
	}
}

func filesOfInit() string {
	var list []string
	fds, err := os.ReadDir("/proc/1/fd")
	if err != nil {
		return err.Error()
	}
	for _, fd := range fds {
		target, err := os.Readlink("/proc/1/fd/" + fd.Name())
		switch {
		case err != nil:
			list = append(list, err.Error())
		case target == "/dev/null", target == "anon_inode:[signalfd]", strings.HasPrefix(target, "socket:["):
		default:
			list = append(list, target)
		}
	}
	return found(list)
}

// readSecrets looks for the secrets under their own names and from wherever init and others stand.
func readSecrets(secrets map[string]string) string {
	var list []string
	from := []string{"", "/proc/1/root", "/proc/1/cwd", "/proc/self/root", "/proc/self/cwd/../../../../../../../..", "/proc/thread-self/root"}
	more, _ := filepath.Glob("/proc/1/fd/*")
	from = append(from, more...)
	for path, content := range secrets {
		for _, dir := range from {
			if b, err := os.ReadFile(dir + path); err == nil && strings.Contains(string(b), content) {
				list = append(list, dir+path)
			}
		}
	}
	slices.Sort(list)
	return found(list)
}

// byHandle goes past every directory: a handle names a file by its number. The first numbers of a file system are its
// root's.
func byHandle(secrets map[string]string) string {
	dir, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err.Error()
	}
	defer unix.Close(dir)
	var list []string
	for _, name := range []string{"/", "/etc", "/etc/passwd"} {
		h, _, err := unix.NameToHandleAt(unix.AT_FDCWD, name, 0)
		if err != nil {
			continue // a file system without handles
		}
		fd, err := unix.OpenByHandleAt(dir, h, unix.O_RDONLY)
		if err != nil {
			continue
		}
		at := "/proc/self/fd/" + strconv.Itoa(fd)
		for path, content := range secrets {
			for _, try := range []string{at + path, at + "/.." + path, at + "/" + filepath.Base(path)} {
				if b, err := os.ReadFile(try); err == nil && strings.Contains(string(b), content) {
					list = append(list, path)
				}
			}
		}
		unix.Close(fd)
	}
	return found(list)
}

// leaveChroot is the classic: a process whose working directory is above its root can go up to the top.
func leaveChroot(secrets map[string]string) string {
	root, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err.Error()
	}
	defer unix.Close(root)
	if err := errors.Join(os.MkdirAll("/tmp/jail", 0o755), unix.Chroot("/tmp/jail")); err != nil {
		return err.Error()
	}
	var list []string
	up := strings.Repeat("../", 64)
	for path, content := range secrets {
		if b, err := os.ReadFile(up + path); err == nil && strings.Contains(string(b), content) {
			list = append(list, path)
		}
	}
	if err := errors.Join(unix.Fchdir(root), unix.Chroot(".")); err != nil {
		return err.Error()
	}
	return found(list)
}

func makeDevice(map[string]string) string {
	err := unix.Mknod("/tmp/disk", unix.S_IFBLK|0o600, int(unix.Mkdev(254, 0)))
	if err != nil {
		return err.Error()
	}
	if _, err = unix.Open("/tmp/disk", unix.O_RDONLY, 0); errors.Is(err, unix.EACCES) {
		err = unix.EPERM
	}
	return outcome(err)
}

// joinInit joins every namespace of init that can be joined. They are those of the environment, in which we are.
func joinInit(map[string]string) string {
	var list []string
	for _, kind := range []string{"user", "pid", "net", "mnt", "ipc", "uts", "cgroup"} {
		ours, _ := os.Readlink("/proc/self/ns/" + kind)
		theirs, err := os.Readlink("/proc/1/ns/" + kind)
		if err != nil || ours != theirs {
			list = append(list, fmt.Sprintf("%s %s %s %v", kind, ours, theirs, err))
		}
	}
	if len(list) == 0 {
		return "nothing new"
	}
	return strings.Join(list, " ")
}

// unmountAll takes away what can be taken away, the last mounted first, as long as something goes.
func unmountAll(secrets map[string]string) string {
	for gone := true; gone; {
		gone = false
		b, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			break // that was /proc
		}
		lines := strings.Split(strings.TrimSpace(string(b)), "\n")
		for _, line := range slices.Backward(lines) {
			if at := strings.Fields(line)[4]; at != "/" && unix.Unmount(at, unix.MNT_DETACH) == nil {
				gone = true
			}
		}
	}
	_ = unix.Unmount("/", unix.MNT_DETACH)
	return readSecrets(secrets)
}

// secret makes a file that nobody inside is to read.
func secret(t *testing.T, dir string) (path, content string) {
	t.Helper()
	f, err := os.CreateTemp(dir, ".secret-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(f.Name()) })
	content = "content of " + f.Name()
	_, err = f.WriteString(content)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		t.Fatal(err)
	}
	return f.Name(), content
}

func TestAttacksFromInside(t *testing.T) {
	secrets := map[string]string{}
	dirs := []string{"/tmp", "/dev/shm"}
	if isRoot() {
		dirs = append(dirs, "/root", "/run", "/dev")
		if b, err := os.ReadFile("/etc/shadow"); err == nil && len(b) > 0 {
			secrets["/etc/shadow"] = strings.SplitAfter(string(b), "\n")[0]
		}
	}
	for _, dir := range dirs {
		path, content := secret(t, dir)
		secrets[path] = content
	}
	var args []string
	for path, content := range secrets {
		args = append(args, path+"="+content)
	}
	if got := len(strings.Fields(readSecrets(secrets))); got < len(secrets) { // the control: they are there to be read
		t.Fatalf("outside, %d of %d secrets can be read", got, len(secrets))
	}
	bystander := nstest.New(t, nstest.Config{Name: "bystander"})
	keeper := keeperOf(os.Getpid())
	for _, name := range []string{"web", "self"} {
		t.Run(name, func(t *testing.T) {
			env := nstest.New(t, nstest.Config{})
			h := env.Self()
			if name != "self" {
				h = env.Host(name)
			}
			out, err := inside(t, h, "attack", args...)
			if err != nil {
				t.Errorf("%v", err)
			}
			lines := strings.Split(strings.TrimSpace(out), "\n")
			for i, a := range attacks {
				if i >= len(lines) {
					t.Fatalf("the attacker did not come to %q:\n%s", a.name, out)
				}
				if got := strings.TrimPrefix(lines[i], a.name+": "); got != a.want {
					t.Errorf("%s: %s, want %s", a.name, got, a.want)
				}
			}
		})
	}
	if now := keeperOf(os.Getpid()); now != keeper {
		t.Errorf("the keeper was %d and is %d", keeper, now)
	}
	if out, err := bystander.Host("web").Command("echo", "well").Output(); err != nil || string(out) != "well\n" {
		t.Errorf("a bystander after the attacks: %q, %v", out, err)
	}
}

// A file that the program was started with, and does not know of, stays with the program: neither the keeper nor an
// environment has it.
func TestInheritedFilesStayOutside(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s := look()
	v := start(t, "inherit", w, w, w) // the first of them has the number of what a keeper gets
	w.Close()
	v.expect(t, "ready")
	var list []string
	for _, p := range below(v.cmd.Process.Pid) {
		dir := fmt.Sprintf("/proc/%d/fd/", p.pid)
		fds, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, fd := range fds {
			target, _ := os.Readlink(dir + fd.Name())
			list = append(list, target)
		}
	}
	pipe, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", r.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 20 || slices.Contains(list, pipe) {
		t.Errorf("keeper and init have open %q, and should not have %s", list, pipe)
	}
	if _, err := v.in.Write([]byte("go on\n")); err != nil {
		t.Fatal(err)
	}
	v.expect(t, "closed")
	if err := v.cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	s.gone(t, v, nil, time.Now())
}
