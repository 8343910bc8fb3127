package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hermetic-go/nstest/nstest"
	"golang.org/x/sys/unix"
)

func TestSplits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		target string
		names  int
		want   string
	}{
		{"12", 1, "[[12]]"}, {"12.3", 2, "[[12.3]]"}, {"12.3/web", 1, "[[12.3 web]]"}, {"12.3/web/lan", 2, "[[12.3 web lan]]"},
		{"12/web/lan", 1, "[[12 web/lan]]"}, {"12.", 1, "[[12.]]"},
		{"shop", 1, "[[shop]]"}, {"shop/web", 1, "[[shop/web] [shop web]]"}, {"TestA/b/web/lan", 2, "[[TestA/b/web/lan] [TestA/b/web lan] [TestA/b web lan]]"},
		{"a/b", 0, "[[a/b]]"}, {"", 1, "[[]]"},
	} {
		if got := fmt.Sprint(splits(c.target, c.names)); got != c.want {
			t.Errorf("%q of %d is %s, want %s", c.target, c.names, got, c.want)
		}
	}
}

// shop is an environment of this program.
func shop(t *testing.T) *nstest.Env {
	t.Helper()
	env := nstest.New(t, nstest.Config{})
	env.Host("web")
	return env
}

// A capturing is a nstest capture that runs.
type capturing struct {
	t      *testing.T
	cmd    *exec.Cmd
	out    io.Reader
	stderr bytes.Buffer
	got    []byte
}

func startCapture(t *testing.T, args ...string) *capturing {
	t.Helper()
	c := &capturing{t: t, cmd: exec.Command("nstest", append([]string{"capture"}, args...)...)}
	c.cmd.Stderr = &c.stderr
	var err error
	if c.out, err = c.cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return c
}

// see reads until text has come.
func (c *capturing) see(text string) {
	c.t.Helper()
	chunk := make([]byte, 4096)
	for !bytes.Contains(c.got, []byte(text)) {
		n, err := c.out.Read(chunk)
		c.got = append(c.got, chunk[:n]...)
		if err != nil {
			c.t.Fatalf("%q was not captured: %v; %s", text, err, &c.stderr)
		}
	}
}

// leave reads the rest, waits for the end, and returns the kinds of the blocks that were written.
func (c *capturing) leave() []uint32 {
	c.t.Helper()
	rest, err := io.ReadAll(c.out)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.cmd.Wait(); err != nil {
		c.t.Fatalf("%v: %s", err, &c.stderr)
	}
	c.got = append(c.got, rest...)
	return blocks(c.t, c.got)
}

// blocks are the kinds of the blocks of a pcapng file, which has to end with a whole one.
func blocks(t *testing.T, b []byte) []uint32 {
	t.Helper()
	var kinds []uint32
	for len(b) > 0 {
		if len(b) < 12 || int(binary.LittleEndian.Uint32(b[4:])) > len(b) {
			t.Fatalf("the file is cut after %d blocks: %x", len(kinds), b)
		}
		kinds = append(kinds, binary.LittleEndian.Uint32(b))
		b = b[binary.LittleEndian.Uint32(b[4:]):]
	}
	return kinds
}

// The kinds of blocks.
const (
	pcapngPacket     = 6
	pcapngStatistics = 5
)

