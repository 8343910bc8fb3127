package ns

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// makeable are kinds together with User, if this process needs that to make them.
func makeable(t *testing.T, kinds Kinds) Kinds {
	t.Helper()
	if mayJoin() {
		return kinds
	}
	if err := Trial(0, TrialIDs{}); err != nil {
		need(t, "no user namespaces here: %v (run as root, or allow them: sysctl kernel.unprivileged_userns_clone=1)", err)
	}
	return kinds | User
}

// mayJoin reports whether this process has CAP_SYS_ADMIN.
func mayJoin() bool {
	data := [2]unix.CapUserData{}
	err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &data[0])
	return err == nil && data[0].Effective&(1<<unix.CAP_SYS_ADMIN) != 0
}

// need skips the test, or fails it where NSTEST_MUST_RUN is set.
func need(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("NSTEST_MUST_RUN") == "1" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// script starts a shell script and returns what it prints.
func script(t *testing.T, s Spec, text string) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s.Path, s.Args = "/bin/sh", []string{"sh", "-c", text}
	if len(s.Files) == 0 {
		s.Files = []*os.File{nil, w, w}
	} else {
		s.Files[1], s.Files[2] = w, w
	}
	p, err := Start(s)
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer p.PIDFD.Close()
	out, err := io.ReadAll(r)
	if _, werr := p.Wait(); err != nil || werr != nil {
		t.Fatal(err, werr)
	}
	return strings.TrimSpace(string(out))
}

func TestStartSetsTheTimerSlack(t *testing.T) {
	for _, c := range []struct {
		slack time.Duration
		want  string
	}{{time.Millisecond, "1000000"}, {0, "50000"}} { // the second is not to have what the first was given
		if got := script(t, Spec{TimerSlack: c.slack}, "cat /proc/self/timerslack_ns"); got != c.want {
			t.Errorf("started with %v, a process and its child have %s ns; want %s", c.slack, got, c.want)
		}
	}
}

func TestStartMakesTheKindsAndNoOthers(t *testing.T) {
	mine, err := OfProcess("/proc/self")
	if err != nil {
		t.Fatal(err)
	}
	for _, kinds := range []Kinds{0, User, makeable(t, PID), makeable(t, Net|IPC), makeable(t, Mount|UTS|Cgroup), makeable(t, All)} {
		// $$ would be the number inside.
		got := script(t, Spec{Kinds: kinds, DieWithUs: true}, `cd /proc/self/ns; for n in user pid net mnt ipc uts cgroup; do echo $n $(/usr/bin/readlink $n); done`)
		for line := range strings.Lines(got) {
			name, link, _ := strings.Cut(strings.TrimSpace(line), " ")
			k, err := ParseKind(name)
			if err != nil || link == "" {
				t.Fatalf("%s: %q, %v", kinds, line, err)
			}
			if new := link != mine[name]; new != kinds.Has(k) {
				t.Errorf("Start with %q: own %s namespace: %t", kinds, name, new)
			}
		}
	}
}

func TestStartPassesFilesAndEnvironment(t *testing.T) {
	extra, err := os.Open("/dev/zero")
	if err != nil {
		t.Fatal(err)
	}
	defer extra.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	got := script(t, Spec{Env: []string{"A=1", "B=two words"}, Files: []*os.File{null, nil, nil, nil, extra}},
		`for n in 0 3 4; do /usr/bin/readlink /proc/$$/fd/$n || echo closed; done; /usr/bin/tr '\0' '\n' </proc/$$/environ`)
	if want := "/dev/null\nclosed\n/dev/zero\nA=1\nB=two words"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStartInASession(t *testing.T) {
	const text = `read _ _ _ _ group session _ </proc/$$/stat; echo $$ $group $session`
	own := strings.Fields(script(t, Spec{Session: true}, text))
	if own[0] != own[1] || own[0] != own[2] {
		t.Errorf("pid, process group and session: %v", own)
	}
	ours, err := unix.Getsid(0)
	if err != nil {
		t.Fatal(err)
	}
	if same := strings.Fields(script(t, Spec{}, text)); same[2] != strconv.Itoa(ours) {
		t.Errorf("without a session of its own: %v, ours is %d", same, ours)
	}
}

// The first process of a user namespace has every capability in it, although no id is mapped yet.
func TestStartInAUserNamespaceHasCapabilities(t *testing.T) {
	makeable(t, User)
	got := strings.Fields(script(t, Spec{Kinds: User}, `while read name value; do case $name in Uid:|CapEff:|CapPrm:) echo $value;; esac; done </proc/$$/status`))
	last, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(last)))
	if err != nil {
		t.Fatal(err)
	}
	overflow, err := os.ReadFile("/proc/sys/kernel/overflowuid")
	if err != nil {
		t.Fatal(err)
	}
	full := fmt.Sprintf("%016x", uint64(1)<<(n+1)-1)
	if got[0] != strings.TrimSpace(string(overflow)) || !slices.Equal(got[len(got)-2:], []string{full, full}) {
		t.Errorf("uid and capabilities: %v", got)
	}
}

