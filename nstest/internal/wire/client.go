package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// cancelGrace is how long a call whose context has ended waits for the server to undo it and to answer.
const cancelGrace = 10 * time.Second

// Client is the asking side of a connection. Its methods may be called by any number of goroutines.
type Client struct {
	conn  *conn
	room  *semaphore.Weighted // as the server's: so no request of ours blocks its reading, and cancels always arrive
	grace time.Duration
	life  context.Context // ends when the read goroutine has ended
	end   context.CancelFunc

	mu      sync.Mutex
	err     error // why there is no connection any more; wraps ErrClosed
	last    uint64
	pending map[uint64]*call
}

// call is a request that the server has not answered.
type call struct {
	cost      int64
	answer    chan answer // has room for the one answer
	abandoned bool        // nobody waits; guarded by Client.mu
}

type answer struct {
	result json.RawMessage
	files  []*os.File
	err    error
}

// NewClient takes ownership of f, a unix stream socket, also when it fails.
func NewClient(f *os.File) (*Client, error) {
	conn, err := newConn(f)
	if err != nil {
		return nil, err
	}
	c := &Client{conn: conn, room: semaphore.NewWeighted(roomTotal), grace: cancelGrace, pending: map[uint64]*call{}}
	c.life, c.end = context.WithCancel(context.Background())
	go c.read()
	return c, nil
}

// Done is closed when the connection has ended: the peer has gone or has broken the protocol, or Close was called.
func (c *Client) Done() <-chan struct{} { return c.life.Done() }

// Close ends the connection. Pending calls return ErrClosed. It may be called again, and then returns nil.
func (c *Client) Close() error {
	c.mu.Lock()
	first := c.err == nil
	if first {
		c.err = ErrClosed
	}
	c.mu.Unlock()
	var err error
	if first {
		err = c.conn.sock.Close()
	}
	<-c.life.Done()
	return err
}

// Call asks for method and waits for the answer, which it writes to result (nil = it is thrown away). The files stay
// the caller's and may be closed when Call has returned. The files that it returns are the caller's to close; they are
// close-on-exec, and there are none when there is an error.
//
// Errors of the handler are *Error. The end of the connection is ErrClosed. When ctx ends, Call asks the server to
// cancel, waits up to 10 s for its answer, so that the server has undone what it began, and returns ctx's error, after the
// server's words on what it was at, or joined with the server's error if that is not a cancellation. It does so too if the
// handler had succeeded meanwhile: then the files of the answer are closed, and what the handler made is for the caller to
// find. At most 256 calls, with 256 files and 64 MiB, are on their way at a time; further ones wait.
func (c *Client) Call(ctx context.Context, method string, params, result any, files ...*os.File) ([]*os.File, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if method == "" {
		return nil, errors.New("call without a method")
	}
	if len(files) > MaxFiles {
		return nil, fmt.Errorf("call %s: %w: %d files, the limit is %d", method, ErrTooLarge, len(files), MaxFiles)
	}
	frame, err := encode(requestBody{method, params})
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", method, err)
	}
	h := header{kind: kindRequest, files: len(files), length: len(frame) - headerSize}
	if err := c.admit(ctx, h.cost()); err != nil {
		return nil, err
	}
	p := &call{cost: h.cost(), answer: make(chan answer, 1)}
	if h.id, err = c.register(p); err != nil {
		return nil, err
	}
	limit, stop := after(ctx, c.grace)
	defer stop()
	if err := c.send(ctx, limit, h, frame, files); err != nil {
		return nil, c.sendFailed(ctx, h.id, err)
	}
	select {
	case a := <-p.answer:
		return a.read(method, result)
	case <-ctx.Done():
	}
	select {
	case a := <-p.answer: // it came first
		return a.read(method, result)
	default:
	}
	return nil, c.cancel(ctx, limit, h.id, p)
}

// cancel ends a call that was sent and whose ctx has ended. limit ends when there is no more time for it.
func (c *Client) cancel(ctx, limit context.Context, id uint64, p *call) error {
	err := c.send(limit, limit, header{kind: kindCancel, id: id}, make([]byte, headerSize), nil)
	if err != nil && !errors.Is(err, ErrClosed) && limit.Err() == nil {
		return errors.Join(ctx.Err(), c.abandon(id, p, fmt.Errorf("cancel: %w", err)))
	}
	select {
	case a := <-p.answer:
		closeFiles(a.files)
		err = a.err
	case <-limit.Done():
		err = c.abandon(id, p, fmt.Errorf("cancel: no answer within %v", c.grace))
	}
	switch {
	case err == nil:
		return ctx.Err()
	case isCancellation(err):
		return interrupted(ctx.Err(), err)
	}
	return errors.Join(ctx.Err(), err)
}

// interrupted is why a context has ended, with the words in which the server has told what it was at.
func interrupted(ended, told error) error {
	var e *Error
	if !errors.As(told, &e) {
		return ended
	}
	at := e.Message
	for _, why := range []error{context.Canceled, context.DeadlineExceeded} {
		at = strings.TrimSuffix(at, why.Error())
	}
	if at = strings.TrimSuffix(at, ": "); at == "" {
		return ended
	}
	return fmt.Errorf("%s: %w", at, ended)
}

