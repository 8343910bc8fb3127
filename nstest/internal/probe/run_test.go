package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/internal/idmap"
)

func TestRun(t *testing.T) {
	r := Run(t.Context(), nil)
	if len(r.Findings) != len(probes()) {
		t.Errorf("%d findings of %d probes", len(r.Findings), len(probes()))
	}
	seen := map[string]bool{}
	for _, f := range r.Findings {
		if f.Name == "" || f.Title == "" || f.Detail == "" || seen[f.Name] {
			t.Errorf("unclear or double finding: %+v", f)
		}
		seen[f.Name] = true
		if f.Status == OK && f.Cost+f.Remedy != "" || f.Status != OK && f.Cost == "" {
			t.Errorf("cost or remedy does not go with the status: %+v", f)
		}
	}
	privileged, err := idmap.Privileged()
	if err != nil {
		t.Fatal(err)
	}
	if privileged != (r.Mode != Rootless) {
		t.Errorf("mode %q, and the engine thinks that privileged is %t", r.Mode, privileged)
	}
	var text bytes.Buffer
	if _, err := r.WriteTo(&text); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", text.String())
}

// TestRunAsOrdinaryUser runs TestRun and what follows from it again, without root's rights.
func TestRunAsOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become somebody else: the other tests ran as an ordinary user")
	}
	// Its path may lead through a directory of root's alone, so the file is passed open.
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	cmd := exec.CommandContext(t.Context(), "/proc/self/fd/3", "-test.run=^(TestRun|TestRunLeavesNothing|TestProbesAgreeWithKernel)$", "-test.v")
	cmd.ExtraFiles = []*os.File{self}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4242, Gid: 4242}}
	output, err := cmd.CombinedOutput()
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EINVAL) {
		t.Skipf("uid 4242 is not mapped here: %v", err)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	if !strings.Contains(string(output), "uid 4242, as an ordinary user (rootless)") {
		t.Errorf("not run as an ordinary user:\n%s", output)
	}
}

// TestProbesAgreeWithKernel is the positive control: what a probe says is there can be read elsewhere, too.
func TestProbesAgreeWithKernel(t *testing.T) {
	for name, have := range map[string]func() error{
		"user": HaveUserNamespace, "mnt": HaveMountNamespace, "pid": HavePIDNamespace, "net": HaveNetNamespace,
		"ipc": HaveIPCNamespace, "uts": HaveUTSNamespace, "cgroup": HaveCgroupNamespace, "time": HaveTimeNamespace,
	} {
		if _, err := os.Lstat("/proc/self/ns/" + name); err != nil && have() == nil {
			t.Errorf("a %s namespace could be made, and there is no file for one: %v", name, err)
		}
		if err := have(); err != nil {
			var absent *Absent
			if !errors.As(err, &absent) || !errors.Is(err, errors.ErrUnsupported) || name == "user" && absent.Remedy == "" {
				t.Errorf("%s namespace: not a clear refusal: %v", name, err)
			}
		}
	}
}

func TestRunLeavesNothing(t *testing.T) {
	Run(t.Context(), nil) // what the runtime needs is there from now on
	before := footprint(t)
	const rounds = 5
	for range rounds {
		Run(t.Context(), nil)
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		after := footprint(t)
		if after.mounts != before.mounts || after.children != before.children {
			t.Fatalf("before %+v, after %+v", before, after)
		}
		// The runtime may keep a few more threads for itself; a leak would be a dozen a round.
		if after.files <= before.files && after.threads <= before.threads+rounds {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("before %+v, after %+v", before, after)
		}
		runtime.Gosched()
	}
}

// waitForAny is "no child processes" when nothing was left running or unreaped.
func waitForAny() string {
	pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
	return fmt.Sprint(pid, err)
}

type trace struct {
	mounts, children string
	files, threads   int
}

func footprint(t *testing.T) trace {
	t.Helper()
	read := func(path string) string {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	count := func(path string) int {
		entries, err := os.ReadDir(path)
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	return trace{
		mounts:   read("/proc/self/mountinfo"),
		children: waitForAny(),
		files:    count("/proc/self/fd"), threads: count("/proc/self/task"),
	}
}

func BenchmarkRun(b *testing.B) {
	for b.Loop() {
		Run(b.Context(), nil)
	}
}

func TestRunStopsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, f := range Run(ctx, nil).Findings {
		if f.Status != Unknown || !strings.Contains(f.Detail, "context canceled") {
			t.Errorf("asked with a context that is done: %+v", f)
		}
	}
}

// refused are trials that all end in one way.
type refused struct{ err error }

func (r refused) Proc() error     { return r.err }
func (r refused) Sysfs() error    { return r.err }
func (r refused) Overlay() error  { return r.err }
func (r refused) IDMap() error    { return r.err }
func (r refused) Bridge() error   { return r.err }
func (r refused) Veth() error     { return r.err }
func (r refused) NFTables() error { return r.err }
func (r refused) Netem() error    { return r.err }
func (r refused) TimeNS() error   { return r.err }
func (r refused) Tun() error      { return r.err }

func TestRunWithTrials(t *testing.T) {
	m := fakeMachine(t, "6.1.0", 1000, nil)
	for name, c := range map[string]struct {
		err  error
		want Status
	}{
		"made":            {nil, OK},
		"not permitted":   {fmt.Errorf("try: %w", syscall.EPERM), Restricted},
		"not supported":   {fmt.Errorf("try: %w", syscall.EOPNOTSUPP), Missing},
		"out of memory":   {fmt.Errorf("try: %w", syscall.ENOMEM), Unknown},
		"known as such":   {&Absent{Feature: "x", Cause: errors.New("why"), Remedy: "what"}, Missing},
		"no errno at all": {errors.New("try: the keeper is gone"), Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			for _, p := range []*probe{procMount, sysfsMount, overlay, idMapped, bridge, veth, netem, nfTables, timeNamespace, tun} {
				f := p.finding(m, refused{c.err})
				if f.Status != c.want {
					t.Errorf("%s: %+v, want %s", f.Name, f, c.want)
				}
			}
		})
	}
}

