package nsx

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/hermetic-go/nstest/nstest/internal/ns"
	"golang.org/x/sys/unix"
)

// Run runs a probe to its end in the namespaces of s, and returns what it returns. The process is killed when ctx ends.
//
// The error is an *Error if the process could not be brought there, and a *ProbeError if it is the probe's own.
func Run[In, Out any](ctx context.Context, s Spec, probe Probe[In, Out], in In) (Out, error) {
	var none Out
	if s.Gate {
		return none, &Error{s.How, s.Kinds, errors.New("run a probe: a Gate has to be opened: use Spawn")}
	}
	p, err := Spawn(ctx, s, probe, in)
	if err != nil {
		return none, err
	}
	out, err := p.Result()
	return out, errors.Join(err, p.Close())
}

// Spawn starts a probe in the namespaces of s. The caller ends it with Close, at the latest; it is killed when ctx ends,
// and when this program does.
func Spawn[In, Out any](ctx context.Context, s Spec, probe Probe[In, Out], in In) (*Process[Out], error) {
	p, err := spawn(ctx, s, probe.name, in)
	if err != nil {
		return nil, err
	}
	return &Process[Out]{process: p}, nil
}

// A Process is a probe that was spawned. Await, Continue and Result are for one goroutine at a time.
type Process[Out any] struct {
	*process
	out Out
	err error
}

// Result waits for the probe's end and returns what it returned. A report that nobody has awaited is an error, because
// the probe waits for an answer to it.
func (p *Process[Out]) Result() (Out, error) {
	p.once.Do(func() {
		var m message
		if m, p.err = p.next(); p.err != nil {
			return
		}
		if m.Kind == report {
			p.err = fmt.Errorf("probe %s has reported %s and waits: call Await and Continue first", p.probe, m.Value)
			return
		}
		p.err = json.Unmarshal(m.Value, &p.out)
	})
	return p.out, p.err
}

// process is what does not depend on what the probe returns.
type process struct {
	probe   string
	entrant *ns.Entrant
	execute func() error // nil once the gate is open
	link    *link
	theirs  []*os.File // closed when the process has them
	output  *os.File   // what it prints
	once    sync.Once

	ended  chan struct{} // when the process has
	left   chan struct{} // when its context has no say any more
	status unix.WaitStatus
	waited error

	closing sync.Once
	closed  error
}

func spawn(ctx context.Context, s Spec, probe string, in any) (_ *process, err error) {
	defer func() {
		if err != nil {
			err = &Error{s.How, s.Kinds, err}
		}
	}()
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("spawn probe %s: %w", probe, err)
	}
	if late := os.Getenv(variable); late != "" {
		return nil, fmt.Errorf("this process was to be probe %q, which is not registered: register it in a variable of a package", late)
	}
	if !names[probe] { // the process would be the whole program once more
		return nil, fmt.Errorf("spawn probe %q: none is registered under that name: register it in a variable of a package, and use Named where it starts itself", probe)
	}
	input, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("write input: %w", err)
	}
	p := &process{probe: probe, ended: make(chan struct{}), left: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.abandon())
		}
	}()
	image, err := os.OpenFile("/proc/self/exe", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open this program: %w", err)
	}
	p.theirs = append(p.theirs, image)
	var theirs *os.File
	if p.link, theirs, err = newPair(); err != nil {
		return nil, err
	}
	p.theirs = append(p.theirs, theirs)
	// A file, so that nobody has to read and whatever the probe leaves running may keep it.
	fd, err := unix.MemfdCreate("output", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	p.output = os.NewFile(uintptr(fd), "output")
	if p.entrant, err = ns.Enter(s.entry()); err != nil {
		return nil, err
	}
	if err := s.writeMaps(p.entrant.PID); err != nil {
		return nil, err
	}
	p.execute = func() error {
		defer p.closeTheirs()
		// Of two variables with one name the first counts. The race detector would sleep for a second at the end.
		env := append([]string{variable + "=" + probe, filesVariable + "=" + strconv.Itoa(len(s.Files)), "GORACE=atexit_sleep_ms=0"}, os.Environ()...)
		return p.entrant.Execute(ns.Execution{
			Image: image, Args: []string{"nstest-probe", probe}, Env: env, Output: p.output, Files: append([]*os.File{theirs}, s.Files...),
			UID: s.UID, GID: s.GID, KeepCapabilities: s.KeepCapabilities, NewUser: s.Kinds.Has(User), Blocked: s.Blocked,
		})
	}
	if !s.Gate {
		if err := p.open(); err != nil {
			return nil, err
		}
	}
	go p.wait()
	go p.watch(ctx)
	_ = p.link.send(message{Value: input}) // if it has died already, whoever listens to it is told
	return p, nil
}

// abandon undoes what was done of a spawn that failed.
func (p *process) abandon() error {
	p.closeTheirs()
	var errs []error
	if p.entrant != nil {
		errs = append(errs, p.entrant.End())
	}
	if p.link != nil {
		errs = append(errs, p.link.file.Close())
	}
	if p.output != nil {
		errs = append(errs, p.output.Close())
	}
	return errors.Join(errs...)
}

func (p *process) closeTheirs() {
	for _, f := range p.theirs {
		f.Close()
	}
	p.theirs = nil
}

