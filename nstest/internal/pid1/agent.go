package pid1

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ErrGone says that the init has ended, and its PID namespace with it.
var ErrGone = errors.New("the init has ended")

// An init runs inside its environment, whose root may have taken it over: nothing that it says is relied on.
var errProtocol = errors.New("the init does not keep to the protocol")

// Exit is how a process ended.
type Exit struct {
	Status     unix.WaitStatus
	UserTime   time.Duration
	SystemTime time.Duration
	MaxRSS     int64 // KiB
	Lost       bool  // the init ended first: the kernel killed the process with SIGKILL
}

// A Child is a process that an init started.
type Child struct {
	PID   int      // in the init's PID namespace
	PIDFD *os.File // the owner of the child closes it
	done  chan struct{}
	exit  Exit
}

// Done is closed when the process has ended and was reaped.
func (c *Child) Done() <-chan struct{} { return c.done }

// Exit is how it ended, once Done is closed.
func (c *Child) Exit() Exit { return c.exit }

// An Agent is the connection to one init. Its methods may be called from any goroutine; the init does one thing at a time.
type Agent struct {
	conn *net.UnixConn
	gone chan struct{}
	turn sync.Mutex // held by the one request that is under way

	mu       sync.Mutex // guards what follows
	waiting  *request   // the one that the next reply answers
	ended    bool
	children map[int]*Child
}

// A request waits for its reply: the channel gets one, or is closed when the init has ended.
type request struct {
	kind  uint32
	want  int // files
	reply chan reply
}

type reply struct {
	op    int32
	errno unix.Errno
	child *Child
	files []*os.File
}

// Socket makes the two ends of a control connection: ours, and the one that the init is started with as file
// descriptor 3.
func Socket() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make control socket: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "init control"), os.NewFile(uintptr(fds[1]), "init control"), nil
}

// NewAgent speaks over our end of a control connection, which it takes over.
func NewAgent(ours *os.File) (*Agent, error) {
	c, err := net.FileConn(ours)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open control connection: %w", err), ours.Close())
	}
	conn, ok := c.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("open control connection: %w", unix.ENOTSOCK), c.Close(), ours.Close())
	}
	a := &Agent{conn: conn, gone: make(chan struct{}), children: map[int]*Child{}}
	go a.read()
	return a, ours.Close()
}

// Close hangs up: the init exits and its PID namespace ends with it. Whoever waits for an answer gets ErrGone. It may be
// called more than once.
func (a *Agent) Close() error {
	err := a.conn.Close()
	<-a.gone
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Gone is closed when the init has ended or hung up.
func (a *Agent) Gone() <-chan struct{} { return a.gone }

// Run executes p in the init itself and returns the files that its calls returned, in the order of the calls. The
// caller closes them. When a call fails, the error is a *CallError, the calls before it stay done, and the descriptors
// that they opened are closed where the program says so (Return, Close). It waits for as long as the calls take.
func (a *Agent) Run(p *Program) ([]*os.File, error) {
	r, err := a.request(p, kindRun, 0)
	return r.files, err
}

// Start executes p in a new child of the init; it ends with Exec. Start returns when the child executes its program, or
// could not: that is a *CallError too.
func (a *Agent) Start(p *Program) (*Child, error) {
	if n := len(p.ops); p.err == nil && (n == 0 || p.ops[n-1].flags&flagExec == 0) {
		return nil, fmt.Errorf("start process: the program does not end with Exec: %w", unix.EINVAL)
	}
	r, err := a.request(p, kindChild, 0)
	return r.child, err
}

// Fork makes the init fork a further one with the given clone(2) flags, and returns the connection to it. The new
// init is a child of this one and ends with it.
func (a *Agent) Fork(cloneFlags uintptr) (*Agent, *Child, error) {
	sub, child, _, err := a.ForkRun(cloneFlags, nil)
	return sub, child, err
}

// ForkRun is Fork, and Run of first in the new init. The program is on its way before that init exists, which saves the
// init a wait. ForkRun does not wait for the program: ran does, and returns what Run does. It must be called.
func (a *Agent) ForkRun(cloneFlags uintptr, first *Program) (sub *Agent, child *Child, ran func() ([]*os.File, error), err error) {
	ours, theirs, err := Socket()
	if err != nil {
		return nil, nil, nil, err
	}
	defer theirs.Close()
	made, err := NewAgent(ours)
	if err != nil {
		return nil, nil, nil, err
	}
	var files []*os.File
	var failed error
	done := make(chan struct{})
	go func() { // not with the named results, which a return with an error sets to nil
		defer close(done)
		if first != nil {
			files, failed = made.Run(first)
		}
	}()
	var p Program
	p.File(theirs)
	r, err := a.request(&p, kindFork, cloneFlags)
	if err != nil {
		err = errors.Join(err, made.Close())
		<-done
		discard(files)
		return nil, nil, nil, err
	}
	return made, r.child, func() ([]*os.File, error) { <-done; return files, failed }, nil
}

// request sends p and waits for the reply, which is the kind's: a child, or as many files as p returns.
func (a *Agent) request(p *Program, kind uint32, flags uintptr) (reply, error) {
	image, err := p.image(kind, flags)
	if err != nil {
		return reply{}, err
	}
	files := p.files
	if len(image) > maxInline {
		large, err := memfd(image)
		if err != nil {
			return reply{}, err
		}
		defer large.Close()
		image, files = image[:headerSize], append([]*os.File{large}, files...)
	}
	var oob []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, f := range files {
			if fds[i], err = descriptor(f); err != nil {
				return reply{}, err
			}
		}
		oob = unix.UnixRights(fds...)
	}
	a.turn.Lock()
	defer a.turn.Unlock()
	q := &request{kind: kind, want: p.wanted, reply: make(chan reply, 1)}
	if err := a.expect(q); err != nil {
		return reply{}, err
	}
	_, _, err = a.conn.WriteMsgUnix(image, oob, nil)
	runtime.KeepAlive(files)
	if err != nil {
		if a.forget(q); errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, net.ErrClosed) {
			return reply{}, fmt.Errorf("%w: %w", ErrGone, err)
		}
		return reply{}, fmt.Errorf("send to the init: %w", err)
	}
	r, ok := <-q.reply
	switch {
	case !ok:
		return reply{}, ErrGone
	case r.op >= 0:
		return reply{}, p.failure(int(r.op), r.errno)
	}
	return r, nil
}

