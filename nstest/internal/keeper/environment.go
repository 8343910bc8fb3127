package keeper

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hermetic-go/nstest/nstest/internal/names"
	"github.com/hermetic-go/nstest/nstest/internal/pid1"
	"github.com/hermetic-go/nstest/nstest/internal/rootfs"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// An environment is one set of namespaces with its init, its hosts and its networks.
type environment struct {
	cell
	params      wire.OpenParams
	root        *rootfs.Root
	hostsToCome int  // that there are to be plots for
	uncovered   bool // a test has left out that the root hides secrets
	zone        *names.Zone
	cable       *cable   // of its own host; nil without a network
	entered     pid1.Ran // the init's program that takes on the root
	planned     pid1.Ran // the init's program that makes plots
	next        func()   // has the next environment made, now or soon; nil while this is a spare one
	entry       entry

	wiring sync.Mutex // held while a network is made: the next one sees it

	mu       sync.Mutex // guards what follows; not held while the kernel works on one host
	hosts    map[string]*host
	awaited  chan struct{} // closed when a name that is nil in hosts is so no longer; nil while nobody waits for that
	networks []*network
	procs    map[int]*process
	faults   map[int][][]string
	flaps    map[int]*flap // numbered as the faults
	inForce  inForce
	states   chan struct{}    // takes those who are making a state
	captures map[int]*capture // likewise
	audience audience
	visitors int
	held     *hold // nil while it does not wait
	number   int
	nameless uint32        // how many hosts had no address from which to derive their MAC
	plots    []*plot       // for hosts to come
	planning chan struct{} // one is being made in the background, or, where this is closed, could not be
	built    int           // hosts that were asked for
	announce bool          // hosts that come may be known as somebody else, or to be elsewhere: see introduce
	closed   bool
	ended    chan struct{} // closed when close has finished
	closeErr error

	recorder atomic.Pointer[recorder] // nil where nothing is recorded; written once, with the mutex held
}

// stepError names the step of construction that failed.
type stepError struct {
	step string
	err  error
}

func (e *stepError) Error() string { return e.step + ": " + e.err.Error() }
func (e *stepError) Unwrap() error { return e.err }

// step is what failed, for the explanation of err.
func step(err error) string {
	var s *stepError
	if errors.As(err, &s) {
		return s.step
	}
	return err.Error()
}

// steps are the steps of opening an environment, in order. Each may be told to fail by tests.
var steps = []struct {
	name string
	do   func(e *environment, ctx context.Context) error
}{
	{"check parameters", (*environment).check},
	{"lease ids", (*environment).leaseIDs},
	{"start init", (*environment).startInit},
	{"write uid_map", (*environment).writeMaps},
	{"make sockets", (*environment).makeSockets},
	{"build root", (*environment).buildRoot},
	{"make network", (*environment).makeNetwork},
	{"enter root", (*environment).enterRoot},
	{"attach network", (*environment).attachSelf},
	{"open outbound", (*environment).openOutbound},
}

// Steps names the steps of opening an environment, in order.
func Steps() []string {
	var names []string
	for _, s := range steps {
		names = append(names, s.name)
	}
	return names
}

// open makes an environment, with plots for hosts to come. When it fails, everything that was made is gone again.
func (s *server) open(ctx context.Context, params wire.OpenParams, hostsToCome int) (*environment, error) {
	e := &environment{cell: cell{server: s}, params: params, hostsToCome: hostsToCome, hosts: map[string]*host{}, procs: map[int]*process{},
		faults: map[int][][]string{}, captures: map[int]*capture{}, zone: &names.Zone{}, ended: make(chan struct{}), states: make(chan struct{}, mostStates)}
	for _, st := range steps {
		err := ctx.Err()
		if err == nil {
			err = st.do(e, ctx)
		}
		if err == nil && params.FailAt == st.name {
			err = refuse(unix.EIO, "told to fail")
		}
		if err == nil && params.CancelAt == st.name {
			<-ctx.Done()
			err = ctx.Err()
		}
		if err != nil {
			if s := new(stepError); !errors.As(err, &s) {
				err = &stepError{st.name, err}
			}
			return nil, e.explain(errors.Join(err, e.close()))
		}
	}
	if err := e.plot(); err != nil {
		return nil, errors.Join(err, e.close())
	}
	go e.watch()
	return e, nil
}

// explain is err as it crosses to the program, with what the machine lacks and what to do.
func (e *environment) explain(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var errno unix.Errno
	var r *refusal
	var unfit *rootfs.Unfit
	if !errors.As(err, &errno) || errors.As(err, &r) || errors.As(err, &unfit) {
		return err
	}
	w := explained(err, step(err)+": "+err.Error()).(*wire.Error)
	w.Op, w.Step = "open environment", step(err)
	return w
}

// watch ends the environment when its init has ended.
func (e *environment) watch() {
	<-e.agent.Gone()
	if !e.isClosed() {
		e.note("the environment's init has ended, and everything with it")
	}
	e.closeLogged()
}

