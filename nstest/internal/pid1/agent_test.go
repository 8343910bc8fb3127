package pid1_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hermetic-go/nstest/nstest/internal/pid1"
	"golang.org/x/sys/unix"
)

// memfile appends to p what makes a file in memory with the given content, read from its beginning.
func memfile(p *pid1.Program, content string) pid1.Result {
	f := p.Call("memfd_create", unix.SYS_MEMFD_CREATE, p.String("test"), pid1.Int(unix.MFD_CLOEXEC))
	p.Call("write", unix.SYS_WRITE, f.Arg(), p.Bytes([]byte(content)), pid1.Int(len(content)))
	p.Call("lseek", unix.SYS_LSEEK, f.Arg(), pid1.Int(0), pid1.Int(unix.SEEK_SET))
	return f
}

func TestRunReturnsFilesInOrder(t *testing.T) {
	forEachInit(t, func(t *testing.T, in *running) {
		var p pid1.Program
		second := memfile(&p, "first")
		third := memfile(&p, "second")
		p.Return(third)
		p.Return(second)
		files := run(t, in.Agent, &p)
		var got []string
		for _, f := range files {
			got = append(got, readAll(t, f))
			f.Close()
		}
		if want := []string{"first", "second"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if files := run(t, in.Agent, &pid1.Program{}); len(files) != 0 {
			t.Errorf("an empty program returned %v", files)
		}
	})
}

func TestRunStopsAtAnError(t *testing.T) {
	forEachInit(t, func(t *testing.T, in *running) {
		r, w, err := os.Pipe()
		check(t, err)
		defer r.Close()
		var p pid1.Program
		out := p.File(w)
		p.Try("open nothing", unix.SYS_OPENAT, pid1.Int(unix.AT_FDCWD), p.String("/nonexistent"), pid1.Int(0), pid1.Int(0))
		p.Call("write", unix.SYS_WRITE, out, p.Bytes([]byte("a")), pid1.Int(1))
		p.Chdir("/nonexistent/directory")
		p.Call("write", unix.SYS_WRITE, out, p.Bytes([]byte("b")), pid1.Int(1))
		_, err = in.Run(&p)
		w.Close()
		var ce *pid1.CallError
		if !errors.As(err, &ce) || *ce != (pid1.CallError{Index: 2, Name: "chdir /nonexistent/directory", Errno: unix.ENOENT}) {
			t.Errorf("got %v", err)
		}
		if got := readAll(t, r); got != "a" {
			t.Errorf("the program wrote %q", got)
		}
	})
}

// Nothing that a program was sent or has opened is left in the init, whether it succeeds or fails.
func TestProgramsLeaveNoFilesOpen(t *testing.T) {
	forEachInit(t, func(t *testing.T, in *running) {
		run(t, in.Agent, &pid1.Program{})
		before := in.files(t)
		var good pid1.Program
		good.WriteFile("/dev/null", "x", 0, 0)
		good.Return(memfile(&good, "x"))
		for _, f := range run(t, in.Agent, &good) {
			f.Close()
		}
		null, err := os.Open(os.DevNull)
		check(t, err)
		defer null.Close()
		var full, returned, child pid1.Program
		full.WriteFile("/dev/full", "x", 0, 0)
		_, err = in.Run(&full)
		wantErrno(t, err, unix.ENOSPC)
		returned.Return(memfile(&returned, "x"))
		returned.Chdir("/nonexistent")
		_, err = in.Run(&returned)
		wantErrno(t, err, unix.ENOENT)
		child.Dup3(child.File(null), 0)
		child.Exec([]string{"/nonexistent"}, []string{"x"}, nil)
		_, err = in.Start(&child)
		wantErrno(t, err, unix.ENOENT)
		if after := in.files(t); !slices.Equal(before, after) {
			t.Errorf("open before %v, after %v", before, after)
		}
		if n := in.children(t); n != 0 {
			t.Errorf("%d children are left", n)
		}
	})
}

func TestFilesOfAProgram(t *testing.T) {
	forEachInit(t, func(t *testing.T, in *running) {
		var p pid1.Program
		var readers []*os.File
		add := func() {
			r, w, err := os.Pipe()
			check(t, err)
			t.Cleanup(func() { r.Close(); w.Close() })
			readers = append(readers, r)
			b := []byte{byte(len(readers))}
			p.Call("write", unix.SYS_WRITE, p.File(w), p.Bytes(b), pid1.Int(1))
		}
		for range 30 {
			add()
		}
		run(t, in.Agent, &p)
		for i, r := range readers {
			var b [1]byte
			if _, err := r.Read(b[:]); err != nil || int(b[0]) != i+1 {
				t.Errorf("file %d: read %d, %v", i+1, b[0], err)
			}
		}
		add()
		_, err := in.Run(&p)
		wantErrno(t, err, unix.E2BIG)
	})
}

// An init that may not open enough files says so, and lives on.
func TestTooFewFilesAreAllowed(t *testing.T) {
	forEachInit(t, func(t *testing.T, in *running) {
		run(t, in.Agent, &pid1.Program{})
		limit := unix.Rlimit{Cur: 14, Max: 14}
		if err := unix.Prlimit(in.proc.PID, unix.RLIMIT_NOFILE, &limit, nil); err != nil {
			t.Skipf("change the init's limit: %v: run as root", err)
		}
		var p pid1.Program
		for range 12 {
			f, err := os.Open(os.DevNull)
			check(t, err)
			defer f.Close()
			p.File(f)
		}
		_, err := in.Run(&p)
		wantErrno(t, err, unix.EMFILE)
		run(t, in.Agent, &pid1.Program{})
	})
}

func TestExecCandidates(t *testing.T) {
	forEachInit(t, func(t *testing.T, in *running) {
		dir := t.TempDir()
		plain, garbage := filepath.Join(dir, "plain"), filepath.Join(dir, "garbage")
		check(t, os.WriteFile(plain, []byte("x"), 0o644))
		check(t, os.WriteFile(garbage, []byte("x"), 0o755))
		const absent, file, good = "/nonexistent/a", "/dev/null/b", "/bin/true"
		for _, c := range []struct {
			paths []string
			want  unix.Errno
			at    int
		}{
			{[]string{absent, file, good}, 0, 0},
			{[]string{absent, plain, good}, 0, 0},
			{[]string{absent, file}, unix.ENOTDIR, 1},
			{[]string{file, absent}, unix.ENOENT, 1},
			{[]string{absent, plain, file, absent}, unix.EACCES, 1},
			{[]string{plain}, unix.EACCES, 0},
			{[]string{garbage, good}, unix.ENOEXEC, 0},
		} {
			var p pid1.Program
			p.Exec(c.paths, []string{"x"}, nil)
			child, err := in.Start(&p)
			if err == nil {
				<-child.Done()
				child.PIDFD.Close()
			}
			if c.want == 0 {
				if err != nil {
					t.Errorf("%v: %v", c.paths, err)
				}
				continue
			}
			var ce *pid1.CallError
			if !errors.As(err, &ce) || *ce != (pid1.CallError{Index: c.at, Name: "execute " + c.paths[c.at], Errno: c.want}) {
				t.Errorf("%v: %v, want %v", c.paths, err, c.want)
			}
		}
	})
}

// A program that a message cannot hold goes through a file.
func TestLargePrograms(t *testing.T) {
	forEachInit(t, func(t *testing.T, in *running) {
		var env []string
		for i := range 10 {
			env = append(env, fmt.Sprintf("V%d=%s", i, strings.Repeat(string(rune('a'+i)), 20_000)))
		}
		c, out := command(t, in.Agent, `echo ${#V0} ${#V9} "$V9" | head -c 30; exit 3`, env...)
		if got, want := readAll(t, out), "20000 20000 "+strings.Repeat("j", 18); got != want {
			t.Errorf("the command printed %q, want %q", got, want)
		}
		if <-c.Done(); c.Exit().Status.ExitStatus() != 3 {
			t.Errorf("exit %v", c.Exit())
		}
		content := bytes.Repeat([]byte("0123456789"), 100_000)
		var p pid1.Program
		p.Return(memfile(&p, string(content)))
		files := run(t, in.Agent, &p)
		defer files[0].Close()
		if got := readAll(t, files[0]); got != string(content) {
			t.Errorf("of a megabyte came back %d bytes, or others", len(got))
		}
	})
}
