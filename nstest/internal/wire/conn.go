package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

var (
	// ErrClosed means that the connection has ended, by Close or because the peer has gone.
	ErrClosed = errors.New("connection closed")
	// ErrProtocol means that the peer sent what the protocol does not allow. The connection ends with it.
	ErrProtocol = errors.New("protocol violation")
	// ErrTooLarge means that a message is over MaxBody or MaxFiles. It was not sent, and the connection is as before.
	ErrTooLarge = errors.New("message too large")
)

// Pair returns the two ends of a new stream socket (socketpair(2)), close-on-exec. They block until somebody makes
// connections of them: the runtime's poller is not woken for the files that they are until then.
func Pair() (a, b *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make socket pair: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "wire"), os.NewFile(uintptr(fds[1]), "wire"), nil
}

// conn sends and receives frames. One goroutine at a time may receive, any number may send.
type conn struct {
	sock    *net.UnixConn
	writing chan struct{} // holds a token while a frame is being written; also guards the write deadline
}

// newConn takes ownership of f, also when it fails.
func newConn(f *os.File) (*conn, error) {
	defer f.Close()
	nc, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("open connection: %w", err)
	}
	sock, ok := nc.(*net.UnixConn)
	if !ok || sock.LocalAddr().Network() != "unix" {
		nc.Close()
		return nil, fmt.Errorf("open connection: %s is no unix stream socket", f.Name())
	}
	return &conn{sock: sock, writing: make(chan struct{}, 1)}, nil
}

// send writes one frame, whose first headerSize bytes it fills in. Files stay the caller's, unless they are handed over: then
// they are closed before the frame is complete, so that whoever has it is the only one to have them. wait bounds the wait for
// other frames to be written, limit the writing. After ErrClosed the caller must close the connection; after every other
// error nothing was written and it is as before.
func (c *conn) send(wait, limit context.Context, h header, frame []byte, files []*os.File, handOver bool) error {
	h.put(frame)
	select {
	case c.writing <- struct{}{}:
		defer func() { <-c.writing }()
	case <-wait.Done():
		return wait.Err()
	}
	if limit.Done() != nil {
		expired := make(chan struct{})
		stop := context.AfterFunc(limit, func() {
			c.sock.SetWriteDeadline(time.Unix(1, 0))
			close(expired)
		})
		defer func() {
			if !stop() {
				<-expired
				c.sock.SetWriteDeadline(time.Time{})
			}
		}()
	}
	first := frame
	if handOver && len(files) > 0 {
		first = frame[:headerSize]
	}
	err := withFDs(files, make([]int, 0, MaxFiles), func(fds []int) error { return c.write(first, fds) })
	if err != nil || len(first) == len(frame) {
		return err
	}
	closeFiles(files)
	if _, err := c.sock.Write(frame[len(first):]); err != nil {
		return fmt.Errorf("%w: write frame: %w", ErrClosed, err)
	}
	return nil
}

func (c *conn) write(frame []byte, fds []int) error {
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	// The kernel attaches the files to the first byte that it takes: after a partial write they are on their way, and
	// must not be sent again with the rest.
	n, _, err := c.sock.WriteMsgUnix(frame, oob, nil)
	if err == nil && n < len(frame) {
		_, err = c.sock.Write(frame[n:])
	}
	if err == nil {
		return nil
	}
	if n > 0 || isGone(err) {
		return fmt.Errorf("%w: write frame: %w", ErrClosed, err) // half a frame cannot be taken back
	}
	return fmt.Errorf("write frame: %w", err)
}

// withFDs calls f with the numbers of files. A file that is closed meanwhile keeps its number until f has returned.
// f appends to nothing that it is given.
func withFDs(files []*os.File, fds []int, f func([]int) error) error {
	if len(files) == 0 {
		return f(fds)
	}
	raw, err := files[0].SyscallConn()
	if err != nil {
		return fmt.Errorf("use file %d: %w", len(fds), err)
	}
	var inner error
	err = raw.Control(func(fd uintptr) { inner = withFDs(files[1:], append(fds, int(fd)), f) })
	if err != nil {
		return fmt.Errorf("use file %d: %w", len(fds), err)
	}
	return inner
}

