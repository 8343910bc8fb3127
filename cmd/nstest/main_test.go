package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/conform"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// TestMain makes the test binary nstest itself where it is called by one of its names.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"nstest": main, conform.WorkerName: main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":  exits,
			"mine":   mine,
			"tree":   tree,
			"alive":  alive,
			"ends":   ends,
			"umasks": umasks,
		},
		Condition: condition,
		Setup: func(e *testscript.Env) error {
			e.Setenv("NSTEST_MUST_RUN", os.Getenv("NSTEST_MUST_RUN"))
			e.Setenv("SHELL", "/bin/sh")
			e.Setenv("GORACE", "atexit_sleep_ms=0") // else each nstest takes a second under -race
			return os.Chmod(e.WorkDir, 0o755)       // users of environments read what the scripts made
		},
	})
}

// condition knows [root], [outside] of any environment, and [device:PATH] and [program:NAME], which a machine that must run all
// tests has to have.
func condition(cond string) (bool, error) {
	switch name, arg, _ := strings.Cut(cond, ":"); name {
	case "root":
		return os.Geteuid() == 0, nil
	case "outside":
		init, err := os.ReadFile("/proc/1/comm")
		return string(init) != "nstest-init\n", err
	case "device":
		_, err := os.Stat(arg)
		return has(err)
	case "program":
		_, err := exec.LookPath(arg)
		return has(err)
	}
	return false, fmt.Errorf("unknown condition %q", cond)
}

// has is the condition that there is what has been looked for, with an error if there is not.
func has(missing error) (bool, error) {
	if missing != nil && os.Getenv("NSTEST_MUST_RUN") == "1" {
		return false, missing
	}
	return missing == nil, nil
}

// exits runs a command that must exit with a status: exits STATUS COMMAND...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var ended *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &ended) {
		got = ended.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// ordinary is a user id that nobody has.
const ordinary = 31337

// mine makes a directory that belongs to an ordinary user: mine DIR
func mine(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: mine DIR")
	}
	dir := ts.MkAbs(args[0])
	ts.Check(os.Mkdir(dir, 0o755))
	if os.Geteuid() == 0 {
		ts.Check(os.Chown(dir, ordinary, ordinary))
	}
}

// tree makes a root directory with programs of the machine and the libraries that they need: tree DIR PROGRAM...
func tree(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: tree DIR PROGRAM...")
	}
	for _, program := range args[1:] {
		path, err := exec.LookPath(program)
		ts.Check(err)
		files := map[string]string{"bin/" + program: path}
		libraries, err := exec.Command("ldd", path).CombinedOutput()
		if err != nil && !bytes.Contains(libraries, []byte("not a dynamic executable")) {
			ts.Fatalf("ldd %s: %v: %s", path, err, libraries)
		}
		for _, word := range strings.Fields(string(libraries)) {
			if filepath.IsAbs(word) {
				files[word] = word
			}
		}
		for to, from := range files {
			to = filepath.Join(ts.MkAbs(args[0]), to)
			content, err := os.ReadFile(from)
			ts.Check(err)
			ts.Check(os.MkdirAll(filepath.Dir(to), 0o755))
			ts.Check(os.WriteFile(to, content, 0o755)) // programs
		}
	}
}

// marked are the processes, as pidfds, that have MARK=mark in their environment.
func marked(ts *testscript.TestScript, mark string) []int {
	var list []int
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	ts.Check(err)
	for _, file := range files {
		content, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue
		}
		ts.Check(err)
		if !bytes.Contains(append([]byte{0}, content...), []byte("\x00MARK="+mark+"\x00")) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		ts.Check(err)
		if fd, err := unix.PidfdOpen(pid, 0); err == nil {
			list = append(list, fd)
		}
	}
	return list
}

// alive asserts that there is a process with MARK=mark in its environment: alive MARK
func alive(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: [!] alive MARK")
	}
	list := marked(ts, args[0])
	for _, fd := range list {
		ts.Check(unix.Close(fd))
	}
	if len(list) > 0 == neg {
		ts.Fatalf("%d processes have MARK=%s", len(list), args[0])
	}
}

// ends waits until all processes with MARK=mark have ended: ends MARK
func ends(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: ends MARK")
	}
	for _, fd := range marked(ts, args[0]) {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 30_000)
		for errors.Is(err, unix.EINTR) {
			n, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 30_000)
		}
		if n != 1 {
			ts.Fatalf("a process with MARK=%s lives on (%v)", args[0], err)
		}
		ts.Check(unix.Close(fd))
	}
}

// umasks checks that the command has our umask: umasks COMMAND... prints it.
func umasks(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: umasks COMMAND...")
	}
	want, err := umask()
	ts.Check(err)
	ts.Check(ts.Exec(args[0], args[1:]...))
	if got := strings.TrimSpace(ts.ReadFile("stdout")); got != fmt.Sprintf("%04o", want) {
		ts.Fatalf("umask is %s, want %04o", got, want)
	}
}
