package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sync/semaphore"
)

// Request is what a handler is asked for.
type Request struct {
	Method string
	Params json.RawMessage
	Files  []*os.File // closed when the handler has returned; one that keeps them sets Files to nil
}

// Decode reads the parameters into v. Unknown fields and missing parameters are errors; Decode(nil) checks that there
// are none.
func (r *Request) Decode(v any) error {
	var err error
	switch {
	case v == nil && !isNone(r.Params):
		err = errors.New("there should be none")
	case v == nil:
	case isNone(r.Params):
		err = errors.New("there are none")
	default:
		err = decode(r.Params, v)
	}
	if err != nil {
		return fmt.Errorf("decode parameters of %q: %w", r.Method, err)
	}
	return nil
}

// Reply is a handler's answer.
type Reply struct {
	Result any        // anything that encoding/json takes; nil = nothing
	Files  []*os.File // at most MaxFiles; closed before the caller has the reply, and when they could not be sent
}

// Handler answers one request, on a goroutine of its own. ctx ends when the caller cancels the request and when the
// peer has gone; a handler that returns an error has undone what it did. A handler's panic is not caught.
type Handler func(ctx context.Context, req *Request) (Reply, error)

type server struct {
	conn    *conn
	handler Handler
	room    *semaphore.Weighted

	mu      sync.Mutex
	running map[uint64]context.CancelFunc
	wg      sync.WaitGroup
}

// Serve answers the requests that come on f, of which it takes ownership, until the peer has gone (nil), breaks the
// protocol (ErrProtocol), dies within a frame (io.ErrUnexpectedEOF), or ctx ends (its error). It then cancels the
// handlers that still run and returns when they have ended. At most 256 requests run at a time, holding at most 256
// files and 64 MiB; further ones wait in the socket.
func Serve(ctx context.Context, f *os.File, h Handler) error {
	c, err := newConn(f)
	if err != nil {
		return err
	}
	s := &server{conn: c, handler: h, room: semaphore.NewWeighted(roomTotal), running: map[uint64]context.CancelFunc{}}
	inner, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, func() { c.sock.Close() })
	err = s.receive(inner, cancel)
	stop()
	cancel()
	c.sock.Close() // handlers that wait for a peer that does not read must not keep us
	s.wg.Wait()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == io.EOF:
		return nil
	}
	return fmt.Errorf("serve: %w", err)
}

// receive reads frames until there are no more. cancel ends ctx.
func (s *server) receive(ctx context.Context, cancel context.CancelFunc) error {
	for {
		h, files, err := s.conn.receiveHeader()
		if err != nil {
			return err
		}
		switch h.kind {
		case kindRequest:
			err = s.start(ctx, cancel, h, files)
		case kindCancel:
			s.mu.Lock()
			if cancel := s.running[h.id]; cancel != nil {
				cancel()
			}
			s.mu.Unlock()
		default:
			closeFiles(files)
			err = fmt.Errorf("%w: frame of kind %d at a server", ErrProtocol, h.kind)
		}
		if err != nil {
			return err
		}
	}
}

// start reads the body of a request and runs its handler. files become its own.
func (s *server) start(ctx context.Context, cancel context.CancelFunc, h header, files []*os.File) (err error) {
	admitted := false
	defer func() {
		if err == nil {
			return
		}
		closeFiles(files)
		if admitted {
			s.room.Release(h.cost())
		}
	}()
	if !s.room.TryAcquire(h.cost()) {
		stop := s.conn.onHangup(cancel)
		err = s.room.Acquire(ctx, h.cost())
		stop()
		if err != nil {
			return io.EOF // ctx has ended: the peer has gone, or the caller knows
		}
	}
	admitted = true
	data, err := s.conn.receiveBody(h.length)
	if err != nil {
		return err
	}
	var body receivedRequest
	if err := decode(data, &body); err != nil {
		return fmt.Errorf("%w: request: %w", ErrProtocol, err)
	}
	if body.Method == "" {
		return fmt.Errorf("%w: request without a method", ErrProtocol)
	}
	call, end := context.WithCancel(ctx)
	s.mu.Lock()
	_, taken := s.running[h.id]
	if !taken {
		s.running[h.id] = end
	}
	s.mu.Unlock()
	if taken {
		end()
		return fmt.Errorf("%w: request %d is running already", ErrProtocol, h.id)
	}
	s.wg.Go(func() {
		s.run(call, h, &Request{Method: body.Method, Params: body.Params, Files: files})
		end()
	})
	return nil
}

func (s *server) run(ctx context.Context, h header, req *Request) {
	defer s.room.Release(h.cost())
	reply, err := s.handler(ctx, req)
	closeFiles(req.Files) // before the reply: the caller may rely on it
	s.mu.Lock()
	delete(s.running, h.id)
	s.mu.Unlock()
	defer closeFiles(reply.Files)
	if err == nil {
		err = s.reply(h.id, replyBody{Result: reply.Result}, reply.Files)
		if err != nil {
			err = fmt.Errorf("reply to %q: %w", req.Method, err)
		}
	}
	if err == nil {
		return
	}
	if err := s.reply(h.id, replyBody{Error: asError(err)}, nil); err != nil {
		// Only the text can be too much, and a caller that is never answered would wait for ever.
		if s.reply(h.id, replyBody{Error: &Error{Message: "reply to " + req.Method[:min(len(req.Method), 100)] + ": " + err.Error()}}, nil) != nil {
			s.conn.sock.Close()
		}
	}
}

// reply sends one reply. After an error nothing was sent, or the connection has ended.
func (s *server) reply(id uint64, body replyBody, files []*os.File) error {
	if len(files) > MaxFiles {
		return fmt.Errorf("%w: %d files, the limit is %d", ErrTooLarge, len(files), MaxFiles)
	}
	frame, err := encode(body)
	if err != nil {
		return err
	}
	// The connection's end is the only bound: Serve closes it when its ctx ends.
	h := header{kind: kindReply, files: len(files), length: len(frame) - headerSize, id: id}
	err = s.conn.send(context.Background(), context.Background(), h, frame, files, true)
	if errors.Is(err, ErrClosed) {
		s.conn.sock.Close()
	}
	return err
}
