package keeper

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A process whose number is a thread's by the time has ended: EINVAL, and ENOENT since Linux 6.15.
func TestSweepPassesOverANumberThatIsAThreads(t *testing.T) {
	threads, done := make(chan int), make(chan struct{})
	defer close(done)
	tid := os.Getpid()
	for tid == os.Getpid() { // the first thread is the process
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			threads <- unix.Gettid()
			<-done
		}()
		tid = <-threads
	}
	var b broom
	if err := b.kill(fmt.Sprintf("/proc/%d/ns/net", tid), "net:[0]"); err != nil || b.found != 0 {
		t.Errorf("%d processes were found, %v", b.found, err)
	}
}

// parent has this test's binary be the parent of a process in a user namespace, for whose end it does not wait.
const parent = "NSTEST_TEST_PARENT"

// A process that has ended and for which its parent, outside, does not wait is no reason to go on.
func TestSweepPassesOverAZombieOfAParentOutside(t *testing.T) {
	switch os.Getenv(parent) {
	case "parent":
		beParent()
		return
	case "child":
		_, _ = io.Copy(io.Discard, os.Stdin)
		return
	}
	again := exec.Command("/proc/self/exe", "-test.run=^TestSweepPassesOverAZombieOfAParentOutside$")
	again.Env = append(os.Environ(), parent+"=parent")
	in, err := again.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := again.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		in.Close()
		if err := again.Wait(); err != nil {
			t.Error(err)
		}
	}()
	var answer string
	if _, err := fmt.Fscanln(out, &answer); err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(answer)
	switch {
	case err != nil && os.Getenv("NSTEST_MUST_RUN") == "1":
		t.Fatalf("NSTEST_MUST_RUN=1, and user namespaces cannot be made here: %s", answer)
	case err != nil:
		t.Skipf("user namespaces cannot be made here: %s: allow them, or run the test on another machine", answer)
	}
	own, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	for range 2 { // one that lives, and one that has ended
		if err := sweep(own, "user"); err != nil {
			t.Error(err)
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if _, state, _ := bytes.Cut(stat, []byte(") ")); err != nil || !bytes.HasPrefix(state, []byte("Z")) {
			t.Errorf("it is no zombie: %s, %v", stat, err)
		}
	}
	if !isWithin(fmt.Sprintf("/proc/%d/ns/user", pid), readlink(t, own)) {
		t.Error("the namespace of a zombie is not seen any more, and so nothing is tested here")
	}
}

func readlink(t *testing.T, f *os.File) string {
	t.Helper()
	id, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// beParent starts a child in a user namespace, and says its number, or why there is none. It ends with its standard input.
func beParent() {
	child := exec.Command("/proc/self/exe", "-test.run=^TestSweepPassesOverAZombieOfAParentOutside$")
	child.Env = append(os.Environ(), parent+"=child")
	child.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	hold, err := child.StdinPipe()
	if err == nil {
		defer hold.Close()
		err = child.Start()
	}
	if err != nil {
		fmt.Println(strings.ReplaceAll(err.Error(), " ", "_"))
	} else {
		fmt.Println(child.Process.Pid)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}
