package pid1

import (
	"fmt"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A childStatus is where a child says why it could not execute its program, in memory that parent and child share, and that
// stays where it is: so the kernel reads and writes here what goes with a child's making, too.
type childStatus struct {
	op, errno int32
	pidfd     int32
	args      cloneArgs // of clone3(2)
	tids      [maxPIDLevels]int32
}

func newChildStatus() (*childStatus, error) {
	b, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("map memory to share with children: %w", err)
	}
	return (*childStatus)(unsafe.Pointer(&b[0])), nil
}

var (
	everySignal   uint64 = 1<<64 - 1
	noSignal      uint64
	defaultAction [8]uint64 // struct sigaction: SIG_DFL, no flags
	childResults  [maxOps]int64
)

func (s *childStatus) unmap() { _ = unix.Munmap(unsafe.Slice((*byte)(unsafe.Pointer(s)), 4096)) }

// clone2 is clone with clone(2), which takes its arguments in registers.
func clone2(flags uintptr, ops []rawOp, status *childStatus) (pid, pidfd int, errno unix.Errno) {
	status.pidfd = -1
	args := [3]uintptr{flags, 0, uintptr(unsafe.Pointer(&status.pidfd))}
	if runtime.GOARCH == "s390x" {
		args[0], args[1] = args[1], args[0]
	}
	pid, errno = clone(unix.SYS_CLONE, args, ops, status)
	return pid, int(status.pidfd), errno
}

// clone makes, by clone(2) or clone3(2) without CLONE_VM, a child with a copy of our memory, whose one thread runs become.
// With CLONE_VFORK it returns when the child has executed a program or ended.
//
//go:noinline
//go:norace
//go:nocheckptr
func clone(nr uintptr, args [3]uintptr, ops []rawOp, status *childStatus) (pid int, errno unix.Errno) {
	if len(ops) == 0 {
		return 0, unix.EINVAL
	}
	var mask uint64
	// No handler of the runtime may run in the child, which has one thread and none of the runtime's state in order.
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&everySignal)), uintptr(unsafe.Pointer(&mask)), 8, 0, 0)
	r, _, errno := syscall.RawSyscall6(nr, args[0], args[1], args[2], 0, 0, 0)
	if r == 0 && errno == 0 {
		become(&ops[0], len(ops), status)
	}
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&mask)), 0, 8, 0, 0)
	return int(r), errno
}

// become runs the calls of a new process. Nothing here may need the runtime: no allocation, no growth of the stack, no
// pointer stored in the heap.
//
//go:nosplit
//go:norace
//go:nocheckptr
func become(ops *rawOp, n int, status *childStatus) {
	for sig := uintptr(1); sig <= 64; sig++ {
		syscall.RawSyscall6(unix.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(&defaultAction)), 0, 8, 0, 0)
	}
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&noSignal)), 0, 8, 0, 0)
	kept, keptErrno := int32(-1), int32(0)
	failed, failedErrno := int32(noChild), int32(unix.ENOEXEC) // a program that does not end in execve
	for i := 0; i < n && i < maxOps; i++ {
		o := (*rawOp)(unsafe.Add(unsafe.Pointer(ops), i*opSize))
		var a [6]uintptr
		for k := 0; k < 6; k++ {
			a[k] = uintptr(o.args[k])
			if ref := o.refs[k]; ref != 0 {
				a[k] = uintptr(childResults[ref-1])
			}
		}
		r, _, errno := syscall.RawSyscall6(uintptr(o.nr), a[0], a[1], a[2], a[3], a[4], a[5])
		for errno == unix.EINTR {
			r, _, errno = syscall.RawSyscall6(uintptr(o.nr), a[0], a[1], a[2], a[3], a[4], a[5])
		}
		childResults[i] = int64(r)
		if errno == 0 {
			continue
		}
		childResults[i] = -int64(errno)
		if o.flags&flagIgnore != 0 {
			continue
		}
		failed, failedErrno = int32(i), int32(errno)
		if o.flags&flagExec != 0 && (errno == unix.ENOENT || errno == unix.ENOTDIR || errno == unix.EACCES) {
			if errno == unix.EACCES && kept < 0 {
				kept, keptErrno = failed, failedErrno
			}
			if i+1 < n {
				continue
			}
			if kept >= 0 {
				failed, failedErrno = kept, keptErrno
			}
		}
		break
	}
	status.errno = failedErrno
	status.op = failed
	for {
		syscall.RawSyscall6(unix.SYS_EXIT_GROUP, 127, 0, 0, 0, 0, 0)
	}
}
