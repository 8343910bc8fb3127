package pid1

import (
	"encoding/binary"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The init in Go, for architectures without a static one. It is this very program, executed again; what it does is what
// static/init.c does, with these differences:
//
//   - Its first thread runs the programs and clones all children, so that what is a thread's own (credentials,
//     capabilities, keyrings, signal masks) is that thread's. The others would be a way around for whoever traces the
//     init: user and group ids and seccomp filters are therefore changed on all threads. Capabilities are not: the init
//     keeps its own in any case. A session keyring is not either: the keys of the caller are within reach of the
//     environment's root.
//   - A user namespace cannot be unshared by the init itself, which has several threads. A child has one, and can.
//   - A further init executes the program's file, which must be executable for the environment's root, and its
//     interpreter, if it has one, must be in the environment's root directory. Of capabilities it has what the limits of the
//     environment leave (Config.CapDrop): without CAP_NET_ADMIN no further hosts can be made.
//   - The soft limit of open files (RLIMIT_NOFILE) is raised to the hard one, as in every Go program, also for children.
type fallback struct {
	exe    int          // this program's file, or -1
	status *childStatus // shared with a child until it executes
	inbox  chan message // closed when the connection is
	held   []int        // the files of the request under way, closed before the answer
}

type message struct {
	data  []byte
	files []int
	short bool // some files are missing: RLIMIT_NOFILE is too low for them
}

const control = 3

// fallbackEnv keeps the runtime from looking into /sys/fs/cgroup, where it would keep files open, and the race detector
// from sleeping at exit.
var fallbackEnv = []string{"GOMAXPROCS=2", "GODEBUG=containermaxprocs=0,updatemaxprocs=0", "GORACE=atexit_sleep_ms=0"}

// IsInit reports whether this process was started to be an init: it has nothing but the name, and the control socket.
func IsInit() bool {
	if len(os.Args) != 1 || os.Args[0] != argv0 {
		return false
	}
	typ, err := unix.GetsockoptInt(control, unix.SOL_SOCKET, unix.SO_TYPE)
	return err == nil && typ == unix.SOCK_SEQPACKET
}

// Main is the init's whole life. It has to be called from an init function, which runs on the process's first thread:
// that one stands for the process where others join its namespaces.
func Main() {
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		quit(3)
	}
	closeInherited()
	name, err := unix.BytePtrFromString(argv0)
	if err == nil {
		err = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(name)), 0, 0, 0)
	}
	if err != nil {
		quit(3)
	}
	// Later on there may be no /proc, or not this process's.
	exe, err := unix.Open("/proc/self/exe", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		exe = -1
	}
	f := &fallback{exe: exe, inbox: make(chan message)}
	if f.status, err = newChildStatus(); err != nil {
		quit(2)
	}
	// The kernel keeps signals of its own namespace from a PID 1 that has no handler. The runtime has handlers for all,
	// and most would end the process.
	signal.Notify(make(chan os.Signal, 1))
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	go f.receive()
	for {
		f.reap()
		select {
		case <-ended:
		case m, ok := <-f.inbox:
			if !ok {
				quit(0)
			}
			f.handle(m)
		}
	}
}

// quit ends the process, without anything that may take time at the end of a Go program.
func quit(status int) {
	for {
		unix.RawSyscall(unix.SYS_EXIT_GROUP, uintptr(status), 0, 0)
	}
}

// closeInherited closes what the program that started us has open and did not mean to pass: it is not for the
// environment. The runtime's own descriptors, and those of other packages, are closed on exec. The control socket
// becomes so.
func closeInherited() {
	unix.CloseOnExec(control)
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		quit(3)
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd <= control {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			unix.Close(fd)
		}
	}
}

func (f *fallback) receive() {
	defer close(f.inbox)
	buf, oob := make([]byte, 64<<10), make([]byte, unix.CmsgSpace(4*(maxFiles+2)))
	for {
		n, oobn, flags, _, err := unix.Recvmsg(control, buf, oob, unix.MSG_CMSG_CLOEXEC)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return
		}
		m := message{data: aligned(buf[:n]), short: flags&unix.MSG_CTRUNC != 0}
		msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
		if err != nil {
			return
		}
		for i := range msgs {
			fds, err := unix.ParseUnixRights(&msgs[i])
			if err != nil {
				return
			}
			m.files = append(m.files, fds...)
		}
		f.inbox <- m
	}
}