func (p *process) open() error {
	execute := p.execute
	p.execute = nil
	return execute()
}

// OpenGate lets a process go on that its Spec has held back.
func (p *process) OpenGate() error {
	if p.execute == nil {
		return fmt.Errorf("open gate of probe %s: it is open", p.probe)
	}
	return p.open()
}

// PID is the process's number in the caller's PID namespace.
func (p *process) PID() int { return p.entrant.PID }

// PIDFD stands for the process, also for Spec.Into. It is the Process's own.
func (p *process) PIDFD() *os.File { return p.entrant.PIDFD }

// NSPids is the process's number in the caller's PID namespace, and in those inside of it, down to its own (Linux 4.1).
func (p *process) NSPids() ([]int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		return nil, fmt.Errorf("look up numbers of process: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		list, ok := strings.CutPrefix(line, "NSpid:")
		if !ok {
			continue
		}
		var pids []int
		for _, field := range strings.Fields(list) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				return nil, fmt.Errorf("look up numbers of process: %w", err)
			}
			pids = append(pids, pid)
		}
		return pids, nil
	}
	return nil, fmt.Errorf("look up numbers of process: no NSpid in its status: %w", errors.ErrUnsupported)
}

// Inode is Inode of the process.
func (p *process) Inode(kind Kinds) (uint64, error) { return Inode(p.PID(), kind) }

// Open is Open of the process.
func (p *process) Open(kind Kinds) (*os.File, error) { return Open(p.PID(), kind) }

// Pin is Pin of the process's namespace.
func (p *process) Pin(kind Kinds, path string) error {
	f, err := p.Open(kind)
	if err != nil {
		return err
	}
	defer f.Close()
	return Pin(f, path)
}

// Await waits until the probe reports, and puts the value into what value points to, unless that is nil. The probe then
// waits for Continue. If the probe ends instead, its error is returned, or io.ErrUnexpectedEOF if it has none.
func (p *process) Await(value any) error {
	m, err := p.next()
	if err != nil {
		return err
	}
	if m.Kind != report {
		return fmt.Errorf("probe %s has ended, with %s, and reports nothing: %w", p.probe, m.Value, io.ErrUnexpectedEOF)
	}
	if value == nil {
		return nil
	}
	return json.Unmarshal(m.Value, value)
}

// Continue lets a probe go on that has reported. It gets answer.
func (p *process) Continue(answer any) error {
	data, err := json.Marshal(answer)
	if err == nil {
		err = p.link.send(message{Value: data})
	}
	if err != nil {
		return fmt.Errorf("continue probe %s: %w", p.probe, err)
	}
	return nil
}

// next is what the probe says next, but for its error.
func (p *process) next() (message, error) {
	var m message
	if p.execute != nil {
		return m, fmt.Errorf("listen to probe %s: its gate is closed: call OpenGate first", p.probe)
	}
	switch err := p.link.receive(&m); {
	case errors.Is(err, io.EOF):
		<-p.ended
		return m, p.death()
	case err != nil:
		return m, fmt.Errorf("listen to probe %s: %w", p.probe, err)
	case m.Kind == failure:
		return m, &ProbeError{p.probe, m.Text, m.Errno}
	}
	return m, nil
}

// death says how a process ended that has said nothing.
func (p *process) death() error {
	how := "exit status " + strconv.Itoa(p.status.ExitStatus())
	if p.status.Signaled() {
		how = "signal: " + p.status.Signal().String()
	}
	text := fmt.Sprintf("probe %s has ended without a result (%s)", p.probe, how)
	if said := p.Output(); said != "" {
		text += ", having printed " + strconv.Quote(said)
	}
	return fmt.Errorf("%s: %w", text, io.ErrUnexpectedEOF)
}

func (p *process) wait() {
	p.status, p.waited = p.entrant.Wait()
	close(p.ended)
}

// watch kills the process when its context ends.
func (p *process) watch(ctx context.Context) {
	defer close(p.left)
	select {
	case <-p.ended:
	case <-ctx.Done():
		_ = p.entrant.Kill() // it can only have ended
	}
}

// Wait waits for the process's end, and says how it ended.
func (p *process) Wait() (syscall.WaitStatus, error) {
	<-p.ended
	return syscall.WaitStatus(p.status), p.waited
}

// Ended is closed when the process has ended.
func (p *process) Ended() <-chan struct{} { return p.ended }

// Signal sends the process a signal.
func (p *process) Signal(sig syscall.Signal) error {
	return unix.PidfdSendSignal(int(p.PIDFD().Fd()), sig, nil, 0)
}

// Output is what the process has printed, to standard output and standard error.
func (p *process) Output() string {
	text, _ := io.ReadAll(io.NewSectionReader(p.output, 0, 1<<20))
	return strings.TrimSpace(string(text))
}

// Close kills the process, if it has not ended, and returns when it has. It may be called more than once.
func (p *process) Close() error {
	p.closing.Do(func() {
		err := p.entrant.Kill()
		p.closeTheirs()
		<-p.ended
		<-p.left
		p.closed = errors.Join(err, p.waited, p.entrant.Close(), p.link.file.Close(), p.output.Close())
	})
	return p.closed
}
