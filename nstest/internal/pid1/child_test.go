package pid1_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hermetic-go/nstest/nstest/internal/ns"
	"github.com/hermetic-go/nstest/nstest/internal/pid1"
	"golang.org/x/sys/unix"
)

func TestExitOfChildren(t *testing.T) {
	forEachInit(t, func(t *testing.T, in *running) {
		for _, c := range []struct {
			script string
			want   unix.WaitStatus
		}{
			{"exit 0", 0},
			{"exit 7", 7 << 8},
			{"kill -TERM $$", unix.WaitStatus(unix.SIGTERM)},
			{"kill -KILL $$", unix.WaitStatus(unix.SIGKILL)},
		} {
			child, _ := command(t, in.Agent, c.script)
			<-child.Done()
			if x := child.Exit(); x.Status&^0x80 != c.want || x.Lost { // 0x80: with a core dump
				t.Errorf("%s: %+v", c.script, x)
			}
		}
		child, _ := command(t, in.Agent, "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done")
		<-child.Done()
		if x := child.Exit(); x.UserTime <= 0 || x.UserTime.Minutes() > 1 || x.MaxRSS < 100 || x.MaxRSS > 1<<20 {
			t.Errorf("resources of a busy process: %+v", x)
		}
	})
}

// A child starts as the init's, with no signal handled or ignored, and with the files that the program gave it alone.
func TestChildrenInheritNothing(t *testing.T) {
	forEachInit(t, func(t *testing.T, in *running) {
		_, out := command(t, in.Agent, `exec 2>&1; ls /proc/self/fd; sed -n 's/^Sig[BIC]/&/p' /proc/self/status`)
		got := strings.Fields(readAll(t, out))
		zero := "0000000000000000"
		want := []string{"0", "1", "2", "3", "SigBlk:", zero, "SigIgn:", zero, "SigCgt:", zero} // 3 is the directory
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestChildThatCannotStart(t *testing.T) {
	forEachInit(t, func(t *testing.T, in *running) {
		var p pid1.Program
		p.Chdir("/nonexistent")
		p.Exec([]string{"/bin/true"}, []string{"true"}, nil)
		_, err := in.Start(&p)
		var ce *pid1.CallError
		if !errors.As(err, &ce) || ce.Index != 0 || ce.Errno != unix.ENOENT {
			t.Errorf("got %v", err)
		}
		var none pid1.Program
		none.Chdir("/")
		_, err = in.Start(&none)
		wantErrno(t, err, unix.EINVAL)
		if n := in.children(t); n != 0 {
			t.Errorf("%d children are left", n)
		}
	})
}

// A child can unshare what its init, where that has several threads, cannot.
func TestChildInAUserNamespaceOfItsOwn(t *testing.T) {
	forEachInit(t, func(t *testing.T, in *running) {
		r, w, err := os.Pipe()
		check(t, err)
		defer r.Close()
		var p pid1.Program
		p.Dup3(p.File(w), 1)
		ns.Renumber(&p, 1234, 5678)
		p.Exec([]string{"/bin/sh"}, []string{"sh", "-c", "PATH=/usr/bin:/bin; id -u; id -g"}, nil)
		c, err := in.Start(&p)
		w.Close()
		check(t, err)
		defer c.PIDFD.Close()
		if got := readAll(t, r); got != "1234\n5678\n" {
			t.Errorf("uid and gid: %q", got)
		}
	})
}

// A process whose parent has ended is the init's, which reaps it.
func TestOrphansAreReaped(t *testing.T) {
	forEachInit(t, func(t *testing.T, in *running) {
		_, out := command(t, in.Agent, `for i in 1 2 3 4 5; do (sh -c 'read x' <&0 & ) ; done; exit 0`)
		readAll(t, out) // everybody who had the other end has ended
		wait(t, "for orphans to be reaped", func() bool { return in.children(t) == 0 })
	})
}

func TestForkedInits(t *testing.T) {
	forEachInit(t, func(t *testing.T, in *running) {
		a := in.Agent
		var inits []*pid1.Child
		for range 3 {
			sub, child, err := a.Fork(unix.CLONE_NEWPID | unix.CLONE_NEWNS)
			check(t, err)
			t.Cleanup(func() { sub.Close(); child.PIDFD.Close(); <-sub.Gone() })
			// It is the first of its PID namespace.
			sh, out := command(t, sub, `echo $$ $PPID`)
			if got, want := readAll(t, out), fmt.Sprintf("%d 1\n", sh.PID); got != want {
				t.Errorf("pid and parent of a child: %q, want %q", got, want)
			}
			<-sh.Done()
			inits, a = append(inits, child), sub
		}
		_, _, err := a.Fork(unix.CLONE_THREAD)
		wantErrno(t, err, unix.EINVAL)
		_, out := command(t, a, `echo started; exec sleep 1000`)
		_, err = bufio.NewReader(out).ReadString('\n')
		check(t, err)
		// The second init ends, and everything below it with it; the first lives on.
		check(t, unix.PidfdSendSignal(int(inits[0].PIDFD.Fd()), unix.SIGKILL, nil, 0))
		<-inits[0].Done()
		if s := inits[0].Exit().Status; !s.Signaled() || s.Signal() != unix.SIGKILL {
			t.Errorf("the init's status: %v", s)
		}
		<-a.Gone()
		ended(t, inits[2].PIDFD)
		run(t, in.Agent, &pid1.Program{})
		wait(t, "for the init to be reaped", func() bool { return in.children(t) == 0 })
	})
}

// Requests that are under way when somebody begins to listen are answered.
func TestForksWhileSomebodyBeginsToListen(t *testing.T) {
	forEachInit(t, func(t *testing.T, in *running) {
		var work sync.WaitGroup
		defer work.Wait()
		for range 20 {
			a, child, err := in.Fork(unix.CLONE_NEWPID)
			check(t, err)
			t.Cleanup(func() { a.Close(); child.PIDFD.Close(); <-child.Done() })
			for range 3 {
				work.Go(func() {
					sub, forked, ran, err := a.BeginFork(unix.CLONE_NEWPID, &pid1.Program{}, &pid1.Program{})
					if err != nil {
						t.Error(err)
						return
					}
					child, err := forked()
					if err != nil {
						t.Error(err, sub.Close())
						return
					}
					for _, r := range ran {
						if _, err := r(); err != nil {
							t.Error(err)
						}
					}
					sub.Close()
					<-child.Done()
					child.PIDFD.Close()
				})
			}
			work.Go(func() { a.Gone() })
		}
	})
}

// Nobody has to take an answer for others to be answered: not whoever begins one program after another, nor whoever has begun
// one and is at something else.
func TestProgramsAreBegunWhileNobodyTakesAnswers(t *testing.T) {
	forEachInit(t, func(t *testing.T, in *running) {
		for _, listen := range []bool{false, true} {
			a, child, err := in.Fork(unix.CLONE_NEWPID)
			check(t, err)
			t.Cleanup(func() { a.Close(); child.PIDFD.Close(); <-child.Done() })
			if listen {
				a.Listen()
			}
			sub, forked, _, err := a.BeginFork(unix.CLONE_NEWPID)
			check(t, err)
			var work sync.WaitGroup
			for range 8 {
				work.Go(func() {
					var ran []pid1.Ran
					for range 4 {
						ran = append(ran, a.Begin(&pid1.Program{}))
					}
					for _, r := range ran {
						if _, err := r(); err != nil {
							t.Error(err)
						}
					}
				})
			}
			work.Wait()
			grandchild, err := forked()
			check(t, err)
			check(t, sub.Close())
			<-grandchild.Done()
			check(t, grandchild.PIDFD.Close())
		}
	})
}

// What was begun and not asked for is let go of with the connection.
func TestCloseClosesFilesThatNobodyTook(t *testing.T) {
	forEachInit(t, func(t *testing.T, in *running) {
		a, child, err := in.Fork(unix.CLONE_NEWPID)
		check(t, err)
		var p pid1.Program
		p.Return(memfile(&p, "x"))
		first := a.Begin(&p)
		second := a.Begin(&pid1.Program{})
		if _, err := second(); err != nil { // and with it the answer to the first
			t.Error(err)
		}
		check(t, a.Close())
		if files, err := first(); !errors.Is(err, pid1.ErrGone) {
			t.Errorf("got %v, %v", files, err)
		}
		<-child.Done()
		check(t, child.PIDFD.Close())
	})
}

// The init ends when its connection does, and every process of its PID namespace with it.
func TestInitEndsWithItsConnection(t *testing.T) {
	forEachInit(t, func(t *testing.T, in *running) {
		sub, forked, err := in.Fork(unix.CLONE_NEWPID)
		check(t, err)
		defer forked.PIDFD.Close()
		child, out := command(t, sub, `(trap '' HUP TERM; echo started; exec sleep 1000) & wait`)
		_, err = bufio.NewReader(out).ReadString('\n')
		check(t, err)
		check(t, in.Close())
		for _, f := range []*os.File{in.proc.PIDFD, forked.PIDFD, child.PIDFD} {
			ended(t, f)
		}
		readAll(t, out) // the grandchild had it
		<-sub.Gone()
		<-child.Done()
		if !child.Exit().Lost {
			t.Errorf("exit of a process whose init ended first: %+v", child.Exit())
		}
		if _, err := in.Run(&pid1.Program{}); !errors.Is(err, pid1.ErrGone) {
			t.Errorf("Run: %v", err)
		}
		var p pid1.Program
		p.Exec([]string{"/bin/true"}, []string{"true"}, nil)
		if _, err := in.Start(&p); !errors.Is(err, pid1.ErrGone) {
			t.Errorf("Start: %v", err)
		}
		if _, _, err := in.Fork(0); !errors.Is(err, pid1.ErrGone) {
			t.Errorf("Fork: %v", err)
		}
	})
}

// Signals from inside do not end an init.
func TestInitSurvivesSignals(t *testing.T) {
	forEachInit(t, func(t *testing.T, in *running) {
		child, _ := command(t, in.Agent, `for s in HUP INT QUIT TERM USR1 ALRM SEGV KILL; do kill -$s 1; done`)
		<-child.Done()
		run(t, in.Agent, &pid1.Program{})
	})
}

// Linux before 6.3 refuses children that share memory into another time namespace: here a filter does.
func TestChildWithoutSharedMemory(t *testing.T) {
	in := startInit(t, "static")
	if in.kind != "" {
		t.Skip("no static init")
	}
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_CLONE, Jf: 3},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 16},
		{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: unix.CLONE_VM, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EINVAL)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	var p pid1.Program
	install(&p, filter)
	run(t, in.Agent, &p)
	// A shell's own forks do without CLONE_VM.
	child, out := command(t, in.Agent, `echo works; exit 4`)
	if got := readAll(t, out); got != "works\n" {
		t.Errorf("printed %q", got)
	}
	if <-child.Done(); child.Exit().Status.ExitStatus() != 4 {
		t.Errorf("exit %+v", child.Exit())
	}
	var bad pid1.Program
	bad.Exec([]string{"/nonexistent"}, []string{"x"}, nil)
	_, err := in.Start(&bad)
	wantErrno(t, err, unix.ENOENT)
}
