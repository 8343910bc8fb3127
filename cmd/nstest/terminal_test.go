package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A console is a person at a terminal on which nstest runs.
type console struct {
	t       *testing.T
	keys    *os.File // the controlling end
	tty     *os.File
	screen  *bufio.Reader
	before  *unix.Termios
	command *exec.Cmd
}

// sit starts nstest on a terminal of that size.
func sit(t *testing.T, rows, cols uint16, args ...string) *console {
	t.Helper()
	keys, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keys.Close() })
	var n uint32
	control(t, keys, func(fd int) error {
		n, err = unix.IoctlGetUint32(fd, unix.TIOCGPTN)
		return errors.Join(err, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	})
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	c := &console{t: t, keys: keys, tty: tty, screen: bufio.NewReader(keys)}
	c.resize(rows, cols)
	c.before = c.settings()
	c.command = exec.Command("nstest", args...)
	c.command.Env = append(os.Environ(), "SHELL=/bin/sh", "PS1=> ", "ENV=", "GORACE=atexit_sleep_ms=0")
	c.command.Stdin, c.command.Stdout, c.command.Stderr = tty, tty, tty
	c.command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := c.command.Start(); err != nil {
		t.Fatal(err)
	}
	return c
}

// control calls f with the descriptor of a file, and leaves it nonblocking, as File.Fd does not: reading has a deadline.
func control(t *testing.T, file *os.File, f func(fd int) error) {
	t.Helper()
	conn, err := file.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if ctlErr := conn.Control(func(fd uintptr) { err = f(int(fd)) }); ctlErr != nil || err != nil {
		t.Fatal(errors.Join(ctlErr, err))
	}
}

func (c *console) resize(rows, cols uint16) {
	c.t.Helper()
	control(c.t, c.keys, func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols})
	})
}

func (c *console) settings() *unix.Termios {
	c.t.Helper()
	var s *unix.Termios
	control(c.t, c.tty, func(fd int) (err error) {
		s, err = unix.IoctlGetTermios(fd, unix.TCGETS)
		return err
	})
	return s
}

func (c *console) enter(line string) {
	c.t.Helper()
	if _, err := io.WriteString(c.keys, line+"\n"); err != nil {
		c.t.Fatal(err)
	}
}

// see reads the screen until text is on it. What is typed is on it too: quotes keep a command from looking like its
// output.
func (c *console) see(text string) {
	c.t.Helper()
	if err := c.keys.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		c.t.Fatal(err)
	}
	var seen strings.Builder
	for !strings.HasSuffix(seen.String(), text) {
		b, err := c.screen.ReadByte()
		if err != nil {
			c.t.Fatalf("%q is not on the screen (%v):\n%s", text, err, seen.String())
		}
		seen.WriteByte(b)
	}
}

// leave waits for nstest to end with a status, and checks that the terminal is as it was.
func (c *console) leave(status int) {
	c.t.Helper()
	err := c.command.Wait()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		c.t.Fatal(err)
	}
	if got := c.command.ProcessState.ExitCode(); got != status {
		c.t.Errorf("exit status %d, want %d", got, status)
	}
	if after := c.settings(); *after != *c.before {
		c.t.Errorf("the terminal was not restored: %+v, was %+v", after, c.before)
	}
}

func TestShellHasTerminal(t *testing.T) {
	t.Parallel()
	c := sit(t, 31, 101, "shell")
	c.see("> ")
	if *c.settings() == *c.before {
		t.Error("the terminal is not raw while the shell runs")
	}
	c.enter("tty; stty size")
	c.see("\n/dev/pts/0\r\n31 101\r\n")

	// Ctrl-C is for what runs in the foreground inside.
	c.enter("sh -c 'echo sleep''ing...; exec sleep 1000'")
	c.see("sleeping...\r\n")
	c.enter("\x03")
	c.see("> ")
	c.enter("echo status $?")
	c.see("status 130\r\n")
	c.enter("exit 7")
	c.leave(7)
}

func TestShellFollowsSize(t *testing.T) {
	t.Parallel()
	c := sit(t, 24, 80, "shell")
	c.see("> ")
	c.enter("trap 'stty size' WINCH; while :; do echo loo''ping; sleep 1000 & wait; done")
	c.see("looping\r\n")
	c.resize(40, 120)
	c.see("40 120\r\n")
	if err := c.command.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	c.leave(128 + int(unix.SIGTERM))
}

func TestShellRestoresTerminal(t *testing.T) {
	t.Parallel()
	// What is ignored here, as SIGHUP is below nohup(1), is ignored by what is started here too; what is caught is not.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, unix.SIGHUP)
	t.Cleanup(func() { signal.Stop(hangups) })
	for _, sig := range []unix.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM} {
		t.Run(unix.SignalName(sig), func(t *testing.T) {
			t.Parallel()
			c := sit(t, 24, 80, "shell")
			c.see("> ")
			c.enter("trap '' HUP INT QUIT TERM; echo deaf''ened")
			c.see("deafened\r\n")
			if err := c.command.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			c.leave(128 + int(sig))
		})
	}
}

// stopped waits until nstest is stopped.
func (c *console) stopped() {
	c.t.Helper()
	var status unix.WaitStatus
	if _, err := unix.Wait4(c.command.Process.Pid, &status, unix.WUNTRACED, nil); err != nil || !status.Stopped() {
		c.t.Fatalf("nstest was not stopped: %v, status %#x", err, status)
	}
}

// becomes waits until the terminal has these settings.
func (c *console) becomes(want unix.Termios) {
	c.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	late := time.After(30 * time.Second)
	for *c.settings() != want {
		select {
		case <-tick.C:
		case <-late:
			c.t.Fatalf("the terminal's settings are %+v, want %+v", c.settings(), want)
		}
	}
}

func TestShellSuspends(t *testing.T) {
	t.Parallel()
	c := sit(t, 24, 80, "shell")
	c.see("> ")
	raw := *c.settings()
	if err := c.command.Process.Signal(unix.SIGTSTP); err != nil {
		t.Fatal(err)
	}
	c.stopped()
	if *c.settings() != *c.before {
		t.Error("the terminal is raw while nstest is stopped")
	}
	if err := c.command.Process.Signal(unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	c.becomes(raw)
	c.enter("echo good morn''ing")
	c.see("good morning\r\n")
	c.enter("exit")
	c.leave(0)
}

// A command of nstest run is stopped and continued with it.
func TestRunSuspends(t *testing.T) {
	t.Parallel()
	c := sit(t, 24, 80, "run", "--", "sh", "-c", "while :; do read line; echo line: $line; done")
	c.enter("one")
	c.see("line: one\r\n")
	if _, err := c.keys.WriteString("\x1a"); err != nil { // Ctrl-Z
		t.Fatal(err)
	}
	c.stopped()
	if err := c.command.Process.Signal(unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	c.enter("two")
	c.see("line: two\r\n")
	if _, err := c.keys.WriteString("\x03"); err != nil { // Ctrl-C
		t.Fatal(err)
	}
	c.leave(128 + int(unix.SIGINT))
}
