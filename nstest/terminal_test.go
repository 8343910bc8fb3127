package nstest_test

import (
	"bufio"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/hermetic-go/nstest/nstest"
)

// terminalOf starts a script on a terminal, which is closed with the test.
func terminalOf(t *testing.T, h *nstest.Host, script string) (*nstest.Cmd, *nstest.Terminal) {
	t.Helper()
	c := h.Command("sh", "-c", script)
	term, err := c.StartTerminal(24, 80)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { term.Close() })
	return c, term
}

// expect reads a line.
func expect(t *testing.T, r *bufio.Reader, want string) {
	t.Helper()
	line, err := r.ReadString('\n')
	if got := strings.TrimRight(line, "\r\n"); got != want || err != nil {
		t.Fatalf("terminal shows %q, %v; want %q", got, err, want)
	}
}

func TestTerminal(t *testing.T) {
	h := commandHost(t)
	c, term := terminalOf(t, h, `tty; stty size; stty -echo; echo ready
		read line; echo "got $line"; read line; stty size; cat; [ -c /dev/tty ] && echo end > /dev/tty; exit 4`)
	r := bufio.NewReader(term)
	line, err := r.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "/dev/pts/") {
		t.Errorf("terminal is called %q, %v", line, err)
	}
	expect(t, r, "24 80")
	expect(t, r, "ready")
	if _, err := io.WriteString(term, "hello\n"); err != nil {
		t.Fatal(err)
	}
	expect(t, r, "got hello")
	if err := term.Resize(50, 132); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(term, "resized\nagain\n\x04"); err != nil {
		t.Fatal(err)
	}
	expect(t, r, "50 132")
	expect(t, r, "again")
	expect(t, r, "end")
	if rest, err := io.ReadAll(r); err != nil || len(rest) != 0 {
		t.Errorf("the terminal ends with %q, %v", rest, err)
	}
	if err := c.Wait(); c.ProcessState.ExitCode() != 4 {
		t.Errorf("ended with %v", err)
	}
	if err := term.Close(); err != nil {
		t.Error(err)
	}
	if err := term.Resize(1, 1); !errors.Is(err, os.ErrClosed) {
		t.Errorf("resize after Close: %v", err)
	}
}

func TestTerminalSignals(t *testing.T) {
	h := commandHost(t)
	c, term := terminalOf(t, h, "echo ready; exec sleep 1000")
	expect(t, bufio.NewReader(term), "ready")
	if _, err := io.WriteString(term, "\x03"); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); c.ProcessState.Signal() != syscall.SIGINT {
		t.Errorf("after an interrupt: %v", err)
	}

	c, term = terminalOf(t, h, "echo ready; exec sleep 1000")
	r := bufio.NewReader(term)
	expect(t, r, "ready")
	read := make(chan error)
	go func() {
		_, err := r.ReadString('\n')
		read <- err
	}()
	if err := term.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-read; err == nil {
		t.Error("read from a closed terminal")
	}
	if err := c.Wait(); c.ProcessState.Signal() != syscall.SIGHUP {
		t.Errorf("after a hangup: %v", err)
	}
}

func TestTerminalRefusesStreams(t *testing.T) {
	h := commandHost(t)
	c := h.Command("true")
	c.Stdout = io.Discard
	if _, err := c.StartTerminal(24, 80); err == nil || !strings.Contains(err.Error(), "Stdout") {
		t.Errorf("error %v", err)
	}
}