func (a *Agent) expect(q *request) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended {
		return ErrGone
	}
	a.waiting = q
	return nil
}

// forget takes q back, which was not sent.
func (a *Agent) forget(q *request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.waiting == q {
		a.waiting = nil
	}
}

// read takes what the init says, until it ends or does not keep to the protocol: then it is hung up on.
func (a *Agent) read() {
	defer a.end()
	buf, oob := make([]byte, 16+8*maxOps+1), make([]byte, unix.CmsgSpace(4*maxReturn))
	for {
		n, oobn, flags, _, err := a.conn.ReadMsgUnix(buf, oob)
		if err != nil || n == 0 {
			return
		}
		files, err := receive(oob[:oobn])
		if err != nil || flags&(unix.MSG_CTRUNC|unix.MSG_TRUNC) != 0 || !a.take(buf[:n], files) {
			discard(files)
			return
		}
	}
}

// take dispatches one message. It reports whether it, and the files that came along, are what they have to be. A child
// is entered before anything later is read, so that its end, which the init can only tell later, always finds it.
func (a *Agent) take(msg []byte, files []*os.File) bool {
	if len(msg) < 16 {
		return false
	}
	ne := binary.NativeEndian
	kind, op, errno, pid := ne.Uint32(msg), int32(ne.Uint32(msg[4:])), ne.Uint32(msg[8:]), int(int32(ne.Uint32(msg[12:])))
	if kind == kindExit {
		a.exited(pid, unix.WaitStatus(errno), msg[16:])
		return len(files) == 0
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	q := a.waiting
	if kind != kindReply || q == nil {
		return false // an answer to nothing: whoever speaks there is not our init any more
	}
	r := reply{op: op, errno: unix.Errno(errno), files: files}
	switch {
	case op >= 0:
		if len(files) != 0 || pid != 0 {
			return false
		}
	case q.kind == kindRun:
		if len(files) != q.want || pid != 0 {
			return false
		}
	default:
		if len(files) != 1 || pid <= 0 || a.children[pid] != nil {
			return false
		}
		r.child, r.files = &Child{PID: pid, PIDFD: files[0], done: make(chan struct{})}, nil
		a.children[pid] = r.child
	}
	a.waiting = nil
	q.reply <- r
	return true
}

func (a *Agent) exited(pid int, status unix.WaitStatus, usage []byte) {
	a.mu.Lock()
	c := a.children[pid]
	delete(a.children, pid)
	a.mu.Unlock()
	if c == nil {
		return // an orphan
	}
	c.exit.Status = status
	if len(usage) >= 24 {
		ne := binary.NativeEndian
		c.exit.UserTime = time.Duration(ne.Uint64(usage)) * time.Microsecond
		c.exit.SystemTime = time.Duration(ne.Uint64(usage[8:])) * time.Microsecond
		c.exit.MaxRSS = int64(ne.Uint64(usage[16:]))
	}
	close(c.done)
}

// end tells everybody who waits that nothing will come any more.
func (a *Agent) end() {
	a.conn.Close()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = true
	if a.waiting != nil {
		close(a.waiting.reply)
		a.waiting = nil
	}
	for pid, c := range a.children {
		c.exit = Exit{Status: unix.WaitStatus(unix.SIGKILL), Lost: true}
		close(c.done)
		delete(a.children, pid)
	}
	close(a.gone)
}

// discard closes files that nobody asked for.
func discard(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// receive takes the files out of a control message. On error it has closed all.
func receive(oob []byte) ([]*os.File, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for _, m := range msgs {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			discard(files)
			return nil, err
		}
		for _, fd := range fds { // the net package asks for them with MSG_CMSG_CLOEXEC
			files = append(files, os.NewFile(uintptr(fd), "from init"))
		}
	}
	return files, nil
}

// descriptor is f's file descriptor, without what (*os.File).Fd does to its blocking mode.
func descriptor(f *os.File) (int, error) {
	fd := -1
	c, err := f.SyscallConn()
	if err != nil {
		return -1, fmt.Errorf("pass %s: %w", f.Name(), err)
	}
	if err := c.Control(func(n uintptr) { fd = int(n) }); err != nil {
		return -1, fmt.Errorf("pass %s: %w", f.Name(), err)
	}
	return fd, nil
}
