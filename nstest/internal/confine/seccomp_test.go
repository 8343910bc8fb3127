package confine

import (
	"encoding/binary"
	"errors"
	"os"
	"runtime"
	"testing"

	"github.com/hermetic-go/nstest/nstest/internal/idmap"
	"github.com/hermetic-go/nstest/nstest/internal/ns"
	"github.com/hermetic-go/nstest/nstest/internal/pid1"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// machine executes a filter as the kernel does: words of struct seccomp_data are loaded in the machine's order.
func machine(t *testing.T, goarch string, allowIOUring bool) *bpf.VM {
	t.Helper()
	var prog []bpf.Instruction
	for _, i := range filter(goarch, allowIOUring) {
		prog = append(prog, bpf.RawInstruction{Op: i.Code, Jt: i.Jt, Jf: i.Jf, K: i.K}.Disassemble())
	}
	vm, err := bpf.NewVM(prog)
	if err != nil {
		t.Fatalf("%s: %v", goarch, err)
	}
	return vm
}

// verdict is what the filter says to a system call: 0 for allowed, or the errno.
func verdict(t *testing.T, vm *bpf.VM, bigEndian bool, audit, nr uint32, arg0 uint64) unix.Errno {
	t.Helper()
	data := binary.BigEndian.AppendUint32(nil, nr) // the VM loads big-endian words
	data = binary.BigEndian.AppendUint32(data, audit)
	data = append(data, make([]byte, 8)...)
	high, low := uint32(arg0>>32), uint32(arg0)
	if !bigEndian {
		high, low = low, high
	}
	data = binary.BigEndian.AppendUint32(data, high)
	data = binary.BigEndian.AppendUint32(data, low)
	data = append(data, make([]byte, 40)...)
	n, err := vm.Run(data)
	if err != nil {
		t.Fatal(err)
	}
	switch v := uint32(n); v & 0xffff0000 {
	case unix.SECCOMP_RET_ALLOW:
		return 0
	case unix.SECCOMP_RET_ERRNO:
		return unix.Errno(v & 0xffff)
	default:
		t.Fatalf("verdict %#x", v)
		return 0
	}
}

func TestFilter(t *testing.T) {
	const (
		x86, i386, arm64, arm = unix.AUDIT_ARCH_X86_64, unix.AUDIT_ARCH_I386, unix.AUDIT_ARCH_AARCH64, unix.AUDIT_ARCH_ARM
		x32                   = 0x40000000
		vsock                 = unix.AF_VSOCK
	)
	for _, c := range []struct {
		goarch  string
		name    string
		audit   uint32
		nr      uint32
		arg0    uint64
		want    unix.Errno
		ioUring unix.Errno // with io_uring allowed
	}{
		{"amd64", "read", x86, 0, vsock, 0, 0},
		{"amd64", "socket inet", x86, 41, unix.AF_INET, 0, 0},
		{"amd64", "socket unix", x86, 41, unix.AF_UNIX, 0, 0},
		{"amd64", "socket vsock", x86, 41, vsock, unix.EAFNOSUPPORT, unix.EAFNOSUPPORT},
		{"amd64", "socket vsock, with more bits than the kernel looks at", x86, 41, vsock | 5<<32, unix.EAFNOSUPPORT, unix.EAFNOSUPPORT},
		{"amd64", "socketpair vsock", x86, 53, vsock, unix.EAFNOSUPPORT, unix.EAFNOSUPPORT},
		{"amd64", "socketpair unix", x86, 53, unix.AF_UNIX, 0, 0},
		{"amd64", "connect of descriptor 40", x86, 42, vsock, 0, 0},
		{"amd64", "ioctl of another architecture's number of socketcall", x86, 102, vsock, 0, 0},
		{"amd64", "io_uring_setup", x86, 425, 1, unix.ENOSYS, 0},
		{"amd64", "x32 read", x86, x32, 0, unix.ENOSYS, unix.ENOSYS},
		{"amd64", "x32 socket", x86, x32 | 41, vsock, unix.ENOSYS, unix.ENOSYS},
		{"amd64", "x32 highest", x86, 0xffffffff, vsock, unix.ENOSYS, unix.ENOSYS},
		{"amd64", "i386 read", i386, 3, vsock, 0, 0},
		{"amd64", "i386 socket vsock", i386, 359, vsock, unix.EAFNOSUPPORT, unix.EAFNOSUPPORT},
		{"amd64", "i386 socket inet", i386, 359, unix.AF_INET, 0, 0},
		{"amd64", "i386 socketpair vsock", i386, 360, vsock, unix.EAFNOSUPPORT, unix.EAFNOSUPPORT},
		{"amd64", "i386 socketcall", i386, 102, 1, unix.ENOSYS, unix.ENOSYS},
		{"amd64", "i386 io_uring_setup", i386, 425, 1, unix.ENOSYS, 0},
		{"amd64", "i386 number of x86_64's socket", i386, 41, vsock, 0, 0},
		{"amd64", "arm64 socket", arm64, 198, unix.AF_INET, unix.ENOSYS, unix.ENOSYS},
		{"arm64", "socket inet6", arm64, 198, unix.AF_INET6, 0, 0},
		{"arm64", "socket vsock", arm64, 198, vsock, unix.EAFNOSUPPORT, unix.EAFNOSUPPORT},
		{"arm64", "socketpair vsock", arm64, 199, vsock, unix.EAFNOSUPPORT, unix.EAFNOSUPPORT},
		{"arm64", "io_uring_setup", arm64, 425, 1, unix.ENOSYS, 0},
		{"arm64", "bind of descriptor 40", arm64, 200, vsock, 0, 0},
		{"arm64", "number with the bit of x32", arm64, x32 | 41, vsock, 0, 0},
		{"arm64", "arm socket vsock", arm, 281, vsock, unix.EAFNOSUPPORT, unix.EAFNOSUPPORT},
		{"arm64", "arm socket inet", arm, 281, unix.AF_INET, 0, 0},
		{"arm64", "arm socketpair vsock", arm, 288, vsock, unix.EAFNOSUPPORT, unix.EAFNOSUPPORT},
		{"arm64", "arm io_uring_setup", arm, 425, 1, unix.ENOSYS, 0},
		{"arm64", "x86_64 read", x86, 0, 0, unix.ENOSYS, unix.ENOSYS},
		{"riscv64", "socket vsock", unix.AUDIT_ARCH_RISCV64, 198, vsock, unix.EAFNOSUPPORT, unix.EAFNOSUPPORT},
		{"ppc64le", "socket vsock", unix.AUDIT_ARCH_PPC64LE, 326, vsock, unix.EAFNOSUPPORT, unix.EAFNOSUPPORT},
		{"ppc64le", "socketcall", unix.AUDIT_ARCH_PPC64LE, 102, 1, unix.ENOSYS, unix.ENOSYS},
		{"s390x", "socket vsock", unix.AUDIT_ARCH_S390X, 359, vsock, unix.EAFNOSUPPORT, unix.EAFNOSUPPORT},
		{"s390x", "socket inet", unix.AUDIT_ARCH_S390X, 359, unix.AF_INET, 0, 0},
		{"s390x", "socketcall", unix.AUDIT_ARCH_S390X, 102, 1, unix.ENOSYS, unix.ENOSYS},
	} {
		for _, allow := range []bool{false, true} {
			want := c.want
			if allow {
				want = c.ioUring
			}
			got := verdict(t, machine(t, c.goarch, allow), c.goarch == "s390x", c.audit, c.nr, c.arg0)
			if got != want {
				t.Errorf("%s, %s (io_uring allowed: %t): errno %d, want %d", c.goarch, c.name, allow, got, want)
			}
		}
	}
}

// No system call but those three is refused to the machine's own programs.
func TestFilterLetsTheRestThrough(t *testing.T) {
	for goarch, list := range arches {
		vm := machine(t, goarch, false)
		for _, a := range list {
			for nr := range uint32(1024) {
				want := unix.Errno(0)
				if nr == ioUringSetup || a.socketcall != 0 && nr == a.socketcall {
					want = unix.ENOSYS
				}
				if got := verdict(t, vm, goarch == "s390x", a.audit, nr, unix.AF_INET); got != want {
					t.Errorf("%s, audit %#x, call %d: errno %d, want %d", goarch, a.audit, nr, got, want)
				}
			}
		}
	}
}

// need skips the test, or fails it where NSTEST_MUST_RUN is set.
func need(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("NSTEST_MUST_RUN") == "1" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// startInit starts an init in a user and PID namespace.
func startInit(t *testing.T) *pid1.Agent {
	t.Helper()
	t.Setenv("NSTEST_INIT", "")
	if f, err := pid1.Static(); f == nil {
		t.Skipf("there is no static init (%v), and this test program is none", err)
	}
	if err := ns.Trial(unix.CLONE_NEWPID, ns.TrialIDs{}); err != nil {
		need(t, "no user namespaces: %v (sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces)", err)
	}
	image, err := pid1.Image()
	check(t, err)
	ours, theirs, err := pid1.Socket()
	check(t, err)
	defer theirs.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	check(t, err)
	defer null.Close()
	proc, err := ns.Start(ns.Spec{
		Path: image.Path, Args: image.Args, Env: image.Env, Kinds: ns.User | ns.PID, DieWithUs: true,
		Files: []*os.File{null, null, null, theirs},
	})
	check(t, err)
	a := pid1.NewAgent(ours)
	t.Cleanup(func() { a.Close(); proc.Wait(); proc.PIDFD.Close() })
	if _, _, err := idmap.WriteUnprivileged(proc.PID); err != nil {
		t.Fatal(err)
	}
	return a
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestSeccomp(t *testing.T) {
	if len(arches[runtime.GOARCH]) == 0 {
		t.Skipf("there is no filter for %s", runtime.GOARCH)
	}
	a := startInit(t)
	// try is the errno with which the init makes one call.
	try := func(name string, nr uintptr, args ...uintptr) unix.Errno {
		var p pid1.Program
		var list []pid1.Arg
		for _, v := range args {
			list = append(list, pid1.Int(v))
		}
		p.Call(name, nr, list...)
		_, err := a.Run(&p)
		var ce *pid1.CallError
		if err != nil && !errors.As(err, &ce) {
			t.Fatalf("%s: %v", name, err)
		}
		if ce == nil {
			return 0
		}
		return ce.Errno
	}
	vsock := func() unix.Errno {
		return try("socket", unix.SYS_SOCKET, unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	}
	ring := func() unix.Errno { return try("io_uring_setup", unix.SYS_IO_URING_SETUP, 0, 0) }
	ringBefore := ring()
	if vsock() == unix.EAFNOSUPPORT {
		t.Log("this kernel has no vsock: that it is refused proves nothing here")
	}
	var open pid1.Program
	Seccomp(&open, true)
	_, err := a.Run(&open)
	check(t, err)
	if got := vsock(); got != unix.EAFNOSUPPORT {
		t.Errorf("vsock: %v", got)
	}
	if got := ring(); got != ringBefore {
		t.Errorf("io_uring_setup, allowed: %v, without a filter %v", got, ringBefore)
	}
	var closed pid1.Program
	Seccomp(&closed, false)
	_, err = a.Run(&closed)
	check(t, err)
	if got := ring(); got != unix.ENOSYS {
		t.Errorf("io_uring_setup: %v", got)
	}
	if got := try("socket", unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); got != 0 {
		t.Errorf("inet: %v", got)
	}
	// Setuid programs keep working.
	if got := try("prctl", unix.SYS_PRCTL, unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); got != 0 {
		t.Errorf("no_new_privs: %v", got)
	}
	if i := runtime.GOARCH; i == "amd64" && try("getpid of x32", 0x40000000|39) != unix.ENOSYS {
		t.Error("an x32 call is let through")
	}
}
