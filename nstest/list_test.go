package nstest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/door"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"github.com/hermetic-go/nstest/nstest/leaks"
	"golang.org/x/sys/unix"
)

// listed is the environment in List, nil if it is not.
func listed(t *testing.T, id string) *Listing {
	t.Helper()
	list, silent := List(t.Context())
	for _, l := range list {
		if l.ID == id {
			return &l
		}
	}
	tellsNothingOf(t, silent, id)
	return nil
}

// tellsNothingOf fails the test if the keeper of the environment id is among those that have not answered List. Others, which are
// of tests that run at the same time, may be slow.
func tellsNothingOf(t *testing.T, silent error, id string) {
	t.Helper()
	if program, _, _ := strings.Cut(id, "."); strings.Contains(text(silent), "process "+program+":") {
		t.Fatal(silent)
	}
}

func attachTo(t *testing.T, id string) *Env {
	t.Helper()
	env, err := Attach(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := env.Close(); err != nil {
			t.Error(err)
		}
	})
	return env
}

func TestListTells(t *testing.T) {
	leaks.Check(t)
	before := time.Now()
	env := New(t, Config{})
	env.Host("web")
	env.Host("db")
	sleep := env.Host("web").Command("sleep", "1000")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	l := listed(t, env.ID())
	if l == nil {
		t.Fatalf("environment %s is not listed", env.ID())
	}
	if l.Name != t.Name() || l.Kind != "new" || !slices.Equal(l.Hosts, []string{"self", "db", "web"}) || l.PID != os.Getpid() || l.UID != os.Geteuid() || !slices.Equal(l.Command, os.Args) || !l.Held.IsZero() {
		t.Errorf("it is listed as %+v", l)
	}
	if l.Began.Before(before) || l.Began.After(time.Now()) {
		t.Errorf("it began at %v, which is not between %v and now", l.Began, before)
	}
	if l.Processes != 4 || l.Memory <= 0 { // three inits and sleep
		t.Errorf("%d processes have %d bytes, want 4 with some", l.Processes, l.Memory)
	}
	if want := strconv.Itoa(os.Getpid()) + "."; !strings.HasPrefix(env.ID(), want) {
		t.Errorf("the ID is %s, want %sN", env.ID(), want)
	}
	other := New(t, Config{Name: "other"})
	if o := listed(t, other.ID()); other.ID() == env.ID() || o == nil || o.Name != "other" || o.Processes != 1 {
		t.Errorf("the other one, %s, is listed as %+v", other.ID(), o)
	}
	if err := env.Close(); err != nil {
		t.Fatal(err)
	}
	if l := listed(t, env.ID()); l != nil {
		t.Errorf("a closed one is listed as %+v", l)
	}
}

// What is kept ready for the next Open is nobody's yet.
func TestListLeavesOutSpares(t *testing.T) {
	for range 3 {
		if err := New(t, Config{Name: "again"}).Close(); err != nil {
			t.Fatal(err)
		}
	}
	env := New(t, Config{Name: "again"})
	awaitInits(t, 2) // its own, and that of the spare one
	list, silent := List(t.Context())
	tellsNothingOf(t, silent, env.ID())
	own := 0
	for _, l := range list {
		if l.PID == os.Getpid() {
			own++
		}
	}
	if l := listed(t, env.ID()); own != 1 || l == nil || l.Name != "again" {
		t.Errorf("%d environments of this program are listed, ours as %+v; want it alone", own, l)
	}
}

