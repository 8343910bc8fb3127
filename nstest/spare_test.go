package nstest

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// forget has the keeper forget what was asked for before.
func forget(t *testing.T) {
	t.Helper()
	openAll(t, Config{Loopback: true})[0].Close() // there is a keeper now
	if err := (keeping{}).Trim(); err != nil {
		t.Fatal(err)
	}
}

// inits are the inits of environments, those of spare ones too: the children of the keeper.
func inits(t *testing.T) []int {
	t.Helper()
	lists, err := filepath.Glob("/proc/" + strconv.Itoa(keepers.current.PID()) + "/task/*/children")
	if err != nil || len(lists) == 0 {
		t.Skipf("the keeper's children are not to be seen: %v (/proc/PID/task/TID/children needs CONFIG_PROC_CHILDREN)", err)
	}
	var list []int
	for _, file := range lists {
		children, err := os.ReadFile(file)
		if err != nil {
			continue // a thread that has ended
		}
		for _, child := range strings.Fields(string(children)) {
			status, err := os.ReadFile("/proc/" + child + "/status")
			if err != nil || !strings.Contains(string(status), "\nSeccomp:\t2\n") || strings.Contains(string(status), "\nState:\tZ") {
				continue // not confined yet, or dead
			}
			pid, err := strconv.Atoi(child)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, pid)
		}
	}
	slices.Sort(list)
	return list
}

// awaitInits waits until there are n.
func awaitInits(t *testing.T, n int) []int {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		list := inits(t)
		if len(list) == n {
			return list
		}
		if time.Now().After(deadline) {
			t.Fatalf("inits: %v, want %d", list, n)
		}
		<-time.After(time.Millisecond)
	}
}

// openAll opens an environment for each config. They are closed at the test's end.
func openAll(t *testing.T, configs ...Config) []*Env {
	t.Helper()
	var list []*Env
	for _, cfg := range configs {
		env, err := Open(context.Background(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := env.Close(); err != nil {
				t.Error(err)
			}
		})
		list = append(list, env)
	}
	return list
}

// initOf is the init of an environment.
func initOf(t *testing.T, env *Env) int {
	t.Helper()
	cmd := env.Self().Command("sleep", "infinity")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(cmd.Process.HostPid()) + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	ppid, err := strconv.Atoi(strings.Fields(string(stat))[3])
	if err != nil {
		t.Fatal(err)
	}
	return ppid
}

func TestASpareIsForWhatIsAskedForAgain(t *testing.T) {
	l := keep(t)
	t.Cleanup(func() {
		l.balance(t)
		if list := inits(t); len(list) != 0 {
			t.Errorf("a ledger was made with spare inits %v", list)
		}
	})
	forget(t)
	openAll(t, Config{}, Config{Hostname: "other"}, Config{Loopback: true})
	before := awaitInits(t, 3)
	openAll(t, Config{Loopback: true, Name: "again"})
	spare := slices.DeleteFunc(awaitInits(t, 5), func(pid int) bool { return slices.Contains(before, pid) })[1]
	other := openAll(t, Config{Hostname: "other"})[0]
	if pid := initOf(t, other); pid == spare {
		t.Errorf("an environment of another kind got the spare one")
	}
	same := openAll(t, Config{Loopback: true})[0]
	if pid := initOf(t, same); pid != spare {
		t.Errorf("the init is %d, want the spare one, %d", pid, spare)
	}
	if same.Name() != "env" {
		t.Errorf("name %q, want that of the one who asked", same.Name())
	}
}

