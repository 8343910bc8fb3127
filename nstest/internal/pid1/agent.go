package pid1

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// ErrGone says that the init has ended, and its PID namespace with it.
var ErrGone = errors.New("the init has ended")

// An init runs inside its environment, whose root may have taken it over: nothing that it says is relied on.
var errProtocol = errors.New("the init does not keep to the protocol")

// An Agent is the connection to one init. Its methods may be called from any goroutine; the init does one thing at a time.
//
// Until somebody asks for what the init says unasked (Listen, Start, Child.Done, Gone), nobody listens between requests, and who
// waits for an answer reads it: making an environment is a chain of short requests, and a goroutine between each would cost
// as much as they do.
type Agent struct {
	omit []string // see Omit
	gone chan struct{}
	turn chan struct{} // holds a token for each request that was not answered: the init has the next one when it is done with one

	queue   sync.Mutex // held by whoever is the next to send; before the others
	sending sync.Mutex // keeps requests in the order of waiting
	sock    *os.File   // our end, blocking, until a goroutine listens
	conn    *net.UnixConn
	closing bool

	reading   sync.Mutex // held by whoever receives while nobody listens; before sending
	buf, oob  []byte
	listening atomic.Bool // a goroutine receives from conn until the end, and nobody else does

	mu       sync.Mutex            // guards what follows
	waiting  []*request            // those that the next replies answer, in this order
	begun    map[*request]struct{} // those that nobody has the reply of yet
	ended    bool
	children map[int]*Child
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
func NewAgent(ours *os.File) *Agent {
	return &Agent{
		sock: ours, gone: make(chan struct{}), turn: make(chan struct{}, maxUnderWay), children: map[int]*Child{}, begun: map[*request]struct{}{},
		buf: make([]byte, 16+8*maxOps+1), oob: make([]byte, unix.CmsgSpace(4*maxReturn)),
	}
}

// Omit has the init, and those that it forks, go without the calls of these names, as if they had succeeded and done
// nothing. It is for tests that a spec notices when one of them is missing.
func (a *Agent) Omit(calls []string) { a.omit = calls }

// Close hangs up: the init exits and its PID namespace ends with it. Whoever waits for an answer gets ErrGone. It may be
// called more than once.
func (a *Agent) Close() error {
	a.sending.Lock()
	conn := a.conn
	if conn == nil {
		a.closing = true
		_ = a.control(func(fd int) error { return unix.Shutdown(fd, unix.SHUT_RDWR) }) // wakes who reads
	}
	a.sending.Unlock()
	var err error
	if conn != nil {
		err = conn.Close()
		<-a.gone
	} else {
		a.reading.Lock()
		a.end()
		a.reading.Unlock()
		err = a.sock.Close()
	}
	a.abandon()
	if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

// Gone is closed when the init has ended or hung up.
func (a *Agent) Gone() <-chan struct{} {
	a.Listen()
	return a.gone
}

// Listen makes a goroutine read what the init says from now on. An init whose PID namespace others start processes in tells
// of the end of every orphan, and waits when too much of it is not read.
func (a *Agent) Listen() {
	if a.listening.Load() {
		return
	}
	a.reading.Lock()
	defer a.reading.Unlock()
	a.sending.Lock()
	defer a.sending.Unlock()
	if a.listening.Load() || a.closing || a.hasEnded() {
		return
	}
	c, err := net.FileConn(a.sock)
	if err != nil { // no descriptors are left, and so nothing that could be done with the init
		a.end()
		return
	}
	_ = a.sock.Close()
	a.conn = c.(*net.UnixConn)
	a.listening.Store(true)
	go func() {
		for a.receive(0) == nil {
		}
	}()
}

// Run executes p in the init itself and returns the files that its calls returned, in the order of the calls. The
// caller closes them. When a call fails, the error is a *CallError, the calls before it stay done, and the descriptors
// that they opened are closed where the program says so (Return, Close). It waits for as long as the calls take.
func (a *Agent) Run(p *Program) ([]*os.File, error) { return a.Begin(p)() }

// A Ran waits for a program that was begun, and returns what Run does. It must be called once, or the agent closed.
type Ran func() ([]*os.File, error)

// Begin is Run in two halves: the program is on its way when Begin returns, and follows at once what the init is at. A third
// program that is begun waits until the first has run, whether or not somebody waits for that.
func (a *Agent) Begin(p *Program) Ran {
	q, err := a.send(p, kindRun, 0)
	if err != nil {
		return func() ([]*os.File, error) { return nil, err }
	}
	return func() ([]*os.File, error) {
		r, err := a.await(q)
		return r.files, err
	}
}

// Start executes p in a new child of the init; it ends with Exec. Start returns when the child executes its program, or
// could not: that is a *CallError too.
func (a *Agent) Start(p *Program) (*Child, error) {
	if n := len(p.ops); p.err == nil && (n == 0 || p.ops[n-1].flags&flagExec == 0) {
		return nil, fmt.Errorf("start process: the program does not end with Exec: %w", unix.EINVAL)
	}
	a.Listen() // the init tells of the end of every orphan that the process leaves
	r, err := a.request(p, kindChild, 0)
	return r.child, err
}

// Fork makes the init fork a further one with the given clone(2) flags, and returns the connection to it. The new
// init is a child of this one and ends with it.
func (a *Agent) Fork(cloneFlags uintptr) (*Agent, *Child, error) {
	sub, forked, _, err := a.BeginFork(cloneFlags)
	if err != nil {
		return nil, nil, err
	}
	child, err := forked()
	if err != nil {
		return nil, nil, errors.Join(err, sub.Close())
	}
	return sub, child, nil
}

// A Forked waits for an init whose fork was begun. It must be called once, or the agent closed. After an error the connection
// that was to lead to that init is still to be closed.
type Forked func() (*Child, error)

// BeginFork is Fork in two halves, and Begin of the first programs in the new init, at most two. They are on their way
// before that init exists, which saves it a wait; where it never comes to exist, their errors are ErrGone.
func (a *Agent) BeginFork(cloneFlags uintptr, first ...*Program) (sub *Agent, forked Forked, ran []Ran, err error) {
	ours, theirs, err := Socket()
	if err != nil {
		return nil, nil, nil, err
	}
	defer theirs.Close()
	sub = NewAgent(ours)
	sub.Omit(a.omit)
	for _, p := range first {
		ran = append(ran, sub.Begin(p))
	}
	var p Program
	p.File(theirs)
	q, err := a.send(&p, kindFork, cloneFlags)
	if err != nil {
		return nil, nil, nil, errors.Join(err, sub.Close())
	}
	return sub, func() (*Child, error) {
		r, err := a.await(q)
		return r.child, err
	}, ran, nil
}

// receive takes one message; the caller holds reading, or listens. After an error other than EAGAIN, such as that the init does not
// keep to the protocol, the agent has ended.
func (a *Agent) receive(flags int) (err error) {
	var n, oobn int
	if a.listening.Load() {
		n, oobn, flags, _, err = a.conn.ReadMsgUnix(a.buf, a.oob)
	} else {
		err = a.control(func(fd int) (err error) {
			n, oobn, flags, _, err = unix.Recvmsg(fd, a.buf, a.oob, unix.MSG_CMSG_CLOEXEC|flags)
			return err
		})
	}
	if err == unix.EAGAIN {
		return err
	}
	if err == nil && n == 0 {
		err = ErrGone
	}
	if err == nil {
		var files []*os.File
		files, err = receive(a.oob[:oobn])
		if err == nil && (flags&(unix.MSG_CTRUNC|unix.MSG_TRUNC) != 0 || !a.take(a.buf[:n], files)) {
			discard(files)
			err = errProtocol
		}
	}
	if err != nil {
		a.end()
	}
	return err
}

// control makes a system call on the socket while nobody listens.
func (a *Agent) control(f func(fd int) error) error {
	c, err := a.sock.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = c.Control(func(fd uintptr) {
		for {
			if inner = f(int(fd)); inner != unix.EINTR {
				return
			}
		}
	})
	if err == nil {
		err = inner
	}
	return err
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
	if kind != kindReply || len(a.waiting) == 0 {
		return false // an answer to nothing: whoever speaks there is not our init any more
	}
	q := a.waiting[0]
	r := reply{op: op, errno: unix.Errno(errno), files: files}
	switch {
	case op >= 0:
		if len(files) != 0 || pid != 0 {
			return false
		}
	case q.kind == kindRun:
		if len(files) != q.program.wanted || pid != 0 {
			return false
		}
	default:
		if len(files) != 1 || pid <= 0 || a.children[pid] != nil {
			return false
		}
		r.child, r.files = &Child{PID: pid, PIDFD: files[0], agent: a, done: make(chan struct{})}, nil
		a.children[pid] = r.child
	}
	a.waiting = a.waiting[1:]
	<-a.turn
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
	c.exit.At, c.exit.Status = time.Now(), status
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
	if a.listening.Load() {
		a.conn.Close()
	} else {
		_ = a.control(func(fd int) error { return unix.Shutdown(fd, unix.SHUT_RDWR) })
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended {
		return
	}
	a.ended = true
	for _, q := range a.waiting {
		<-a.turn
		close(q.reply)
	}
	a.waiting = nil
	for pid, c := range a.children {
		c.exit = Exit{At: time.Now(), Status: unix.WaitStatus(unix.SIGKILL), Lost: true}
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
