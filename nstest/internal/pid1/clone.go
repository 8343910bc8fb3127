package pid1

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Clone3Args are the arguments of clone3(2) that matter to a process with memory of its own.
type Clone3Args struct {
	Flags  uint64
	Cgroup *os.File // where the child is born (Linux 5.7), if not nil
	SetTID []int32  // the child's number in its innermost PID namespace, and in those around it (Linux 5.5)
}

// maxPIDLevels is how deep PID namespaces can be nested.
const maxPIDLevels = 32

// cloneArgs is struct clone_args.
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls, setTID, setTIDSize, cgroup uint64
}

// Clone3 makes a child of the calling thread, which must be locked, by clone3(2) (Linux 5.3). The child has one thread
// and executes p, which ends with Exec or the like. Clone3 returns when the child executes its own program, or could not.
func Clone3(args Clone3Args, p *Program) (pid int, pidfd *os.File, err error) {
	return cloned(p, func(im *image, status *childStatus) (int, unix.Errno) {
		raw := &status.args
		raw.flags, raw.exitSignal = args.Flags|unix.CLONE_VFORK|unix.CLONE_PIDFD, uint64(unix.SIGCHLD)
		raw.pidfd = uint64(uintptr(unsafe.Pointer(&status.pidfd)))
		if args.Cgroup != nil {
			n, err := descriptor(args.Cgroup)
			if err != nil {
				return 0, unix.EBADF
			}
			raw.flags |= unix.CLONE_INTO_CGROUP
			raw.cgroup = uint64(n)
		}
		if len(args.SetTID) > 0 {
			raw.setTID = uint64(uintptr(unsafe.Pointer(&status.tids)))
			raw.setTIDSize = uint64(len(args.SetTID)) // the kernel refuses more than there are levels
			copy(status.tids[:], args.SetTID)
		}
		pid, errno := clone(unix.SYS_CLONE3, [3]uintptr{uintptr(unsafe.Pointer(raw)), unsafe.Sizeof(*raw)}, im.ops, status)
		runtime.KeepAlive(args.Cgroup)
		return pid, errno
	})
}

// Clone2 is Clone3 by clone(2), where the low byte of flags is the signal that tells of the child's end.
func Clone2(flags uintptr, p *Program) (pid int, pidfd *os.File, err error) {
	return cloned(p, func(im *image, status *childStatus) (int, unix.Errno) {
		pid, _, errno := clone2(flags|unix.CLONE_VFORK|unix.CLONE_PIDFD, im.ops, status)
		return pid, errno
	})
}

// cloned readies p for a child that clone makes.
func cloned(p *Program, clone func(*image, *childStatus) (pid int, errno unix.Errno)) (pid int, pidfd *os.File, err error) {
	b, err := p.image(kindChild, 0)
	if err != nil {
		return 0, nil, err
	}
	fds := make([]int, len(p.files))
	for i, f := range p.files {
		if fds[i], err = descriptor(f); err != nil {
			return 0, nil, err
		}
	}
	im, err := load(aligned(b), fds)
	if err != nil {
		return 0, nil, fmt.Errorf("load program: %w", err)
	}
	status, err := newChildStatus()
	if err != nil {
		return 0, nil, err
	}
	defer status.unmap()
	status.op, status.pidfd = -1, -1
	pid, errno := clone(im, status)
	runtime.KeepAlive(im)
	runtime.KeepAlive(p)
	if errno != 0 {
		return 0, nil, errno
	}
	pidfd = os.NewFile(uintptr(status.pidfd), "pidfd")
	if status.op >= 0 {
		_, err := unix.Wait4(pid, nil, unix.WALL, nil)
		return 0, nil, errors.Join(p.failure(int(status.op), unix.Errno(status.errno)), err, pidfd.Close())
	}
	return pid, pidfd, nil
}