func TestAttach(t *testing.T) {
	leaks.Check(t)
	env := New(t, Config{})
	env.Host("web")
	guest := attachTo(t, env.ID())
	if guest.ID() != env.ID() || guest.Name() != env.Name() || guest.Self().Addr() != env.Self().Addr() {
		t.Errorf("attached to %s, %s; want %s, %s", guest.ID(), guest.Name(), env.ID(), env.Name())
	}
	env.Host("db") // later
	for _, name := range []string{"web", "DB"} {
		h, err := guest.FindHost(name)
		if err != nil || h.Addr() != env.Host(name).Addr() {
			t.Errorf("host %s is %v, %v; want one with the address %v", name, h, err, env.Host(name).Addr())
		}
	}
	if out, err := guest.Host("db").Command("hostname").Output(); strings.TrimSpace(string(out)) != "db" || err != nil {
		t.Errorf("hostname on db prints %q, %v", out, err)
	}
	if _, err := guest.FindHost("none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want one that there is no such host", err)
	}
	if guest.Network("lan").Prefixes()[0] != env.Network("lan").Prefixes()[0] {
		t.Error("the network is another one")
	}
	if _, err := guest.AddHost(HostConfig{Name: "made"}); err != nil {
		t.Fatal(err)
	}

	// What the guest has started ends with it; the rest goes on.
	own := env.Host("web").Command("sleep", "1000")
	its := guest.Host("web").Command("sh", "-c", "sleep 1000 & wait")
	background := guest.Host("web").Command("sh", "-c", "setsid sleep 2000 & exit 0")
	if err := errors.Join(own.Start(), its.Start(), background.Run()); err != nil {
		t.Fatal(err)
	}
	sleeps := func() string {
		out, _ := env.Host("web").Command("pgrep", "-a", "sleep").Output()
		return string(out)
	}
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(sleeps(), "sleep 2000") && time.Now().Before(deadline); { // then it has left its process group
	}
	path := filepath.Join(t.TempDir(), "packets")
	if _, err := guest.Capture(CaptureConfig{Path: path}); err != nil {
		t.Fatal(err)
	}
	if err := guest.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := guest.Host("web").Command("true").Output(); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed Env gives %v, want ErrClosed", err)
	}
	for deadline := time.Now().Add(30 * time.Second); strings.Count(sleeps(), "sleep 1000") != 1 && time.Now().Before(deadline); {
	}
	if got := sleeps(); strings.Count(got, "sleep 1000") != 1 || strings.Count(got, "sleep 2000") != 1 {
		t.Errorf("on web there are\n%s, want the owner's and the one that has left its process group", got)
	}
	if _, err := env.FindHost("made"); err != nil {
		t.Errorf("the host that the guest has made: %v", err)
	}
	if err := own.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = own.Wait()
}

func TestAttachedEnvironmentEnds(t *testing.T) {
	leaks.Check(t)
	env := New(t, Config{})
	guest := attachTo(t, env.ID())
	c := guest.Self().Command("sleep", "1000")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if err := env.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); !errors.Is(err, ErrClosed) {
		t.Errorf("the command ended with %v, want ErrClosed", err)
	}
	<-guest.conn.Done()
	if _, err := guest.AddHost(HostConfig{Name: "late"}); !errors.Is(err, ErrClosed) {
		t.Errorf("error %v, want ErrClosed", err)
	}
	if _, err := Attach(t.Context(), env.ID()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want that there is no such environment", err)
	}
}