// abandon gives up waiting, and returns why, or else the error of the answer that has come meanwhile.
func (c *Client) abandon(id uint64, p *call, why error) error {
	c.mu.Lock()
	_, waiting := c.pending[id]
	p.abandoned = waiting
	c.mu.Unlock()
	if waiting {
		return why
	}
	a := <-p.answer
	closeFiles(a.files)
	return a.err
}

// send is conn.send, after whose ErrClosed the connection ends.
func (c *Client) send(wait, limit context.Context, h header, frame []byte, files []*os.File) error {
	err := c.conn.send(wait, limit, h, frame, files, false)
	if errors.Is(err, ErrClosed) {
		c.mu.Lock()
		if c.err == nil {
			c.err = err
		}
		c.mu.Unlock()
		c.conn.sock.Close()
	}
	return err
}

// sendFailed forgets a request that was not sent and returns what to say about it.
func (c *Client) sendFailed(ctx context.Context, id uint64, err error) error {
	if errors.Is(err, ErrClosed) {
		<-c.life.Done()
		err = c.err
	}
	c.mu.Lock()
	c.forget(id)
	c.mu.Unlock()
	if ended := ctx.Err(); ended != nil && !errors.Is(err, ended) {
		return errors.Join(ended, err)
	}
	return err
}

// admit waits for room.
func (c *Client) admit(ctx context.Context, cost int64) error {
	if c.room.TryAcquire(cost) {
		return nil
	}
	wait, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	if c.room.Acquire(wait, cost) == nil {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// register makes a call, for which there is room, one that answers are taken for.
func (c *Client) register(p *call) (id uint64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		c.room.Release(p.cost)
		return 0, c.err
	}
	c.last++
	c.pending[c.last] = p
	return c.last, nil
}

// forget removes a call and gives its room back; nil if there is none. Client.mu is held.
func (c *Client) forget(id uint64) *call {
	p := c.pending[id]
	if p != nil {
		delete(c.pending, id)
		c.room.Release(p.cost)
	}
	return p
}

// read is the read goroutine.
func (c *Client) read() {
	var err error
	for err == nil {
		err = c.receive()
	}
	c.mu.Lock()
	switch {
	case c.err != nil:
	case err == io.EOF:
		c.err = fmt.Errorf("%w by the peer", ErrClosed)
	default:
		c.err = fmt.Errorf("%w: %w", ErrClosed, err)
	}
	err = c.err
	pending := c.pending
	c.pending = nil
	c.mu.Unlock()
	c.conn.sock.Close()
	for _, p := range pending {
		p.answer <- answer{err: err}
	}
	c.end()
}

// receive takes one reply.
func (c *Client) receive() error {
	h, files, err := c.conn.receiveHeader()
	if err != nil {
		return err
	}
	a, err := c.receiveAnswer(h, files)
	if err != nil {
		closeFiles(files)
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.forget(h.id)
	if p == nil {
		closeFiles(files)
		return fmt.Errorf("%w: reply to request %d, which was not made", ErrProtocol, h.id)
	}
	if p.abandoned {
		closeFiles(files)
		return nil
	}
	p.answer <- a
	return nil
}

func (c *Client) receiveAnswer(h header, files []*os.File) (answer, error) {
	if h.kind != kindReply {
		return answer{}, fmt.Errorf("%w: frame of kind %d at a client", ErrProtocol, h.kind)
	}
	data, err := c.conn.receiveBody(h.length)
	if err != nil {
		return answer{}, err
	}
	var body receivedReply
	if err := decode(data, &body); err != nil {
		return answer{}, fmt.Errorf("%w: reply: %w", ErrProtocol, err)
	}
	a := answer{result: body.Result, files: files}
	if body.Error != nil {
		if len(files) > 0 {
			return answer{}, fmt.Errorf("%w: error with %d files", ErrProtocol, len(files))
		}
		a.err = body.Error
	}
	return a, nil
}

// read writes what came to result.
func (a answer) read(method string, result any) ([]*os.File, error) {
	err := a.err
	if err == nil && result != nil {
		if isNone(a.result) {
			err = fmt.Errorf("decode result of %q: there is none", method)
		} else if e := decode(a.result, result); e != nil {
			err = fmt.Errorf("decode result of %q: %w", method, e)
		}
	}
	if err != nil {
		closeFiles(a.files)
		return nil, err
	}
	return a.files, nil
}

// after returns a context that ends d after ctx has ended, or when stop is called.
func after(ctx context.Context, d time.Duration) (limit context.Context, stop func()) {
	if ctx.Done() == nil {
		return ctx, func() {}
	}
	limit, cancel := context.WithCancel(context.WithoutCancel(ctx))
	unhook := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(d, cancel)
		context.AfterFunc(limit, func() { timer.Stop() })
	})
	return limit, func() {
		unhook()
		cancel()
	}
}
