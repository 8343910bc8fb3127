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
	conn     *net.UnixConn
	mu       sync.Mutex // one request at a time
	replies  chan reply
	gone     chan struct{}
	children struct {
		sync.Mutex
		list map[int]*Child
	}
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
	a := &Agent{conn: c.(*net.UnixConn), replies: make(chan reply, 1), gone: make(chan struct{})}
	a.children.list = map[int]*Child{}
	go a.read()
	return a, ours.Close()
}

// Close hangs up: the init exits and its PID namespace ends with it.
func (a *Agent) Close() error { return a.conn.Close() }

// Gone is closed when the init has ended or hung up.
func (a *Agent) Gone() <-chan struct{} { return a.gone }

// Run executes p in the init itself and returns the files that its calls returned, in the order of the calls. The
// caller closes them.
func (a *Agent) Run(p *Program) ([]*os.File, error) {
	want := 0
	for _, o := range p.ops {
		if o.flags&flagReturn != 0 {
			want++
		}
	}
	r, err := a.request(p, kindRun, 0)
	if err == nil && len(r.files) != want {
		for _, f := range r.files {
			f.Close()
		}
		return nil, errProtocol
	}
	return r.files, err
}

// Start executes p in a new child of the init; it ends with Exec.
func (a *Agent) Start(p *Program) (*Child, error) {
	r, err := a.request(p, kindChild, 0)
	if err == nil && r.child == nil {
		return nil, errProtocol
	}
	return r.child, err
}

// Fork makes the init fork a further one with the given clone(2) flags, and returns the connection to it. The new
// init is a child of this one and ends with it.
func (a *Agent) Fork(cloneFlags uintptr) (*Agent, *Child, error) {
	ours, theirs, err := Socket()
	if err != nil {
		return nil, nil, err
	}
	defer theirs.Close()
	var p Program
	p.File(theirs)
	r, err := a.request(&p, kindFork, cloneFlags)
	if err == nil && r.child == nil {
		err = errProtocol
	}
	if err != nil {
		return nil, nil, errors.Join(err, ours.Close())
	}
	sub, err := NewAgent(ours)
	return sub, r.child, err
}

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
	a.mu.Lock()
	defer a.mu.Unlock()
	_, _, err = a.conn.WriteMsgUnix(image, oob, nil)
	runtime.KeepAlive(files)
	if err != nil {
		return reply{}, fmt.Errorf("%w: %w", ErrGone, err)
	}
	select {
	case r := <-a.replies:
		if r.op >= 0 {
			return reply{}, p.failure(int(r.op), r.errno)
		}
		return r, nil
	case <-a.gone:
		return reply{}, ErrGone
	}
}

// read dispatches what the init says. A child is entered before anything later is read, so that its end, which the
// init can only tell later, always finds it.
func (a *Agent) read() {
	defer a.end()
	buf, oob := make([]byte, 16+8*256), make([]byte, unix.CmsgSpace(4*32))
	for {
		n, oobn, _, _, err := a.conn.ReadMsgUnix(buf, oob)
		if err != nil || n < 16 {
			return
		}
		files, err := receive(oob[:oobn])
		if err != nil {
			return
		}
		le := binary.LittleEndian
		kind, op, errno, pid := le.Uint32(buf), int32(le.Uint32(buf[4:])), le.Uint32(buf[8:]), int(int32(le.Uint32(buf[12:])))
		if kind == kindExit {
			a.exited(pid, unix.WaitStatus(errno), buf[16:n])
			continue
		}
		r := reply{op: op, errno: unix.Errno(errno), files: files}
		if pid > 0 && len(files) == 1 {
			r.child = &Child{PID: pid, PIDFD: files[0], done: make(chan struct{})}
			r.files = nil
			a.children.Lock()
			a.children.list[pid] = r.child
			a.children.Unlock()
		}
		select {
		case a.replies <- r:
		default: // an answer to nothing: whoever speaks there is not our init any more
			return
		}
	}
}

func (a *Agent) exited(pid int, status unix.WaitStatus, usage []byte) {
	a.children.Lock()
	c := a.children.list[pid]
	delete(a.children.list, pid)
	a.children.Unlock()
	if c == nil {
		return // an orphan
	}
	c.exit.Status = status
	if len(usage) >= 24 {
		le := binary.LittleEndian
		c.exit.UserTime = time.Duration(le.Uint64(usage)) * time.Microsecond
		c.exit.SystemTime = time.Duration(le.Uint64(usage[8:])) * time.Microsecond
		c.exit.MaxRSS = int64(le.Uint64(usage[16:]))
	}
	close(c.done)
}

// end tells everybody who waits that nothing will come any more.
func (a *Agent) end() {
	a.conn.Close()
	close(a.gone)
	a.children.Lock()
	defer a.children.Unlock()
	for pid, c := range a.children.list {
		c.exit = Exit{Status: unix.WaitStatus(unix.SIGKILL), Lost: true}
		close(c.done)
		delete(a.children.list, pid)
	}
}

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
			return nil, err
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "from init"))
		}
	}
	return files, nil
}

// descriptor is f's file descriptor, without what (*os.File).Fd does to its blocking mode.
func descriptor(f *os.File) (fd int, err error) {
	c, err := f.SyscallConn()
	if err != nil {
		return -1, fmt.Errorf("pass %s: %w", f.Name(), err)
	}
	err = c.Control(func(n uintptr) { fd = int(n) })
	return fd, err
}