func say(t *testing.T, env *nstest.Env, text string) {
	t.Helper()
	c, err := env.Host("web").DialContext(t.Context(), "udp4", net.JoinHostPort(env.Self().Addr().String(), "7777"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// section is in the first block of a capture, which comes when it has begun.
const section = "environment Test"

func TestCaptureStreams(t *testing.T) {
	env := shop(t)
	c := startCapture(t, env.ID()+"/web", "udp", "port", "7777")
	c.see(section)
	say(t, env, "while it passes")
	c.see("while it passes")
	if err := c.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	kinds := c.leave()
	packets := 0
	for _, k := range kinds {
		if k == pcapngPacket {
			packets++
		}
	}
	if packets != 1 || kinds[len(kinds)-1] != pcapngStatistics {
		t.Errorf("the blocks are %d, want one packet, and statistics at the end", kinds)
	}
	if got := c.stderr.String(); got != "nstest: 1 packets\n" {
		t.Errorf("standard error is %q", got)
	}
}

func TestCaptureToFile(t *testing.T) {
	env := shop(t)
	path := filepath.Join(t.TempDir(), "packets")
	c := startCapture(t, "-w", path, "-s", "60", env.ID()+"/self/lan", "udp")
	await(t, func() bool { b, err := os.ReadFile(path); return err == nil && bytes.Contains(b, []byte(section)) })
	say(t, env, "what passes"+strings.Repeat(".", 1000))
	await(t, func() bool {
		b, err := os.ReadFile(path)
		return err == nil && bytes.Contains(b, []byte("what passes"))
	})
	if err := c.cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	c.leave()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if kinds := blocks(t, b); kinds[len(kinds)-1] != pcapngStatistics || bytes.Contains(b, []byte(strings.Repeat(".", 100))) {
		t.Errorf("the blocks are %d, want statistics at the end, and the beginnings of packets", kinds)
	}
}

// await waits until something holds. It is not to take long.
func await(t *testing.T, holds func() bool) {
	t.Helper()
	for t.Context().Err() == nil && !holds() {
	}
}

func TestCaptureEndsWithEnvironment(t *testing.T) {
	env := shop(t)
	c := startCapture(t, "-w", "-", env.ID())
	c.see(section)
	if err := env.Close(); err != nil {
		t.Fatal(err)
	}
	c.leave()
	if !strings.Contains(c.stderr.String(), "the environment has ended") {
		t.Errorf("standard error is %q", &c.stderr)
	}
}

// Whoever reads may have had enough, and whoever captures may be killed: the environment has nothing of either.
func TestCaptureIsCutOff(t *testing.T) {
	for _, killed := range []bool{true, false} {
		env := shop(t)
		c := startCapture(t, env.ID())
		c.see(section)
		if killed {
			if err := c.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		} else if err := c.out.(io.Closer).Close(); err != nil {
			t.Fatal(err)
		}
		say(t, env, "to nobody")
		if err := c.cmd.Wait(); err == nil {
			t.Errorf("killed: %v: capture has succeeded", killed)
		}
		if err := env.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestCaptureRefuses(t *testing.T) {
	t.Parallel()
	env := shop(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{env.ID() + "/db"}, "has no host db, but self, web"},
		{[]string{env.ID() + "/web/wan"}, "host web has no link to network wan"},
		{[]string{env.ID(), "nonsense"}, "nonsense"},
		{[]string{"-w", "/no/such/directory/file", env.ID()}, "no such file or directory"},
		{[]string{"--snap=-1", env.ID()}, "--snap is negative"},
		{[]string{"0.1"}, "there is no such environment"},
		{nil, "nstest capture --help"},
	} {
		var stderr bytes.Buffer
		cmd := exec.Command("nstest", append([]string{"capture"}, c.args...)...)
		cmd.Stderr = &stderr
		if err := cmd.Run(); cmd.ProcessState.ExitCode() != statusFailed || !strings.Contains(stderr.String(), c.want) {
			t.Errorf("%q: %v, %q; want %q", c.args, err, &stderr, c.want)
		}
	}
}

// Packets would make a mess of a terminal.
func TestCaptureKeepsOffTerminals(t *testing.T) {
	t.Parallel()
	c := sit(t, 24, 80, "capture", "0.1")
	c.see("name a file with -w FILE")
	c.leave(statusFailed)
}

func TestEnterHasTerminal(t *testing.T) {
	env := shop(t)
	c := sit(t, 31, 101, "enter", env.ID()+"/web")
	c.see("> ")
	if *c.settings() == *c.before {
		t.Error("the terminal is not raw while the shell runs")
	}
	c.enter("tty; stty size; hostname")
	c.see("\n/dev/pts/0\r\n31 101\r\nweb\r\n")
	c.enter("exit 7")
	c.leave(7)
	if out, err := env.Host("web").Command("hostname").Output(); err != nil || string(out) != "web\n" {
		t.Errorf("after that hostname prints %q, %v", out, err)
	}
}

// What a shell leaves in the background has its terminal. Nobody waits for that.
func TestEnterLeavesBackground(t *testing.T) {
	env := shop(t)
	c := sit(t, 24, 80, "enter", env.ID(), "--", "sh", "-c", "trap '' HUP; sleep 1000 & echo the l''ast; exit 4")
	c.see("the last\r\n")
	c.leave(4)
	await(t, func() bool { return env.Self().Command("pgrep", "-x", "sleep").Run() == nil }) // it may not have been executed yet
}

// A killed nstest enter takes its command along.
func TestEnterIsKilled(t *testing.T) {
	env := shop(t)
	cmd := exec.Command("nstest", "enter", env.ID(), "--", "sh", "-c", "echo started; sleep 1000 & wait")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("started"))); err != nil {
		t.Fatal(err)
	}
	sleeps := func() bool { return env.Self().Command("pgrep", "-x", "sleep").Run() == nil }
	await(t, sleeps)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	await(t, func() bool { return !sleeps() })
}

// The terminal is as it was when the environment has ended under a shell.
func TestEnvironmentEndsUnderShell(t *testing.T) {
	env := shop(t)
	c := sit(t, 24, 80, "enter", env.ID())
	c.see("> ")
	if err := env.Close(); err != nil {
		t.Fatal(err)
	}
	c.see("the environment has ended")
	c.leave(statusFailed)
}

// Tests are found by their names, which can have slashes.
func TestEnterByName(t *testing.T) {
	t.Run("a/b", func(t *testing.T) {
		shop(t)
		for target, want := range map[string]string{t.Name(): "self", t.Name() + "/web": "web", "EnterByName/a/b/web": "web"} {
			out, err := exec.Command("nstest", "enter", target, "--", "hostname").Output()
			if strings.TrimSpace(string(out)) != want || err != nil {
				t.Errorf("hostname of %s is %q, %v; want %s", target, out, err, want)
			}
		}
	})
}

// What other programs call their tests does no harm to a terminal.
func TestLsIsPrintable(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	list := []nstest.Listing{{ID: "1.1", Name: "red \x1b[31m\n\u202e", Kind: "new", UID: os.Geteuid(), Hosts: []string{"self", "a", "b", "c", "d", "e"}, Command: []string{"/bin/\x07bell"}, Memory: 3 << 20}}
	if err := printListings(&b, list); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(b.String(), "\n")
	if len(lines) != 3 || !strings.HasSuffix(lines[1], "new red \uFFFD[31m\uFFFD\uFFFD") || !strings.Contains(lines[1], " \uFFFDbell ") || !strings.Contains(lines[1], " self,a,b,c,+2 ") || !strings.Contains(lines[1], " 3.0 MiB ") {
		t.Errorf("the list is %q", lines)
	}
	if i := slices.IndexFunc([]rune(b.String()), func(r rune) bool { return r < ' ' && r != '\n' }); i >= 0 {
		t.Errorf("it has control characters: %q", b.String())
	}
}
