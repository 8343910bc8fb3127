package twin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// A Link carries messages between a program and its twin: JSON values in both directions. Send may be called from any
// goroutine, Receive from one at a time.
type Link struct {
	file *os.File
	dec  *json.Decoder

	mu  sync.Mutex
	enc *json.Encoder
}

// newLink takes ownership of a file descriptor, one end of a socket pair.
func newLink(fd int) (*Link, error) {
	if err := unix.SetNonblock(fd, true); err != nil { // so that os hands it to the poller
		return nil, errors.Join(os.NewSyscallError("fcntl", err), unix.Close(fd))
	}
	file := os.NewFile(uintptr(fd), "link")
	enc := json.NewEncoder(file)
	enc.SetEscapeHTML(false)
	return &Link{file: file, dec: json.NewDecoder(file), enc: enc}, nil
}

// Send sends a message. Messages arrive in the order in which they were sent.
func (l *Link) Send(message any) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.enc.Encode(message); err != nil {
		return fmt.Errorf("send message: %w", err)
	}
	return nil
}

// release lets a held twin go on.
func (l *Link) release() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.file.Write([]byte{'\n'})
	return err
}

// Receive waits for a message. The error is io.EOF when the other side has gone.
func (l *Link) Receive(message any) error {
	err := l.dec.Decode(message)
	if errors.Is(err, unix.ECONNRESET) || errors.Is(err, io.ErrUnexpectedEOF) { // it died within a message
		return io.EOF
	}
	return err
}

// Waits reports whether the first Receive would wait. It must not be called at the same time as Receive.
func (l *Link) Waits() bool {
	raw, err := l.file.SyscallConn()
	if err != nil {
		return false
	}
	n := 1
	err = raw.Control(func(fd uintptr) {
		for polled := error(unix.EINTR); errors.Is(polled, unix.EINTR); {
			n, polled = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		}
	})
	return err == nil && n == 0
}

// Close ends a Receive that waits.
func (l *Link) Close() error { return l.file.Close() }
