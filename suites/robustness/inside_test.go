package robustness

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hermetic-go/nstest/nstest"
	"golang.org/x/sys/unix"
)

// inside runs this binary in a role as root of a host and returns what it said.
func inside(t *testing.T, h *nstest.Host, r string, args ...string) (string, error) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := h.Command(exe, args...)
	c.Env = append(os.Environ(), role+"="+r, "GORACE=atexit_sleep_ms=0")
	out, err := c.CombinedOutput()
	return string(out), err
}

// outside runs this binary in a role, as we are.
func outside(t *testing.T, r string, args ...string) (string, error) {
	t.Helper()
	c := exec.Command("/proc/self/exe", args...)
	c.Env = append(os.Environ(), role+"="+r, "GORACE=atexit_sleep_ms=0")
	out, err := c.CombinedOutput()
	return string(out), err
}

// listWritable prints every file below its arguments that can be opened for writing. Nothing is written. What the
// machine's own debugging is made of is left out, since opening some of that is not harmless for who has the right to.
func listWritable() error {
	for _, root := range os.Args[1:] {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil //nolint:nilerr // what cannot be read cannot be written
			}
			if path == "/sys/kernel/debug" || path == "/sys/kernel/tracing" {
				return filepath.SkipDir
			}
			if !d.Type().IsRegular() {
				return nil
			}
			fd, err := unix.Open(path, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
			if err == nil {
				fmt.Println(path)
				return unix.Close(fd)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// own are the files that belong to the namespaces of an environment, whose root may write them. What is below
// /proc/sys/net in a new network namespace and can be opened is of that namespace: the kernel makes the others read-only.
var own = regexp.MustCompile(strings.Join([]string{
	`^/proc/sys/fs/mqueue/(msg|msgsize|queues)_(default|max)$`,                          // IPC
	`^/proc/sys/kernel/(auto_msgmni|msg_next_id|msgmax|msgmnb|msgmni|sem|sem_next_id)$`, // IPC
	`^/proc/sys/kernel/(shm_next_id|shm_rmid_forced|shmall|shmmax|shmmni)$`,             // IPC
	`^/proc/sys/kernel/(ns_last_pid|pid_max)$`,                                          // PID; pid_max from Linux 6.14
	`^/proc/sys/net/(core|ipv4|ipv6|unix|netfilter|bridge|mptcp|mpls|sctp|dccp|x25|llc|vsock|xfrm)/`,
	`^/proc/sys/user/max_(cgroup|ipc|mnt|net|pid|time|user|uts)_namespaces$`,
	`^/proc/sys/user/max_(inotify_instances|inotify_watches|fanotify_groups|fanotify_marks)$`,
	`^/sys/devices/virtual/net/(lo|eth0)/`,
}, "|"))

func foreign(paths string) []string {
	var list []string
	for path := range strings.FieldsSeq(paths) {
		if !own.MatchString(path) {
			list = append(list, path)
		}
	}
	return list
}

func TestNoSettingOfTheMachineCanBeWritten(t *testing.T) {
	needRoot(t)
	env := nstest.New(t, nstest.Config{})
	for _, h := range []*nstest.Host{env.Self(), env.Host("web")} {
		t.Run(h.Name(), func(t *testing.T) {
			out, err := inside(t, h, "writable", "/proc/sys", "/sys")
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if list := foreign(out); len(list) > 0 {
				t.Errorf("can be opened for writing, and is not the environment's own:\n%s", strings.Join(list, "\n"))
			}
			for _, want := range []string{"/proc/sys/net/ipv4/ip_forward", "/proc/sys/kernel/shmmax", "/proc/sys/user/max_user_namespaces", "/sys/devices/virtual/net/eth0/mtu"} {
				if !slices.Contains(strings.Fields(out), want) {
					t.Errorf("%s is the environment's own and cannot be opened for writing", want)
				}
			}
			t.Logf("%d files can be opened for writing", strings.Count(out, "\n"))
		})
	}
	t.Run("outside", func(t *testing.T) { // the control: the same search finds what root may do
		if b, err := os.ReadFile("/proc/self/uid_map"); err != nil || strings.Join(strings.Fields(string(b)), " ") != "0 0 4294967295" {
			t.Skip("this root is not the machine's: run the test outside of any container")
		}
		out, err := outside(t, "writable", "/proc/sys", "/sys/module", "/sys/kernel/mm")
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if list := foreign(out); len(list) < 100 {
			t.Errorf("root outside can open only %d files: %v", len(list), list)
		} else {
			t.Logf("%d files that are not a namespace's own", len(list))
		}
	})
}

// Host names have up to 63 characters a label, and differ wherever they differ.
func TestLongNames(t *testing.T) {
	env := nstest.New(t, nstest.Config{Hostname: strings.Repeat("s", 63)})
	var names []string
	for _, last := range []string{"a", "b"} { // alike in the 15 characters that an interface could have, and in all others
		names = append(names, strings.Repeat("x", 62)+last)
	}
	for i, name := range names {
		h := env.Host(name)
		out, err := h.Command("uname", "-n").Output()
		if got := strings.TrimSpace(string(out)); err != nil || got != name {
			t.Errorf("host %d is called %q, %v", i, got, err)
		}
		if got := h.Link("").Interface(); got != "eth0" {
			t.Errorf("host %d: its interface is %q", i, got)
		}
		addrs, err := env.Host(names[1-i]).LookupNetIP(t.Context(), name)
		if err != nil || !slices.Contains(addrs, h.Addr()) {
			t.Errorf("%s resolves to %v, %v, want %v", name, addrs, err, h.Addrs())
		}
	}
	other := nstest.New(t, nstest.Config{})
	if _, err := other.AddHost(nstest.HostConfig{Name: names[0]}); err != nil {
		t.Errorf("a host of that name in another environment: %v", err)
	}
	for _, bad := range []string{"", strings.Repeat("x", 64), strings.Repeat("x", 62) + "a"} {
		if _, err := env.AddHost(nstest.HostConfig{Name: bad}); err == nil {
			t.Errorf("a second or impossible host %q was made", bad)
		}
	}
}

// openOnly tries to open an environment and prints the error.
func openOnly() error {
	env, err := nstest.Open(context.Background(), nstest.Config{MachineRoot: true})
	if err != nil {
		return err
	}
	fmt.Println("opened")
	return env.Close()
}

// Where nothing is allowed, Open says what is missing and what to do.
func TestOpenWithoutAnyPrivilege(t *testing.T) {
	need(t, "setpriv", "install util-linux")
	env := nstest.New(t, nstest.Config{})
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	try := func() string {
		t.Helper()
		// Without CAP_SETFCAP not even the own id could be mapped if it is 0 (Linux 5.12).
		args := []string{"--bounding-set=-all,+setfcap", "--inh-caps=-all", exe}
		if isRoot() {
			args = append([]string{"--reuid=1000", "--regid=1000", "--clear-groups"}, args...)
		}
		c := env.Self().Command("setpriv", args...)
		c.Env = []string{role + "=open", "PATH=/usr/bin:/bin", "HOME=/tmp"}
		out, _ := c.CombinedOutput()
		return strings.ReplaceAll(string(out), "\t", "\n")
	}
	if out := try(); out != "opened\n" {
		t.Fatalf("the control, with user namespaces: %s", out)
	}
	if out, err := env.Self().Command("sh", "-c", "echo 0 > /proc/sys/user/max_user_namespaces").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out := try()
	for _, want := range []string{"error: nstest: open environment", "user.max_user_namespaces is 0", "What to do:", "sysctl -w user.max_user_namespaces="} {
		if !strings.Contains(out, want) {
			t.Errorf("the error does not have %q", want)
		}
	}
	t.Log(out)
}
