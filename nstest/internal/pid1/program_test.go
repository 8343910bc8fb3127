package pid1_test

import (
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/hermetic-go/nstest/nstest/internal/pid1"
	"golang.org/x/sys/unix"
)

// install appends to p the installation of a seccomp filter.
func install(p *pid1.Program, filter []unix.SockFilter) {
	var code []byte
	for _, i := range filter {
		code = binary.NativeEndian.AppendUint16(code, i.Code)
		code = append(code, i.Jt, i.Jf)
		code = binary.NativeEndian.AppendUint32(code, i.K)
	}
	var length [8]byte
	binary.NativeEndian.PutUint16(length[:], uint16(len(filter)))
	fprog := p.Pointers([]uint64{binary.NativeEndian.Uint64(length[:]), 0}, map[int]pid1.Arg{1: p.Bytes(code)})
	p.Call("prctl", unix.SYS_PRCTL, pid1.Int(unix.PR_SET_NO_NEW_PRIVS), pid1.Int(1), pid1.Int(0), pid1.Int(0), pid1.Int(0))
	p.Call("seccomp", unix.SYS_SECCOMP, pid1.Int(unix.SECCOMP_SET_MODE_FILTER), pid1.Int(0), fprog)
}

// A program that cannot be right is refused before anything is sent.
func TestBadProgramsAreRefused(t *testing.T) {
	ours, theirs, err := pid1.Socket()
	check(t, err)
	defer theirs.Close()
	a := pid1.NewAgent(ours)
	defer func() { a.Close(); <-a.Gone() }()
	closed, err := os.Open(os.DevNull)
	check(t, err)
	closed.Close()
	zero := pid1.Int(0)
	for _, c := range []struct {
		name string
		want error
		make func(p *pid1.Program)
	}{
		{"NUL in a string", unix.EINVAL, func(p *pid1.Program) { p.Chdir("/a\x00b") }},
		{"NUL in the environment", unix.EINVAL, func(p *pid1.Program) { p.Strings([]string{"A=1\x00"}) }},
		{"calls", unix.E2BIG, func(p *pid1.Program) {
			for range 256 {
				p.Chdir("/")
			}
		}},
		{"files to return", unix.E2BIG, func(p *pid1.Program) {
			for range 33 {
				p.Return(p.Open("/", 0, 0))
			}
		}},
		{"file twice", unix.EINVAL, func(p *pid1.Program) { r := p.Open("/", 0, 0); p.Return(r); p.Return(r) }},
		{"file that may not be", unix.EINVAL, func(p *pid1.Program) { p.Return(p.Try("try", unix.SYS_DUP, zero)) }},
		{"file of no call", unix.EINVAL, func(p *pid1.Program) { p.Return(5) }},
		{"arguments", unix.EINVAL, func(p *pid1.Program) { p.Call("call", unix.SYS_DUP, zero, zero, zero, zero, zero, zero, zero) }},
		{"result of a later call", unix.EINVAL, func(p *pid1.Program) { p.Call("call", unix.SYS_DUP, pid1.Result(0).Arg()) }},
		{"closed file", nil, func(p *pid1.Program) { p.File(closed) }},
	} {
		var p pid1.Program
		c.make(&p)
		if _, err := a.Run(&p); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if err := unix.SetNonblock(int(theirs.Fd()), true); err != nil {
		t.Fatal(err)
	}
	if _, err := theirs.Read(make([]byte, 1)); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("something was sent: %v", err)
	}
}

func TestImageSelection(t *testing.T) {
	t.Setenv("NSTEST_INIT", "C")
	if _, err := pid1.Image(); !errors.Is(err, unix.EINVAL) {
		t.Errorf("an init that does not exist: %v", err)
	}
	t.Setenv("NSTEST_INIT", "go")
	if x, err := pid1.Image(); err != nil || x.Path != "/proc/self/exe" {
		t.Errorf("go: %+v, %v", x, err)
	}
	t.Setenv("NSTEST_INIT", "")
	if f, _ := pid1.Static(); f == nil {
		return
	}
	x, err := pid1.Image()
	check(t, err)
	if !strings.HasPrefix(x.Path, "/proc/self/fd/") {
		t.Errorf("static: %+v", x)
	}
	// Nobody who finds the file as /proc/1/exe can change it.
	f, err := os.Open(x.Path)
	check(t, err)
	defer f.Close()
	const want = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0); err != nil || seals&want != want {
		t.Errorf("seals %#x, %v", seals, err)
	}
}