func TestASpareThatWasEndedIsNotUsed(t *testing.T) {
	l := keep(t)
	t.Cleanup(func() { l.balance(t) })
	forget(t)
	used := openAll(t, Config{}, Config{})
	known := []int{initOf(t, used[0]), initOf(t, used[1])}
	spare := slices.DeleteFunc(awaitInits(t, 3), func(pid int) bool { return slices.Contains(known, pid) })
	if err := unix.Kill(spare[0], unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	awaitInits(t, 2)
	next := openAll(t, Config{})[0]
	if out, err := next.Self().Command("echo", "works").Output(); err != nil || string(out) != "works\n" {
		t.Errorf("printed %q, %v", out, err)
	}
}

func TestASpareShowsWhatTheMachineHasNow(t *testing.T) {
	forget(t)
	dir := t.TempDir()
	write := func(path, what string) {
		t.Helper()
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(what), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("a/file", "old")
	write("b/file", "old")
	cfg := Config{Visible: []string{filepath.Join(dir, "a"), filepath.Join(dir, "b")}}
	openAll(t, cfg, cfg)
	awaitInits(t, 3)
	write("a/file", "new")
	write("a/further", "new")
	if err := os.Rename(filepath.Join(dir, "b"), filepath.Join(dir, "c")); err != nil {
		t.Fatal(err)
	}
	write("b/file", "new")
	env := openAll(t, cfg)[0]
	cmd := env.Self().Command("cat", "a/file", "a/further", "b/file")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "newnewnew" {
		t.Errorf("read %q, %v", out, err)
	}
}

// look prints what an environment or a host looks like from inside. DIRS are the directories that are its own.
const look = `hostname; id; pwd; umask; ulimit -a
ls -lnA --time-style=+ $DIRS /tmp /run /dev/shm /dev/mqueue | awk '/^[-dlcbps]/ { $2 = "" } { print }'
sed 's/^[0-9]* [0-9]* [0-9:]* //; s/lowerdir.*//; s/inode64.*//; s/[ug]id=[0-9]*//g' /proc/self/mountinfo
wait; for p in /proc/[0-9]*; do read -r comm < $p/comm && echo "$p $comm"; done; ls -l /proc/1/fd | wc -l
grep -E '^(Cap|Sec|NoNew|Groups|Uid|Gid|NSp)' /proc/self/status
cat /proc/net/route /proc/net/if_inet6 /proc/net/ipv6_route | awk '{ NF = 6; print }' | sort; cut -d: -f1 /proc/net/dev
cat /proc/net/tcp /proc/net/udp | awk '{ print $2, $3, $4 }' | sort; ls /sys/class/net; cat /etc/hosts /etc/resolv.conf
cat /sys/class/net/eth0/address /sys/class/net/eth0/operstate /sys/class/net/eth0/ifindex
find /proc/sys/net /proc/sys/kernel/hostname /proc/sys/kernel/sem /proc/sys/fs/mqueue -type f -readable 2>/dev/null | grep -v -E 'key|secret|uuid|_id|mem$' | sort | xargs grep -H . 2>/dev/null`

// A spare environment, and a plot in it, cannot be told from what was made on request.
func TestASpareLooksLikeANewEnvironment(t *testing.T) {
	for name, cfg := range map[string]Config{"private root": {}, "machine root": {MachineRoot: true}} {
		t.Run(name, func(t *testing.T) {
			dirs := "/ /dev /var/tmp"
			if cfg.MachineRoot { // these are the machine's, and others make files there meanwhile
				dirs = ""
			}
			for kind, host := range map[string]HostConfig{"full": {Name: "web"}, "net only": {Name: "web", NetOnly: true}} {
				t.Run(kind, func(t *testing.T) {
					forget(t)
					var looks []map[string]string
					for i := range 3 {
						env := openAll(t, cfg)[0]
						looked := map[string]string{"before": see(t, env.Self(), dirs)}
						h, err := env.AddHost(host)
						if err != nil {
							t.Fatal(err)
						}
						looked["host"], looked["after"] = see(t, h, dirs), see(t, env.Self(), dirs)
						looks = append(looks, looked)
						if i == 1 {
							awaitInits(t, 2)
						}
						if err := env.Close(); err != nil {
							t.Fatal(err)
						}
					}
					if diff := cmp.Diff(looks[0], looks[2]); diff != "" {
						t.Errorf("(-new +spare)\n%s", diff)
					}
				})
			}
		})
	}
}

func see(t *testing.T, h *Host, dirs string) string {
	t.Helper()
	cmd := h.Command("sh", "-c", look)
	cmd.Dir, cmd.Env = "/", append(os.Environ(), "DIRS="+dirs)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "eth0") {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}
