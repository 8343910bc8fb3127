package ns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/pid1"
	"golang.org/x/sys/unix"
)

// A Way is the system call by which a process comes into namespaces: three make new ones, and BySetns joins those that exist.
type Way int

// The four ways.
const (
	ByClone   Way = iota // clone(2)
	ByClone3             // clone3(2)
	ByUnshare            // unshare(2)
	BySetns              // setns(2)
)

// String is the name of the system call.
func (w Way) String() string {
	if w < ByClone || w > BySetns {
		return fmt.Sprintf("way %d", int(w))
	}
	return []string{"clone", "clone3", "unshare", "setns"}[w]
}

// forChildren are the kinds that unshare(2) and setns(2) change for later children alone.
const forChildren = PID | Time

// An Entry says how a process is to come into namespaces.
type Entry struct {
	Way   Way
	Kinds Kinds
	Into  []*os.File // BySetns: namespaces, or a pidfd, of which Kinds are entered; in this order

	Cgroup *os.File // ByClone3: where the process is born, if not nil
	SetTID []int32  // ByClone3: its number in its PID namespace, and in those around it

	// Clocks are the offsets of a time namespace that is unshared; nil leaves it as it is.
	Clocks *Clocks
}

// Clocks are the offsets of a time namespace.
type Clocks struct{ Monotonic, Boottime time.Duration }

// An Entrant is a process that is in its namespaces and has executed no program yet: it has one thread, waits, and ends
// with the connection to it.
type Entrant struct {
	PID   int      // in the caller's PID namespace
	PIDFD *os.File // the entrant's own

	agent *pid1.Agent // of the process, until it executes a program

	// The direct child of this program: the process itself, unless that had to be forked by one that had unshared what is
	// for children. Then forked is the process, and outer the connection to the one between.
	child  *Process
	outer  *pid1.Agent
	forked *pid1.Child
}

// Enter starts a process and takes it into namespaces. In a new user namespace no id is mapped yet.
//
// An error is that of the first system call that failed, with the way and the kinds; nothing is left then.
func Enter(e Entry) (_ *Entrant, err error) {
	var x *Entrant
	switch {
	case e.Way == ByClone3, e.Way == ByClone && e.Kinds.Has(Time):
		x, err = startEntrant(e.Way, e.Kinds, e.startRawly)
	case e.Way == ByClone:
		x, err = startEntrant(ByClone, e.Kinds, start)
	case e.Way == ByUnshare, e.Way == BySetns:
		x, err = startEntrant(ByClone, 0, start)
	default:
		return nil, fmt.Errorf("%v: %w", e.Way, unix.EINVAL)
	}
	if err != nil {
		return nil, err
	}
	if e.Way != ByUnshare && e.Way != BySetns {
		return x, nil
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, x.End())
		}
	}()
	kinds, err := e.enter(x.agent)
	if err != nil {
		return nil, err
	}
	if kinds&forChildren != 0 {
		if err := x.fork(); err != nil {
			return nil, fmt.Errorf("fork after %v of %v namespaces: %w", e.Way, kinds, err)
		}
	}
	return x, nil
}

// enter has an init unshare namespaces, or join some, and returns which kinds those are.
func (e Entry) enter(init *pid1.Agent) (Kinds, error) {
	var p pid1.Program
	kinds := e.Kinds
	if e.Way == ByUnshare {
		p.Call("unshare "+e.Kinds.name(), unix.SYS_UNSHARE, pid1.Int(e.Kinds))
		if e.Clocks != nil {
			p.WriteFile("/proc/self/timens_offsets", e.Clocks.lines(), 0, 0)
		}
	}
	if e.Way == BySetns {
		for _, f := range e.Into {
			k, err := KindOf(f)
			switch {
			case err == nil: // a namespace
				kinds |= k
			case errors.Is(err, unix.ENOTTY): // a pidfd
				k = e.Kinds
			default:
				return 0, fmt.Errorf("setns %s: %w", f.Name(), err)
			}
			p.Call("setns "+k.name(), unix.SYS_SETNS, p.File(f), pid1.Int(k))
		}
	}
	_, err := init.Run(&p)
	return kinds, err
}

// name is the kinds as an error has them.
func (k Kinds) name() string {
	if k == 0 {
		return "of no namespace"
	}
	return k.String() + " namespace"
}

// KindOf is the kind of the namespace that f is. The error is ENOTTY if f is none (Linux 4.11).
func KindOf(f *os.File) (Kinds, error) {
	c, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	var kind int
	var failed error
	if err := c.Control(func(fd uintptr) { kind, failed = unix.IoctlRetInt(int(fd), unix.NS_GET_NSTYPE) }); err != nil {
		return 0, err
	}
	return Kinds(kind), failed
}

// fork puts x into what it has unshared for its children: a child of its own takes its place.
func (x *Entrant) fork() error {
	sub, child, err := x.agent.Fork(0)
	if err != nil {
		return err
	}
	x.outer, x.agent = x.agent, sub
	x.forked, x.PID, x.PIDFD = child, child.PID, child.PIDFD
	return nil
}

// entrantArgs are what a process is called that has executed no program of its caller's yet.
var entrantArgs = []string{"nstest-entrant"}