// The owner's connection is for the owner's program; a guest cannot use it up.
func TestAttachIsBounded(t *testing.T) {
	leaks.Check(t)
	env := New(t, Config{})
	var last *Env
	for range 64 {
		last = attachTo(t, env.ID())
	}
	if _, err := Attach(t.Context(), env.ID()); !errors.Is(err, unix.EUSERS) {
		t.Errorf("error %v, want EUSERS", err)
	}
	if err := last.Close(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; {
		more, err := Attach(t.Context(), env.ID())
		if err == nil {
			_ = more.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func TestPick(t *testing.T) {
	t.Parallel()
	me := os.Geteuid()
	found := found{
		list: []Listing{
			{ID: "100.1", PID: 100, UID: me, Name: "pays"},
			{ID: "100.2", PID: 100, UID: me, Name: "pays twice"},
			{ID: "1200.1", PID: 1200, UID: me, Name: "TestShop"},
			{ID: "1300.1", PID: 1300, UID: me + 1, Name: "theirs"},
			{ID: "1300.10", PID: 1300, UID: me + 1, Name: "pays"},
		},
		foreign: []*door.Foreigner{{UID: me + 2, Program: 77}},
	}
	for id, want := range map[string]string{
		"100.1": "100.1", "100.2": "100.2", "1300.1": "1300.1", "1200": "1200.1", "12": "1200.1", "1300.10": "1300.10",
		"pays": "100.1", "twice": "100.2", "Shop": "1200.1",
		"100": "2 environments", "13": "2 environments", "pay": "2 environments", "theirs": "no such", "1400": "no such", "": "no such", "7": "no such",
		"77": "process 77 is user", "77.1": "process 77 is user",
	} {
		l, err := found.pick(id)
		if err != nil && strings.Contains(err.Error(), want) {
			continue
		}
		if l.ID != want {
			t.Errorf("%q is %q, %v; want %s", id, l.ID, err, want)
		}
	}
	for id, want := range map[string]error{"1400": fs.ErrNotExist, "77.1": fs.ErrPermission, "100": fs.ErrExist} {
		if _, err := found.pick(id); !errors.Is(wrap("attach", id, "", err), want) {
			t.Errorf("%q gives %v, want %v", id, err, want)
		}
	}
}

// A person is another process, perhaps of another user.
type person struct {
	uid   int
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *bufio.Reader
}

// part is a variable that says what the process of a person does.
const part = "NSTEST_TEST_PART"

// become starts a person who does what the words say.
func become(t *testing.T, uid int, words ...string) *person {
	t.Helper()
	p := &person{uid: uid, cmd: exec.Command("/proc/self/exe", "-test.run=^TestPersons$")} // others may not read the way to it
	p.cmd.Dir = "/"
	p.cmd.Env = append(os.Environ(), part+"="+strings.Join(words, " "), "HOME=/", "GORACE=atexit_sleep_ms=0")
	p.cmd.Stderr = os.Stderr
	if uid != os.Geteuid() {
		p.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.stdin.Close()
		_, _ = io.Copy(io.Discard, p.out)
		if err := p.cmd.Wait(); err != nil && p.cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != unix.SIGKILL {
			t.Errorf("process of user %d: %v", uid, err)
		}
	})
	return p
}

// says is the next line that a person prints.
func (p *person) says(t *testing.T) string {
	t.Helper()
	line, err := p.out.ReadString('\n')
	if err != nil {
		t.Fatalf("user %d says nothing: %q, %v", p.uid, line, err)
	}
	return strings.TrimSpace(line)
}

// TestPersons is the process of a person.
func TestPersons(t *testing.T) {
	words := strings.Fields(os.Getenv(part))
	if len(words) == 0 {
		return
	}
	switch words[0] {
	case "open":
		env := New(t, Config{Name: "theirs", Share: Namespaces{Net: len(words) > 1}})
		fmt.Println(env.ID(), keepers.current.PID())
		_, _ = io.Copy(io.Discard, os.Stdin)
	case "attach":
		t.Setenv(part, "")
		list, silent := List(context.Background())
		tellsNothingOf(t, silent, words[1])
		var a attempt
		for _, l := range list {
			a.Listed = a.Listed || l.ID == words[1]
		}
		env, err := Attach(context.Background(), words[1])
		a.Refused, a.Denied = text(err), errors.Is(err, fs.ErrPermission)
		if err == nil {
			out, err := env.Self().Command("hostname").Output()
			a.Hostname = strings.TrimSpace(string(out)) + text(err)
			_ = env.Close()
		}
		names, err := door.Find()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.Contains(name, "/"+strings.SplitN(words[1], ".", 2)[0]+"-") {
				a.Answer = plain(name)
			}
		}
		_ = json.NewEncoder(os.Stdout).Encode(a)
	}
}

// An attempt is what came of an attempt to attach.
type attempt struct {
	Listed   bool
	Refused  string
	Denied   bool // is fs.ErrPermission
	Hostname string
	Answer   string // to a request by somebody who does not ask who the other one is
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// plain asks a keeper without any of the checks of package door.
func plain(name string) string {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err.Error()
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: "@" + name}); err != nil {
		return "connect: " + err.Error()
	}
	c, err := wire.NewClient(os.NewFile(uintptr(fd), "keeper"))
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	pids, err := os.Open("/proc/self/ns/pid")
	if err != nil {
		return err.Error()
	}
	defer pids.Close()
	var r wire.ListResult
	if _, err := c.Call(context.Background(), wire.MethodList, nil, &r, pids); err != nil {
		return "refused: " + err.Error()
	}
	return "answered"
}

func try(t *testing.T, uid int, id string) attempt {
	t.Helper()
	var a attempt
	if err := json.Unmarshal([]byte(become(t, uid, "attach", id).says(t)), &a); err != nil {
		t.Fatal(err)
	}
	return a
}

// Nobody gets at the environments of others, but root.
func TestOtherUsers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root has other users' processes to try with")
	}
	uids := []int{0, 4242, 4343}
	for _, owner := range uids {
		for _, guest := range uids {
			t.Run(fmt.Sprintf("%d to %d", guest, owner), func(t *testing.T) {
				t.Parallel()
				id, _, _ := strings.Cut(become(t, owner, "open").says(t), " ")
				a := try(t, guest, id)
				if guest == 0 || guest == owner {
					if !a.Listed || a.Refused != "" || a.Hostname != "self" {
						t.Errorf("got %+v, want the environment", a)
					}
				} else {
					want := fmt.Sprintf("is user %d's, and only that user and root may see its environments", owner)
					if a.Listed || !a.Denied || !strings.Contains(a.Refused, want) {
						t.Errorf("got %+v, want nothing listed, and a refusal that says %q", a, want)
					}
				}
				// The keeper itself refuses; an ordinary user's cannot tell root from others, who has to come as that user.
				if want := guest == owner; a.Answer == "answered" != want || a.Answer == "" {
					t.Errorf("a plain question is %s", a.Answer)
				}
			})
		}
	}
}

