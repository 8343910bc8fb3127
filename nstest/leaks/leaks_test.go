package leaks

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/census"
	"github.com/hermetic-go/nstest/nstest/internal/rtnl"
	"golang.org/x/sys/unix"
)

// planting names, in the environment of this test binary, the leaks that it is to plant in itself.
const planting = "NSTEST_LEAKS_PLANT"

func TestMain(m *testing.M) {
	if what := os.Getenv(planting); what != "" {
		settled = 200 * time.Millisecond
		os.Exit(run(planter(what), os.Stdout))
	}
	if os.Getenv("NSTEST_LEAKS_FORGETFUL") != "" { // see TestASuiteFailsForWhatItsSpecsForget
		settled = 200 * time.Millisecond
	}
	os.Exit(Main(m))
}

// A planter is a suite that passes and leaves something behind.
type planter string

func (p planter) Run() int {
	plant, ok := plants[string(p)]
	if !ok {
		panic(p)
	}
	if err := plant(); err != nil {
		fmt.Println(err)
		return 3
	}
	return 0
}

// openEnds keeps the other ends of pipes that somebody reads from: one that is collected is closed.
var openEnds []*os.File

// plants run in a program of their own, as root of user, network, mount and PID namespaces of their own.
var plants = map[string]func() error{
	"nothing": func() error { return nil },
	"mount":   func() error { return unix.Mount("/tmp", "/mnt", "", unix.MS_BIND, "") },
	"link": func() error {
		c, err := rtnl.Open()
		if err != nil {
			return err
		}
		defer c.Close()
		var msgs rtnl.Batch
		msgs.Bridge(rtnl.BridgeSpec{Name: "left", Index: 7, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}})
		return c.Send(&msgs)
	},
	"socket": func() error {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrUnix{Name: "@nstest-left"})
	},
	"thread": func() error {
		done := make(chan error)
		go func() {
			runtime.LockOSThread()
			done <- unix.Unshare(unix.CLONE_NEWNET)
			select {}
		}()
		return <-done
	},
	"threads": func() error {
		before := len(tasks())
		for range threadSlack + 20 {
			r, w, err := os.Pipe()
			if err != nil {
				return err
			}
			openEnds = append(openEnds, w)
			go func() { // a read that the runtime does not know of takes a thread
				var b [1]byte
				_ = unix.SetNonblock(int(r.Fd()), false)
				_, _ = unix.Read(int(r.Fd()), b[:])
			}()
		}
		for len(tasks()) < before+threadSlack+20 {
			runtime.Gosched()
		}
		return nil
	},
	"idle": func() error {
		var ends []*os.File
		var done sync.WaitGroup
		before := len(tasks())
		for range threadSlack + 20 {
			r, w, err := os.Pipe()
			if err != nil {
				return err
			}
			ends = append(ends, r, w)
			done.Go(func() {
				_ = unix.SetNonblock(int(r.Fd()), false)
				_, _ = unix.Read(int(r.Fd()), make([]byte, 1))
			})
		}
		for len(tasks()) < before+threadSlack+20 {
			runtime.Gosched()
		}
		for i := 1; i < len(ends); i += 2 {
			if _, err := ends[i].Write([]byte{1}); err != nil {
				return err
			}
		}
		done.Wait()
		for _, f := range ends {
			_ = f.Close()
		}
		return nil
	},
	"process": func() error { return exec.Command("sleep", "1000").Start() },
	"namespace": func() error {
		c := exec.Command("sleep", "1000")
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUTS, Pdeathsig: syscall.SIGKILL}
		runtime.LockOSThread()
		return c.Start()
	},
	"file": func() error {
		_, err := unix.Open("/etc/hosts", unix.O_CLOEXEC, 0)
		return err
	},
	"environment": func() error {
		census.Enter("forgotten", 0)
		return nil
	},
}

// planted runs this binary as a planter and returns its exit status and what it said.
func planted(t *testing.T, what string) (int, string) {
	t.Helper()
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), planting+"="+what)
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = c.Process.Kill() })
	defer stop()
	out, err := c.CombinedOutput()
	if c.ProcessState == nil {
		if os.Getenv("NSTEST_MUST_RUN") == "1" {
			t.Fatalf("NSTEST_MUST_RUN=1, and user namespaces cannot be made here: %v", err)
		}
		t.Skipf("user namespaces cannot be made here: %v; `nstest doctor` says how to change that", err)
	}
	return c.ProcessState.ExitCode(), string(out)
}

func TestMainFindsWhatASuiteLeavesBehind(t *testing.T) {
	for _, c := range []struct{ plant, want, origin string }{
		{"mount", "leaked mount /mnt", "/tmp"},
		{"link", "leaked network device left", ""},
		{"socket", "leaked abstract socket @nstest-left", "this program"},
		{"thread", "leaked thread ", "in net:["},
		{"threads", "leaked thread ", "threads that wait for something"},
		{"process", "sleep 1000", "child of"},
		{"namespace", "leaked namespace uts:[", "of process"},
		{"file", "→ /etc/hosts", "flags:"},
		{"environment", "leaked environment forgotten", "opened by github.com/hermetic-go/nstest/nstest/leaks.init.func"},
	} {
		t.Run(c.plant, func(t *testing.T) {
			code, out := planted(t, c.plant)
			if code != 1 || !strings.Contains(out, c.want) || !strings.Contains(out, c.origin) {
				t.Errorf("exit status %d, want 1 and %q with %q:\n%s", code, c.want, c.origin, out)
			}
		})
	}
	for _, plant := range []string{"nothing", "idle"} { // the Go runtime keeps threads that were once needed
		t.Run(plant, func(t *testing.T) {
			if code, out := planted(t, plant); code != 0 || out != "" {
				t.Errorf("exit status %d, want 0 without a word:\n%s", code, out)
			}
		})
	}
}