// single is the program with one thread: the static init. The one in Go has several, which no user or time namespace takes.
func single() (*os.File, error) {
	f, err := pid1.Static()
	switch {
	case errors.Is(err, unix.EACCES):
		return nil, fmt.Errorf("start a process with one thread: %w (what to do: sysctl -w vm.memfd_noexec=1)", err)
	case err == nil && f == nil:
		return nil, fmt.Errorf("start a process with one thread: there is no program for it on %s: %w", runtime.GOARCH, errors.ErrUnsupported)
	}
	return f, err
}

// startEntrant has start bring about a process with one thread in new namespaces of these kinds, from an image and with these
// files, null three times. What it is, an init, is no matter to it as long as it waits: it does what it is told and ends
// with the connection.
func startEntrant(way Way, kinds Kinds, start func(kinds Kinds, image, null, control *os.File) (*Process, error)) (*Entrant, error) {
	image, err := single()
	if err != nil {
		return nil, err
	}
	ours, theirs, err := pid1.Socket()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, errors.Join(err, ours.Close())
	}
	defer null.Close()
	proc, err := start(kinds, image, null, theirs)
	if err != nil {
		return nil, errors.Join(enterError(way, kinds, err), ours.Close())
	}
	return &Entrant{PID: proc.PID, PIDFD: proc.PIDFD, agent: pid1.NewAgent(ours), child: proc}, nil
}

// start starts an entrant by the syscall package.
func start(kinds Kinds, image, null, control *os.File) (*Process, error) {
	return Start(Spec{
		Image: image, Args: entrantArgs, Env: []string{}, Files: []*os.File{null, null, null, control}, Kinds: kinds, DieWithUs: true,
	})
}

// enterError leaves out of err what is said of the process that is started, which is nobody's concern.
func enterError(way Way, kinds Kinds, err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return fmt.Errorf("%v %s: %w", way, kinds.name(), errno)
	}
	return err
}

// startRawly is start for what the syscall package cannot do: clone3(2) in general, and clone(2) with CLONE_NEWTIME, for
// which it takes clone3.
func (e Entry) startRawly(kinds Kinds, image, null, control *os.File) (*Process, error) {
	var p pid1.Program
	dieWithParent(&p)
	if kinds.Has(User) {
		keepCapabilities(&p) // the init is executed before its ids are mapped
	}
	const high = 64 // above whatever number our files have: what is put to the low ones replaces nothing that is needed
	from := func(f *os.File) pid1.Arg {
		return p.Call("duplicate "+f.Name(), unix.SYS_FCNTL, p.File(f), pid1.Int(unix.F_DUPFD_CLOEXEC), pid1.Int(high)).Arg()
	}
	init, connection, standard := from(image), from(control), from(null)
	for fd := range 3 {
		p.Dup3(standard, fd)
	}
	p.Dup3(connection, 3)
	p.ExecFile(init, entrantArgs, []string{})

	proc := &Process{}
	var err error
	onImmortalThread(func() {
		if e.Way == ByClone {
			proc.PID, proc.PIDFD, err = pid1.Clone2(uintptr(kinds)|uintptr(unix.SIGCHLD), &p)
		} else {
			proc.PID, proc.PIDFD, err = pid1.Clone3(pid1.Clone3Args{Flags: uint64(kinds), Cgroup: e.Cgroup, SetTID: e.SetTID}, &p)
		}
	})
	return proc, err
}

func dieWithParent(p *pid1.Program) {
	p.Call("die with parent", unix.SYS_PRCTL, pid1.Int(unix.PR_SET_PDEATHSIG), pid1.Int(unix.SIGKILL))
}

// keepCapabilities makes all of them ambient, so that they survive execve(2) whatever the user id.
func keepCapabilities(p *pid1.Program) {
	setCapabilities(p, ^uint32(0))
	for _, c := range ambient() {
		p.Try("keep capability", unix.SYS_PRCTL, pid1.Int(unix.PR_CAP_AMBIENT), pid1.Int(unix.PR_CAP_AMBIENT_RAISE), pid1.Int(c), pid1.Int(0), pid1.Int(0))
	}
}

// loseAmbient leaves it to execve(2) which capabilities there are afterwards: all for user 0, none for others.
func loseAmbient(p *pid1.Program) {
	p.Call("lower ambient capabilities", unix.SYS_PRCTL, pid1.Int(unix.PR_CAP_AMBIENT), pid1.Int(unix.PR_CAP_AMBIENT_CLEAR_ALL), pid1.Int(0), pid1.Int(0), pid1.Int(0))
	setCapabilities(p, 0)
}

// setCapabilities makes all capabilities effective and permitted, as they are in a new user namespace.
func setCapabilities(p *pid1.Program, inheritable uint32) {
	ne := binary.NativeEndian
	header := ne.AppendUint32(ne.AppendUint32(nil, unix.LINUX_CAPABILITY_VERSION_3), 0)
	var data []byte
	for range 2 {
		for _, set := range []uint32{^uint32(0), ^uint32(0), inheritable} {
			data = ne.AppendUint32(data, set)
		}
	}
	p.Call("set capabilities", unix.SYS_CAPSET, p.Bytes(header), p.Bytes(data))
}
