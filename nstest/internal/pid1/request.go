package pid1

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// A request waits for its reply: the channel gets one, or is closed when the init has ended.
type request struct {
	program *Program
	kind    uint32
	reply   chan reply
}

type reply struct {
	op    int32
	errno unix.Errno
	child *Child
	files []*os.File
}

// maxUnderWay bounds the requests that an init has not answered; as many always fit into the socket.
const maxUnderWay = 2

// request sends p and waits for the reply.
func (a *Agent) request(p *Program, kind uint32, flags uintptr) (reply, error) {
	q, err := a.send(p, kind, flags)
	if err != nil {
		return reply{}, err
	}
	return a.await(q)
}

// send sends p. The reply is for await to take: a child, or as many files as p returns.
func (a *Agent) send(p *Program, kind uint32, flags uintptr) (*request, error) {
	image, err := p.without(a.omit).image(kind, flags)
	if err != nil {
		return nil, err
	}
	files := p.files
	if len(image) > maxInline {
		large, err := memfd(image)
		if err != nil {
			return nil, err
		}
		defer large.Close()
		image, files = image[:headerSize], append([]*os.File{large}, files...)
	}
	var oob []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, f := range files {
			if fds[i], err = descriptor(f); err != nil {
				return nil, err
			}
		}
		oob = unix.UnixRights(fds...)
	}
	q := &request{program: p, kind: kind, reply: make(chan reply, 1)}
	a.catchUp()
	a.queue.Lock()
	defer a.queue.Unlock()
	a.takeTurn()
	if err := a.transmit(q, image, oob); err != nil {
		return nil, err
	}
	runtime.KeepAlive(files)
	return q, nil
}

// takeTurn waits until the init is done with enough of what it was told. It reads the answers itself where nobody else does:
// those whom they are for may be at something else, such as at telling the init more. The caller holds queue, so that the
// turns that are taken are those of requests that were sent, and there is an answer to come.
func (a *Agent) takeTurn() {
	for {
		select {
		case a.turn <- struct{}{}:
			return
		default:
		}
		a.reading.Lock()
		if a.listening.Load() || a.hasEnded() {
			a.reading.Unlock()
			a.turn <- struct{}{}
			return
		}
		if len(a.turn) == maxUnderWay {
			_ = a.receive(0) // an error ends the agent
		}
		a.reading.Unlock()
	}
}

func (a *Agent) transmit(q *request, image, oob []byte) error {
	a.sending.Lock()
	defer a.sending.Unlock()
	if err := a.expect(q); err != nil {
		return err
	}
	var err error
	if a.conn != nil {
		_, _, err = a.conn.WriteMsgUnix(image, oob, nil)
	} else {
		err = a.control(func(fd int) error { return unix.Sendmsg(fd, image, oob, nil, unix.MSG_NOSIGNAL) })
	}
	if err != nil {
		if a.forget(q); errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrClosed) {
			return fmt.Errorf("%w: %w", ErrGone, err)
		}
		return fmt.Errorf("send to the init: %w", err)
	}
	return nil
}

// catchUp takes what the init has said since the last request, so that nothing of it passes for the answer to the next.
func (a *Agent) catchUp() {
	if a.listening.Load() || !a.reading.TryLock() {
		return
	}
	defer a.reading.Unlock()
	for !a.listening.Load() && !a.hasEnded() && a.receive(unix.MSG_DONTWAIT) == nil {
	}
}

// await returns the reply to q, and reads it if nobody else does.
func (a *Agent) await(q *request) (reply, error) {
	defer func() {
		a.mu.Lock()
		delete(a.begun, q)
		a.mu.Unlock()
	}()
	for !a.listening.Load() && !a.hasEnded() && len(q.reply) == 0 {
		a.reading.Lock()
		if !a.listening.Load() && !a.hasEnded() && len(q.reply) == 0 { // nobody else has read it meanwhile
			_ = a.receive(0) // an error ends the agent
		}
		a.reading.Unlock()
	}
	r, ok := <-q.reply
	switch {
	case !ok:
		return reply{}, ErrGone
	case r.op >= 0:
		return reply{}, q.program.failure(int(r.op), r.errno)
	}
	return r, nil
}

// expect has the next reply but those that are waited for be that to q, whose turn was taken.
func (a *Agent) expect(q *request) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended {
		<-a.turn
		return ErrGone
	}
	a.waiting = append(a.waiting, q)
	a.begun[q] = struct{}{}
	return nil
}

// forget takes q back, which was not sent: the last one.
func (a *Agent) forget(q *request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := len(a.waiting); n > 0 && a.waiting[n-1] == q {
		a.waiting = a.waiting[:n-1]
		<-a.turn
	}
	delete(a.begun, q)
}

func (a *Agent) hasEnded() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ended
}

// abandon throws away the replies that nobody will take any more.
func (a *Agent) abandon() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for q := range a.begun {
		select {
		case r, ok := <-q.reply:
			if ok {
				discard(r.files)
				if r.child != nil {
					discard([]*os.File{r.child.PIDFD})
				}
				close(q.reply) // for somebody who asks yet
			}
		default: // somebody is taking it
		}
		delete(a.begun, q)
	}
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