// wait is short for leaks that are known to stay.
func wait(s Snapshot) []Leak {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	return s.Wait(ctx)
}

func kindsIn(list []Leak) []Kind {
	var out []Kind
	for _, l := range list {
		out = append(out, l.Kind)
	}
	return slices.Compact(out)
}

func TestAGoroutineIsFoundWithItsCreator(t *testing.T) {
	before := Take()
	stop := make(chan struct{})
	go func() { <-stop }()
	found := wait(before)
	close(stop)
	if len(found) != 1 || found[0].Kind != Goroutine || !strings.Contains(found[0].Origin, "created by github.com/hermetic-go/nstest/nstest/leaks.TestAGoroutineIsFoundWithItsCreator") {
		t.Errorf("found %v, want one goroutine and this test as its creator", found)
	}
	if left := before.Leaks(); len(left) > 0 {
		t.Errorf("after its end: %v", left)
	}
}

func TestAGoroutineThatHasEndedIsNoLeak(t *testing.T) {
	const maker = "created by example.com/it.Make in goroutine 24\n\t/it/make.go:94 +0xd91"
	for stack, leak := range map[string]bool{
		"goroutine 9 [runnable]:\nruntime.goexit1()\n\t/go/proc.go:4475 +0xf0\nruntime.goexit({})\n\t/go/asm_amd64.s:1772 +0x6\n" + maker: false,
		"goroutine 9 [running]:\ncontext.(*timerCtx).cancel(0x1)\n\t/go/context.go:1 +0x1\ncontext.WithDeadlineCause.func2()\n\t/go/context.go:2 +0x2\n" +
			"created by time.goFunc\n\t/go/sleep.go:215 +0x2d": false,
		"goroutine 9 [runnable]:\nexample.com/it.Make.func1()\n\t/it/make.go:95 +0xf0\n" + maker: true,
	} {
		if e, found := goroutine(stack); found != leak {
			t.Errorf("%q is found: %v, %+v", stack, found, e)
		}
	}
}

// lateness is a keeper by which a look takes longer than there is time for.
type lateness func()

func (lateness) Running() bool   { return true }
func (lateness) StopIdle() error { return nil }
func (l lateness) Trim() error   { l(); return nil }

// What ends while the first look is taken is no leak, though there is no time left after that.
func TestWaitLooksAgainAfterALongLook(t *testing.T) {
	before := Take()
	ctx, cancel := context.WithCancel(t.Context())
	stop := make(chan struct{})
	go func() { <-stop }()
	looks := 0
	keeper := census.TheKeeper()
	census.SetKeeper(lateness(func() {
		if looks++; looks == 1 {
			cancel()
		} else if looks == 2 {
			close(stop)
		}
	}))
	t.Cleanup(func() { census.SetKeeper(keeper) })
	for ended := false; !ended; { // the goroutine has until the last look to end
		left := before.Wait(ctx)
		ended = len(left) == 0
		if looks < 2 {
			t.Fatalf("after %d looks: %v", looks, left)
		}
	}
}

func TestWhatTakesThePlaceOfAnotherIsNoLeak(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	before := Take()
	r2, w2, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if got := kindsIn(wait(before)); !slices.Equal(got, []Kind{File}) {
		t.Errorf("a second pipe: found %v, want files", got)
	}
	r.Close()
	w.Close()
	if left := before.Leaks(); len(left) > 0 {
		t.Errorf("one pipe for another: %v", left)
	}
	r2.Close()
	w2.Close()
}

func TestAZombieIsALeak(t *testing.T) {
	before := Take()
	c := exec.Command("true")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_PID, c.Process.Pid, &info, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	var found []Leak
	for _, l := range wait(before) {
		if l.Kind == Process {
			found = append(found, l)
		}
	}
	if len(found) != 1 || !strings.Contains(found[0].Origin, "nobody has waited") {
		t.Errorf("found %v, want the zombie", found)
	}
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
	if left := before.Leaks(); len(left) > 0 {
		t.Errorf("after the wait: %v", left)
	}
}

// Leaks waits for what is about to end.
func TestLeaksWaits(t *testing.T) {
	before := Take()
	started, stop := make(chan struct{}), make(chan struct{})
	go func() { close(started); <-stop }()
	<-started
	time.AfterFunc(100*time.Millisecond, func() { close(stop) })
	if left := before.Leaks(); len(left) > 0 {
		t.Errorf("found %v", left)
	}
}

// A recorder is a test whose clean-ups run when it is told.
type recorder struct {
	cleanups []func()
	errors   []string
}

func (r *recorder) Helper()          {}
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}
func (r *recorder) end() {
	for _, f := range slices.Backward(r.cleanups) {
		f()
	}
}

func TestCheckLooksAfterLaterCleanups(t *testing.T) {
	r := &recorder{}
	Check(r)
	f, err := os.Open("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	r.Cleanup(func() { f.Close() })
	r.end()
	if len(r.errors) > 0 {
		t.Errorf("complained of what was cleaned up: %v", r.errors)
	}
}

func TestReportIsBounded(t *testing.T) {
	text := Report(make([]Leak, limit+3))
	if !strings.HasSuffix(text, "and 3 more") {
		t.Errorf("got %q", text)
	}
}
