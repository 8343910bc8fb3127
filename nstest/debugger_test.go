package nstest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/twin"
	"golang.org/x/sys/unix"
)

// debug attaches to a process as a debugger does, and lets it run until it ends.
func debug(pid int) error {
	runtime.LockOSThread() // the tracer is a thread
	defer runtime.UnlockOSThread()
	if err := unix.PtraceSeize(pid); err != nil {
		return fmt.Errorf("attach to process %d: %w", pid, err)
	}
	for {
		var status unix.WaitStatus
		_, err := unix.Wait4(pid, &status, unix.WALL, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return fmt.Errorf("wait for process %d: %w", pid, err)
		case !status.Stopped():
			return nil
		default:
			if err := unix.PtraceCont(pid, int(status.StopSignal())); err != nil && err != unix.ESRCH { // it was killed
				return fmt.Errorf("continue process %d: %w", pid, err)
			}
		}
	}
}

// awaitHeld waits until a process does nothing but read the file that is a twin's link.
func awaitHeld(pid int) error {
	held := fmt.Sprintf("%d 0x3 ", unix.SYS_READ)
	for deadline := time.Now().Add(30 * time.Second); ; <-time.After(time.Millisecond) {
		call, err := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", pid))
		if err != nil {
			return err
		}
		if strings.HasPrefix(string(call), held) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("process %d is not held, but at system call %q", pid, call)
		}
	}
}

// The test is also the program whose twin waits.
func TestATwinWaitsForADebugger(t *testing.T) {
	const inside = "the twin runs"
	if twin.Attaching() {
		Run(t, func(*testing.T, *Env) { fmt.Println(inside) })
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	program := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestATwinWaitsForADebugger$", "-test.v")
	program.Env = append(os.Environ(), "NSTEST_ATTACH=1")
	var stdout strings.Builder
	program.Stdout = &stdout
	stderr, err := program.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stderr).ReadString('\n')
	waits := regexp.MustCompile(`^nstest: process (\d+) waits for a debugger: dlv attach (\d+)\n$`).FindStringSubmatch(line)
	if waits == nil || waits[1] != waits[2] {
		cancel()
		t.Fatalf("said %q, %v, %v, %s", line, err, program.Wait(), stdout.String())
	}
	pid, err := strconv.Atoi(waits[1])
	if err == nil {
		err = awaitHeld(pid)
	}
	if err == nil {
		err = debug(pid)
	}
	if err != nil {
		cancel()
		_ = program.Wait()
		if errors.Is(err, os.ErrPermission) && os.Getenv("NSTEST_MUST_RUN") != "1" {
			t.Skipf("processes cannot be debugged here: %v: allow ptrace(2)", err)
		}
		t.Fatal(err)
	}
	rest, err := io.ReadAll(stderr)
	if err := errors.Join(err, program.Wait()); err != nil || !strings.Contains(stdout.String(), inside+"\n") {
		t.Errorf("with a debugger: %v\n%s%s", err, stdout.String(), rest)
	}
}

func TestAwaitDebugger(t *testing.T) {
	cmd := exec.Command("cat")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := awaitDebugger(ctx, cmd.Process.Pid); !errors.Is(err, context.Canceled) {
		t.Errorf("without a debugger, and cancelled: %v", err)
	}
	if err := errors.Join(stdin.Close(), cmd.Wait()); err != nil {
		t.Fatal(err)
	}
	if err := awaitDebugger(t.Context(), cmd.Process.Pid); err != nil {
		t.Errorf("for a process that has ended: %v", err)
	}
}
