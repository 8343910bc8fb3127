package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/report"
)

// The program is enough, without the go command, for root and for an ordinary user; and without libraries, if it was built without
// cgo, as in the soak. Specs may run what is on the machine.
func TestConformNeedsOneFile(t *testing.T) {
	if testing.Short() {
		t.Skip("building the program takes long\nWhat to do: run the test without -short")
	}
	t.Parallel()
	dir, err := os.MkdirTemp("", "nstest-alone-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	program := filepath.Join(dir, "nstest")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", program, ".")
	if os.Getenv("NSTEST_SOAK") == "1" { // it compiles everything anew
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
	}
	if out, err := build.CombinedOutput(); err != nil {
		if os.Getenv("NSTEST_MUST_RUN") == "1" {
			t.Fatalf("%v\n%s", err, out)
		}
		t.Skipf("this test is for who has the go command and its caches: %v\n%s", err, out)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	check := func(t *testing.T, credential *syscall.Credential) {
		cmd := exec.Command(program, "conform", "--label", "uts")
		cmd.Dir, cmd.Env = "/", []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "7 properties: 7 hold") {
			t.Errorf("%v\n%s", err, out)
		}
	}
	t.Run("same user", func(t *testing.T) { check(t, nil) })
	t.Run("ordinary user", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Skip("this is the ordinary user's run")
		}
		check(t, &syscall.Credential{Uid: ordinary, Gid: ordinary})
	})
}

// A sandbox is what a command makes that runs another one; none, if it has no words.
type sandbox []string

// look is what nstest says of a sandbox, by check.
func (s sandbox) look(t *testing.T) map[string]report.State {
	t.Helper()
	if len(s) > 0 {
		if _, err := exec.LookPath(s[0]); err != nil && os.Getenv("NSTEST_MUST_RUN") != "1" {
			t.Skipf("%v: install it", err)
		}
	}
	argv := append(append([]string{}, s...), "nstest", "conform", "--target", "--json", "-")
	cmd := exec.Command(argv[0], argv[1:]...)
	out, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		t.Fatalf("%v: %v\n%s", argv, err, failed.Stderr)
	}
	file := filepath.Join(t.TempDir(), "target.json")
	if err := errors.Join(err, os.WriteFile(file, out, 0o644)); err != nil {
		t.Fatal(err)
	}
	r, err := report.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]report.State{}
	for _, p := range r.Properties {
		states[p.Key()] = p.State
	}
	return states
}

func TestTargetTellsSandboxesApart(t *testing.T) {
	t.Parallel()
	bare := sandbox{}.look(t)
	for kind, first := range map[string]string{"pid": "pid:[4026531836]", "user": "user:[4026531837]", "uts": "uts:[4026531838]", "ipc": "ipc:[4026531839]"} {
		link, err := os.Readlink("/proc/self/ns/" + kind)
		if err != nil {
			t.Fatal(err)
		}
		if machines := link == first; machines != (bare[kind] == report.Fail) {
			t.Errorf("bare: %s is %s, and it is %s", kind, bare[kind], link)
		}
	}
	for name, test := range map[string]struct {
		sandbox  sandbox
		isolated string
		same     string // as without the sandbox
	}{
		"nstest": {
			sandbox:  sandbox{"nstest", "run", "--"},
			isolated: "user ids pid mnt net ipc uts cgroup processes init files directory capabilities no_new_privs seccomp oom clock root propagation shm etc dev pts proc-sys sys secrets devices abstract cgroups",
			same:     "time facts",
		},
		"nstest with the machine's network": {
			sandbox:  sandbox{"nstest", "run", "--host-net", "--no-ipc", "--"},
			isolated: "user pid mnt uts cgroup processes",
			same:     "net ipc abstract",
		},
		"unshare": {
			sandbox:  sandbox{"unshare", "-Urpf", "--mount-proc"},
			isolated: "user pid mnt processes init capabilities clock",
			same:     "net ipc uts cgroup time abstract seccomp dev",
		},
		"bwrap": {
			sandbox:  sandbox{"bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--unshare-all", "--die-with-parent"},
			isolated: "user pid mnt net ipc uts cgroup processes init no_new_privs root dev pts sys devices abstract",
			same:     "time homes facts seccomp",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := test.sandbox.look(t)
			for check := range strings.FieldsSeq(test.isolated) {
				if got[check] != report.Pass {
					t.Errorf("%s is %q, want it isolated", check, got[check])
				}
			}
			for check := range strings.FieldsSeq(test.same) {
				if got[check] != bare[check] || got[check] == "" {
					t.Errorf("%s is %q, want %q as without the sandbox", check, got[check], bare[check])
				}
			}
		})
	}
}