func TestStartThatFails(t *testing.T) {
	before := children(t)
	for _, kinds := range []Kinds{0, makeable(t, PID|Net)} {
		p, err := Start(Spec{Path: "/nonexistent", Args: []string{"x"}, Kinds: kinds})
		if !errors.Is(err, unix.ENOENT) || p != nil || !strings.Contains(err.Error(), kinds.String()) {
			t.Errorf("a program that is not there: %v, %v", p, err)
		}
	}
	closed, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	if _, err := Start(Spec{Path: "/bin/true", Args: []string{"true"}, Files: []*os.File{closed}}); err == nil {
		t.Error("a closed file: no error")
	}
	if after := children(t); !slices.Equal(before, after) {
		t.Errorf("children: %v before, %v after", before, after)
	}
}

func TestProcessEnds(t *testing.T) {
	p, err := Start(Spec{Path: "/bin/sh", Args: []string{"sh", "-c", "exit 7"}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.PIDFD.Close()
	if status, err := p.Wait(); err != nil || status.ExitStatus() != 7 {
		t.Errorf("status %v, %v", status, err)
	}
	if err := p.Kill(); err != nil {
		t.Errorf("Kill of one that has ended: %v", err)
	}
	q, err := Start(Spec{Path: "/bin/sleep", Args: []string{"sleep", "1000"}})
	if err != nil {
		t.Fatal(err)
	}
	defer q.PIDFD.Close()
	if err := q.Kill(); err != nil {
		t.Error(err)
	}
	if status, err := q.Wait(); err != nil || status.Signal() != unix.SIGKILL {
		t.Errorf("status %v, %v", status, err)
	}
}

// PR_SET_PDEATHSIG is about the thread that forked: it must not be one that ends before the process does.
func TestStartFromAThreadThatEnds(t *testing.T) {
	started, gone := make(chan *Process), make(chan int)
	go func() {
		runtime.LockOSThread() // and not unlocked: the thread ends with the goroutine
		p, err := Start(Spec{Path: "/bin/sleep", Args: []string{"sleep", "1000"}, DieWithUs: true})
		if err != nil {
			t.Error(err)
		}
		started <- p
		gone <- unix.Gettid()
	}()
	var tid int
	p := <-started
	if tid = <-gone; p == nil {
		return
	}
	defer p.PIDFD.Close()
	for {
		if _, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", tid)); os.IsNotExist(err) || tid == unix.Getpid() {
			break
		}
		runtime.Gosched()
	}
	if ended(t, int(p.PIDFD.Fd()), 0) {
		t.Error("the process has ended with the thread that started it")
	}
	if err := p.Kill(); err != nil {
		t.Error(err)
	}
	if _, err := p.Wait(); err != nil {
		t.Error(err)
	}
}

// ended reports whether the process behind pidfd ends within a time in milliseconds.
func ended(t *testing.T, pidfd int, ms int) bool {
	t.Helper()
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, ms)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			t.Error(err)
		}
		return n == 1
	}
}

func TestDieWithUs(t *testing.T) {
	if os.Getenv("NSTEST_PARENT") != "" {
		parent()
	}
	for _, kinds := range []Kinds{0, makeable(t, PID)} {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestDieWithUs$")
		cmd.Env = append(os.Environ(), "NSTEST_PARENT="+strconv.Itoa(int(kinds)))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(out).ReadString('\n')
		pid, perr := strconv.Atoi(strings.TrimSpace(line))
		if err != nil || perr != nil {
			t.Fatalf("the parent printed %q: %v %v", line, err, perr)
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			t.Fatal(err)
		}
		if ended(t, fd, 0) {
			t.Error("the process has ended before its parent")
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if !ended(t, fd, 20_000) {
			t.Errorf("the process lives on after its parent")
		}
		unix.Close(fd)
		in.Close()
		cmd.Wait()
	}
}

// parent starts a process that is to die with it, tells its number, and waits for the kill.
func parent() {
	kinds, err := strconv.Atoi(os.Getenv("NSTEST_PARENT"))
	if err != nil {
		panic(err)
	}
	p, err := Start(Spec{Path: "/bin/sleep", Args: []string{"sleep", "1000"}, Kinds: Kinds(kinds), DieWithUs: true})
	if err != nil {
		panic(err)
	}
	fmt.Println(p.PID)
	io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// A process that was killed has its directory in /proc until somebody waits for it, but the files there have become root's.
func TestAKilledProcessIsExiting(t *testing.T) {
	p, err := Start(Spec{Path: "/bin/sleep", Args: []string{"sleep", "9999"}, Kinds: makeable(t, PID), DieWithUs: true})
	if err != nil {
		t.Fatal(err)
	}
	defer p.PIDFD.Close()
	if p.Exiting() || p.Ended() {
		t.Error("a process that sleeps is said to be exiting")
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if !ended(t, int(p.PIDFD.Fd()), -1) || !p.Ended() {
		t.Fatal("a process that was killed has not ended")
	}
	_, err = os.OpenFile(fmt.Sprintf("/proc/%d/setgroups", p.PID), os.O_WRONLY, 0)
	if os.Geteuid() != 0 && !errors.Is(err, unix.EACCES) {
		t.Errorf("opening a file of a killed process gave %v, want %v", err, unix.EACCES)
	}
	if !p.Exiting() {
		t.Error("a killed process is not said to be exiting")
	}
	if _, err := p.Wait(); err != nil {
		t.Fatal(err)
	}
	if !p.Exiting() {
		t.Error("a process that has gone is not said to be exiting")
	}
}
