package keeper

import (
	"context"
	"errors"
	"os"
	"sync"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// answerGuest answers whoever comes to the door, who is the keeper's own user, or root.
func (s *server) answerGuest(ctx context.Context, req *wire.Request) (wire.Reply, error) {
	switch req.Method {
	case wire.MethodList:
		if err := req.Decode(nil); err != nil {
			return wire.Reply{}, err
		}
		return wire.Reply{Result: s.list.listings(ctx)}, nil
	case wire.MethodAttach:
		return answer(req, func(p wire.AttachParams) (any, []*os.File, error) {
			e := s.list.find(p.Number)
			if e == nil {
				return nil, nil, refuse(unix.ESHUTDOWN, "the environment is closed")
			}
			conn, err := e.welcomeVisitor()
			if err != nil {
				return nil, nil, err
			}
			return e.result(), []*os.File{conn}, nil
		})
	}
	return wire.Reply{}, refuse(unix.ENOSYS, "not a request for a keeper's door: %q", req.Method)
}

// A visitor is somebody with a connection to an environment that is another program's. What he starts ends with his visit.
type visitor struct {
	env *environment

	mu       sync.Mutex
	left     bool
	procs    map[int]bool // the handles of the processes that he has started, which nobody has waited for
	captures map[int]bool
}

// maxVisitors bounds the connections to one environment.
const maxVisitors = 64

// welcomeVisitor is a connection with which the environment does not end, but which ends with the environment.
func (e *environment) welcomeVisitor() (*os.File, error) {
	ours, theirs, err := wire.Pair()
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	err = e.closedError()
	if err == nil && e.visitors >= maxVisitors {
		err = refuse(unix.EUSERS, "%d programs are attached to the environment already", e.visitors)
	}
	if err == nil {
		e.visitors++
	}
	e.mu.Unlock()
	if err != nil {
		return nil, errors.Join(err, ours.Close(), theirs.Close())
	}
	v := &visitor{env: e, procs: map[int]bool{}, captures: map[int]bool{}}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		select {
		case <-e.ended:
		case <-ctx.Done():
		}
	}()
	go func() {
		defer cancel()
		_ = wire.Serve(ctx, ours, v.handle) // what he does wrong is his affair
		_ = v.leave()                       // whom could it be told
		e.mu.Lock()
		defer e.mu.Unlock()
		e.visitors--
	}()
	return theirs, nil
}

// handle is handle for a visitor.
func (v *visitor) handle(ctx context.Context, req *wire.Request) (wire.Reply, error) {
	if req.Method == wire.MethodClose {
		return wire.Reply{}, v.leave()
	}
	var proc wire.ProcParams
	var capture wire.CaptureResult
	switch req.Method { // before the files and parameters are somebody else's
	case wire.MethodWait:
		_ = req.Decode(&proc)
	case wire.MethodStop:
		_ = req.Decode(&capture)
	}
	reply, err := v.env.handle(ctx, req)
	if err != nil {
		return reply, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	switch r := reply.Result.(type) {
	case wire.SpawnResult:
		v.procs[r.Proc] = true
	case wire.CaptureResult:
		v.captures[r.Capture] = true
		v.env.disown(r.Capture)
	}
	delete(v.procs, proc.Proc)
	delete(v.captures, capture.Capture)
	if v.left {
		return wire.Reply{}, errors.Join(refuse(unix.ESHUTDOWN, "the environment is closed"), closeAll(reply.Files), v.clear())
	}
	return reply, nil
}

// leave ends what the visitor has started and has not ended. Further requests end what they start.
func (v *visitor) leave() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.left = true
	return v.clear()
}

// clear is leave for those who hold the mutex.
func (v *visitor) clear() error {
	var errs []error
	for number := range v.procs {
		errs = append(errs, v.env.abandon(number))
	}
	for number := range v.captures {
		if _, err := v.env.stopCapture(number); !errors.Is(err, unix.ENOENT) {
			errs = append(errs, err)
		}
	}
	clear(v.procs)
	clear(v.captures)
	return errors.Join(errs...)
}

// disown makes a capture one of whose file the environment's owner has nothing to know.
func (e *environment) disown(number int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c := e.captures[number]; c != nil {
		c.guests = true
	}
}

// abandon ends a process, and those of its process group, for which nobody will wait.
func (e *environment) abandon(number int) error {
	p, err := e.process(number)
	if err != nil {
		return ignoreGone(err) // it was waited for, or the environment has ended
	}
	if err := e.signal(wire.SignalParams{Proc: number, Signal: int(unix.SIGKILL), Group: true}); err != nil {
		err = ignoreGone(err)
		if err != nil {
			return err
		}
	}
	go func() {
		<-p.child.Done()
		_, _ = e.wait(context.Background(), number)
	}()
	return nil
}

// ignoreGone is err, unless it says that there is nothing to end any more.
func ignoreGone(err error) error {
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ESHUTDOWN) || errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}