func TestObstacles(t *testing.T) {
	m := fakeMachine(t, "6.8.0", 1000, tree{
		"/proc/sys/user/max_user_namespaces": "0", "/proc/sys/kernel/unprivileged_userns_clone": "0",
		"/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1", "/proc/sys/fs/inotify/max_user_instances": "8",
		"/proc/sys/kernel/core_pattern": "|/usr/share/apport/apport -p%p", "/proc/sys/kernel/yama/ptrace_scope": "2",
		"/proc/self/mountinfo": dockerMounts, "/etc/subuid": "bob:100000:65536\n", "/etc/subgid": "bob:100000:65536\n",
	})
	r := m.run(t.Context(), refused{})
	for name, remedy := range map[string]string{
		"userns.limit":            "sysctl -w user.max_user_namespaces=",
		"userns.debian":           "sysctl -w kernel.unprivileged_userns_clone=1",
		"userns.apparmor":         "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
		"ids.ranges":              "usermod --add-subuids 165536-231071 --add-subgids 165536-231071 ann",
		"mount.proc":              "systempaths=unconfined",
		"mount.sysfs":             "systempaths=unconfined",
		"core_pattern":            "sysctl -w kernel.core_pattern=core",
		"ptrace":                  "sysctl -w kernel.yama.ptrace_scope=1",
		"limit.inotify-instances": "sysctl -w fs.inotify.max_user_instances=512",
		"limit.namespaces":        "sysctl -w user.max_user_namespaces=65536",
	} {
		f, ok := r.Find(name)
		if !ok || f.Status != Restricted || f.Cost == "" || !strings.Contains(f.Remedy, remedy) {
			t.Errorf("%s: %+v, want restricted with the remedy %q", name, f, remedy)
		}
	}
	if r.OK() {
		t.Error("OK with a masked /proc")
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
}

// TestObstaclesDoNotConcernRoot has the same settings as an ordinary user trips over.
func TestObstaclesDoNotConcernRoot(t *testing.T) {
	m := fakeMachine(t, "6.8.0", 0, tree{
		"/proc/self/status": rootStatus, "/proc/sys/kernel/unprivileged_userns_clone": "0",
		"/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1",
	})
	r := m.run(t.Context(), refused{})
	for _, name := range []string{"userns.debian", "userns.apparmor", "ids.helpers", "ids.ranges", "mount.proc", "mount.sysfs"} {
		if f, _ := r.Find(name); f.Status != OK {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestMemoryOfTheCgroup(t *testing.T) {
	files := tree{
		"/proc/meminfo": "MemTotal: 8000000 kB\nMemAvailable: 4096000 kB\n", "/proc/self/cgroup": "0::/job\n",
		"/sys/fs/cgroup/job/memory.max": "max\n", "/sys/fs/cgroup/job/memory.current": "104857600\n",
	}
	if free, _, err := fakeMachine(t, "6.1.0", 0, files).memory(); free != 4000 || err != nil {
		t.Errorf("without a limit: %d MiB, %v", free, err)
	}
	files["/sys/fs/cgroup/job/memory.max"] = "209715200\n"
	if free, _, err := fakeMachine(t, "6.1.0", 0, files).memory(); free != 100 || err != nil {
		t.Errorf("with a limit of 200 MiB and 100 used: %d MiB, %v", free, err)
	}
}

func TestMode(t *testing.T) {
	for want, files := range map[Mode]tree{
		Root:     {"/proc/self/status": rootStatus},
		Nested:   {"/proc/self/status": rootStatus, "/proc/self/uid_map": "0 524288 65536"},
		Rootless: {"/proc/self/status": filteredStatus},
	} {
		// The uid says nothing: it is 0 in all three.
		if got := fakeMachine(t, "6.1.0", 0, files).mode(); got != want {
			t.Errorf("mode = %q, want %q", got, want)
		}
	}
}

func TestOnlyFactsAreCached(t *testing.T) {
	fact := &Absent{Feature: "x", Cause: errors.New("no"), Remedy: "r"}
	answers := []error{errors.New("cannot tell"), fact, nil}
	calls := 0
	p := &probe{look: func(*machine, Trials) (string, error) {
		calls++
		return "", answers[calls-1]
	}}
	if err := p.have(); err == nil || errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("first: %v", err)
	}
	for range 3 {
		if err := p.have(); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("later: %v", err)
		}
	}
	if calls != 2 {
		t.Errorf("looked %d times, want 2", calls)
	}
}
