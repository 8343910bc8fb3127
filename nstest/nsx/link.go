package nsx

import (
	"encoding/json"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// A link carries messages between a probe and its parent.
type link struct {
	file *os.File
	enc  *json.Encoder
	dec  *json.Decoder
}

func newLink(f *os.File) *link { return &link{f, json.NewEncoder(f), json.NewDecoder(f)} }

func (l *link) send(m message) error {
	err := l.enc.Encode(m)
	if errors.Is(err, unix.EPIPE) {
		return io.EOF
	}
	return err
}

// receive waits for a message. The error is io.EOF when the other side has gone.
func (l *link) receive(m *message) error {
	err := l.dec.Decode(m)
	if errors.Is(err, unix.ECONNRESET) || errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return err
}

// newPair is both ends of a connection: ours, which does not hold a thread while it waits, and theirs, which does.
func newPair() (ours *link, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, nil, errors.Join(os.NewSyscallError("fcntl", err), unix.Close(fds[0]), unix.Close(fds[1]))
	}
	return newLink(os.NewFile(uintptr(fds[0]), "probe")), os.NewFile(uintptr(fds[1]), "parent"), nil
}