// closeLogged is close for those who have nobody to tell.
func (e *environment) closeLogged() {
	if err := e.close(); err != nil {
		fmt.Fprintf(os.Stderr, "keeper: close environment %s: %v\n", e.name(), err)
	}
}

// rename names the environment for whoever has asked for one like it.
func (e *environment) rename(name, kind string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.params.Name, e.params.Kind = name, kind
}

func (e *environment) name() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.params.Name
}

func (e *environment) result() wire.OpenResult {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := wire.OpenResult{Name: e.params.Name, ID: e.server.door.ID(e.entry.number), Self: e.hosts[self].result(), Rootless: !e.server.shifted}
	if len(e.networks) > 0 {
		r.Network = e.networks[0].result()
	}
	for _, i := range e.ids.UIDs {
		r.IDs = append(r.IDs, wire.IDRange(i))
	}
	return r
}

// close ends every process of the environment and gives back what it held. It tries everything, may be called more
// than once and concurrently, and returns when all is done.
func (e *environment) close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		<-e.ended
		return e.closeErr
	}
	e.closed = true
	e.server.list.remove(e)
	hosts, networks := maps.Clone(e.hosts), e.networks // a host that is being made may still be taken out of the map
	procs, plots, captures := e.procs, e.plots, e.captures
	e.procs, e.plots, e.captures = map[int]*process{}, nil, map[int]*capture{}
	e.mu.Unlock()
	defer close(e.ended)

	var errs []error
	errs = append(errs, e.kill())
	for _, h := range hosts { // while the kernel is at it
		if h != nil {
			errs = append(errs, h.giveBackAll(e.server), h.close())
		}
	}
	for _, p := range plots {
		errs = append(errs, p.close())
	}
	errs = append(errs, e.reap())
	for _, p := range procs {
		errs = append(errs, p.child.PIDFD.Close())
	}
	errs = append(errs, e.closeCaptures(captures))
	e.endRecord()
	for _, n := range networks {
		e.server.pool.Put(n.lan)
	}
	errs = append(errs, e.leaveRoot())
	errs = append(errs, e.release())
	e.closeErr = errors.Join(errs...)
	return e.closeErr
}

// leaveRoot lets go of the root, in which no process is left. The kernel waits twice for every processor before an overlay
// is gone (kern_unmount_array), which nobody can see: close does not wait for that. It does where the directories are
// somebody's, who may go on to unmount what they lie on.
func (e *environment) leaveRoot() error {
	if e.root == nil {
		return nil
	}
	if e.params.Root != "" || len(e.params.Layers) > 0 || len(e.params.Shared) > 0 {
		return e.root.Close()
	}
	e.server.leaving.RLock()
	go func() {
		defer e.server.leaving.RUnlock()
		if err := e.root.Close(); err != nil {
			fmt.Fprintf(os.Stderr, "keeper: close root of environment %s: %v\n", e.name(), err)
		}
	}()
	return nil
}

// host finds a host by name.
func (e *environment) host(name string) (*host, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.find(name)
}

// find is host for those who hold the mutex.
func (e *environment) find(name string) (*host, error) {
	if err := e.closedError(); err != nil {
		return nil, err
	}
	if h := e.hosts[key(name)]; h != nil {
		return h, nil
	}
	return nil, refuse(unix.ENOENT, "there is no host %q: make it with AddHost", name)
}

// await is host for names of which somebody else is making the host, or removing it: it waits for that.
func (e *environment) await(ctx context.Context, name string) (*host, error) {
	for {
		e.mu.Lock()
		if h, reserved := e.hosts[key(name)]; h != nil || !reserved {
			defer e.mu.Unlock()
			return e.find(name)
		}
		if e.awaited == nil {
			e.awaited = make(chan struct{})
		}
		awaited := e.awaited
		e.mu.Unlock()
		select {
		case <-awaited:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// wake has those who await hosts look again. The mutex is held.
func (e *environment) wake() {
	if e.awaited != nil {
		close(e.awaited)
		e.awaited = nil
	}
}

func ignoreClosed(err error) error {
	if errors.Is(err, os.ErrClosed) || isNetClosed(err) {
		return nil
	}
	return err
}

// key is how hosts are found: names of hosts do not depend on case.
func key(name string) string { return strings.ToLower(name) }

func errnoOf(err error) uint32 {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return uint32(errno)
	}
	return 0
}

func remedyOf(err error) string {
	var w *wire.Error
	switch {
	case errors.As(err, &w):
		return w.Remedy
	case errors.Is(err, unix.EMFILE):
		return "raise the hard limit of open files, by ulimit -Hn or LimitNOFILE=: the keeper needs five for each host"
	}
	return ""
}

// kindOf keeps a cancellation recognisable on the other side.
func kindOf(err error) string {
	switch {
	case errors.Is(err, context.Canceled):
		return wire.KindCanceled
	case errors.Is(err, context.DeadlineExceeded):
		return wire.KindDeadline
	}
	return ""
}

func closeAll(files []*os.File) error {
	var errs []error
	for _, f := range files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}