// What runs in an environment with the machine's network can reach the keepers outside. An ordinary user's is that user
// outside too, and gets no answer nevertheless.
func TestInsideIsNotOutside(t *testing.T) {
	id, _, _ := strings.Cut(become(t, os.Geteuid(), "open").says(t), " ")
	if a := try(t, os.Geteuid(), id); !a.Listed || a.Answer != "answered" {
		t.Fatalf("from outside it is %+v", a)
	}
	env := New(t, Config{Share: Namespaces{Net: true}})
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := env.Self().Command(exe, "-test.run=^TestPersons$")
	c.Env = append(os.Environ(), part+"=attach "+id)
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	var a attempt
	if err := json.Unmarshal([]byte(line), &a); err != nil {
		t.Fatal(err)
	}
	if a.Listed || !strings.Contains(a.Refused, "no such environment") || !strings.HasPrefix(a.Answer, "refused: ") {
		t.Errorf("from inside it is %+v", a)
	}
}

// Whoever is attached to an environment whose keeper is killed learns of it.
func TestKeeperDiesUnderGuests(t *testing.T) {
	leaks.Check(t)
	owner := become(t, os.Geteuid(), "open")
	id, pid, _ := strings.Cut(owner.says(t), " ")
	guest := attachTo(t, id)
	c := guest.Self().Command("sleep", "1000")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	keeper, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(keeper, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); !errors.Is(err, ErrClosed) {
		t.Errorf("the command ended with %v, want ErrClosed", err)
	}
	if _, err := guest.AddHost(HostConfig{Name: "late"}); !errors.Is(err, ErrClosed) {
		t.Errorf("error %v, want ErrClosed", err)
	}
	if _, err := Attach(t.Context(), id); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want that there is no such environment", err)
	}
	_ = owner.cmd.Process.Kill() // its New cannot be closed properly any more
}