// handle takes one request and answers it.
func (f *fallback) handle(m message) {
	f.held = m.files
	if m.short {
		f.refuse(noImage, unix.EMFILE)
		return
	}
	im, err := load(m.data, m.files)
	if err != nil {
		f.refuse(noImage, err.(unix.Errno))
		return
	}
	defer runtime.KeepAlive(im)
	switch im.kind {
	case kindRun:
		f.run(im)
	case kindChild:
		f.start(im)
	default:
		f.fork(im)
	}
}

// run executes the calls of a program on this thread.
func (f *fallback) run(im *image) {
	res := make([]int64, len(im.ops))
	failed, errno := im.execute(res)
	var files []int
	if failed >= 0 {
		im.abandon(failed, res)
		f.post(kindReply, failed, uint32(errno), 0, res, nil)
		return
	}
	for i, o := range im.ops {
		if o.flags&flagReturn != 0 && res[i] >= 0 {
			files = append(files, int(res[i]))
		}
	}
	f.post(kindReply, -1, 0, 0, res, files)
	closeAll(files)
}

// start clones a child that executes the calls of a program. It answers when the child has executed its own program, or
// could not.
func (f *fallback) start(im *image) {
	f.status.op = -1
	pid, pidfd, errno := clone2(im.flags|unix.CLONE_VFORK|unix.CLONE_PIDFD|uintptr(unix.SIGCHLD), im.ops, f.status)
	op := int(f.status.op)
	if im.kind == kindFork && op >= 0 { // the calls were ours, not the sender's
		op = noChild
	}
	switch {
	case errno != 0:
		f.refuse(noChild, errno)
	case op >= 0:
		f.wait(pid)
		unix.Close(pidfd)
		f.refuse(op, unix.Errno(f.status.errno))
	case pidfd < 0: // before Linux 5.2
		_ = unix.Kill(pid, unix.SIGKILL)
		f.wait(pid)
		f.refuse(noChild, unix.ENOSYS)
	default:
		f.post(kindReply, -1, 0, pid, nil, []int{pidfd})
		unix.Close(pidfd)
	}
}

// fork starts a further init: a child whose program is to execute this one, with the first file as control socket.
func (f *fallback) fork(im *image) {
	if len(im.files) == 0 {
		f.refuse(noImage, unix.EBADMSG)
		return
	}
	var p Program
	p.Call("dup3", unix.SYS_DUP3, Int(im.files[0]), Int(control), Int(0))
	p.Call("execute init", unix.SYS_EXECVEAT, Int(f.exe), p.String(""), p.Strings([]string{argv0}), p.Strings(fallbackEnv), Int(unix.AT_EMPTY_PATH))
	b, err := p.image(kindFork, im.flags)
	if err != nil {
		f.refuse(noImage, unix.EBADMSG)
		return
	}
	next, err := load(aligned(b), nil)
	if err != nil {
		f.refuse(noImage, err.(unix.Errno))
		return
	}
	f.start(next)
	runtime.KeepAlive(next)
}

// reap collects every child that ended, its own and the orphans, and reports it.
func (f *fallback) reap() {
	for {
		var status unix.WaitStatus
		var usage unix.Rusage
		pid, err := unix.Wait4(-1, &status, unix.WALL|unix.WNOHANG, &usage)
		if err == unix.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		f.post(kindExit, -1, uint32(status), pid, []int64{usage.Utime.Nano() / 1000, usage.Stime.Nano() / 1000, usage.Maxrss}, nil)
	}
}

func (f *fallback) wait(pid int) {
	for {
		if _, err := unix.Wait4(pid, nil, unix.WALL, nil); err != unix.EINTR {
			return
		}
	}
}

func (f *fallback) refuse(op int, errno unix.Errno) {
	f.post(kindReply, op, uint32(errno), 0, nil, nil)
}

// post sends an answer. Nobody is left to work for when that is impossible.
func (f *fallback) post(kind uint32, op int, errno uint32, pid int, res []int64, files []int) {
	closeAll(f.held)
	f.held = nil
	ne := binary.NativeEndian
	b := ne.AppendUint32(nil, kind)
	b = ne.AppendUint32(b, uint32(int32(op)))
	b = ne.AppendUint32(b, errno)
	b = ne.AppendUint32(b, uint32(int32(pid)))
	for _, r := range res {
		b = ne.AppendUint64(b, uint64(r))
	}
	var oob []byte
	if len(files) > 0 {
		oob = unix.UnixRights(files...)
	}
	for {
		err := unix.Sendmsg(control, b, oob, nil, unix.MSG_NOSIGNAL)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			quit(1)
		}
		return
	}
}

func closeAll(files []int) {
	for _, fd := range files {
		unix.Close(fd)
	}
}