// receiveHeader reads the header of the next frame and its files, which are the caller's. The error is io.EOF when the
// peer has gone between two frames.
func (c *conn) receiveHeader() (h header, files []*os.File, err error) {
	defer func() {
		if err != nil {
			closeFiles(files)
			files = nil
		}
	}()
	var b [headerSize]byte
	var control [unix.SizeofCmsghdr + 4*MaxFiles]byte // no padding: CMSG_SPACE would be the same
	for n := 0; n < len(b); {
		m, oobn, flags, _, err := c.sock.ReadMsgUnix(b[n:], control[:])
		if oobn > 0 {
			more, err := parseFiles(control[:oobn])
			files = append(files, more...)
			if err != nil {
				return h, files, err
			}
		}
		switch {
		case flags&unix.MSG_CTRUNC != 0:
			return h, files, fmt.Errorf("%w: files were lost: more than %d were sent, or RLIMIT_NOFILE is reached", ErrProtocol, MaxFiles)
		case len(files) > MaxFiles:
			return h, files, fmt.Errorf("%w: %d files, the limit is %d", ErrProtocol, len(files), MaxFiles)
		case err == nil:
			n += m
		case errors.Is(err, io.EOF) && n > 0:
			return h, files, io.ErrUnexpectedEOF
		case errors.Is(err, io.EOF) || isGone(err):
			return h, files, io.EOF
		default:
			return h, files, err
		}
	}
	if h, err = parseHeader(&b); err != nil {
		return h, files, err
	}
	if len(files) != h.files {
		return h, files, fmt.Errorf("%w: %d files came, %d were announced", ErrProtocol, len(files), h.files)
	}
	return h, files, nil
}

// parseFiles returns the files in control messages as recvmsg(2) wrote them. They are the caller's also when there is
// an error.
func parseFiles(control []byte) ([]*os.File, error) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil, fmt.Errorf("%w: control message: %w", ErrProtocol, err)
	}
	var files []*os.File
	var other error
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			other = fmt.Errorf("%w: control message of level %d, type %d", ErrProtocol, m.Header.Level, m.Header.Type)
			continue
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return files, other
}

// receiveBody reads the length bytes that follow a header. It allocates as they come, so that a length alone costs
// nothing. Files that a peer attaches to them are closed by the kernel, as read(2) has no room for them.
func (c *conn) receiveBody(length int) ([]byte, error) {
	body := make([]byte, 0, min(length, 64<<10))
	for len(body) < length {
		if len(body) == cap(body) {
			grown := make([]byte, len(body), min(length, 2*cap(body)))
			copy(grown, body)
			body = grown
		}
		n, err := c.sock.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if err != nil {
			if errors.Is(err, io.EOF) || isGone(err) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return body, nil
}

// onHangup calls f on a goroutine of its own if the peer goes before stop is called. It is for a receiver that must not
// read on for now. No frame may be received before stop has returned.
func (c *conn) onHangup(f func()) (stop func()) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		raw, err := c.sock.SyscallConn()
		if err == nil {
			err = raw.Read(func(fd uintptr) bool { return hungUp(int(fd)) })
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			f()
		}
	}()
	return func() {
		c.sock.SetReadDeadline(time.Unix(1, 0))
		<-ended
		c.sock.SetReadDeadline(time.Time{})
	}
}

// hungUp reports whether the peer of a socket has gone, also while there are bytes to read before the end.
func hungUp(fd int) bool {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	for {
		if _, err := unix.Poll(p, 0); err != unix.EINTR {
			return p[0].Revents != 0
		}
	}
}

// isGone reports whether a socket's error means that the peer, or this side, has closed it.
func isGone(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, net.ErrClosed)
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
