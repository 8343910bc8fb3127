package twin

import (
	"bytes"
	"errors"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Output is what a twin prints. At first it is only remembered, as the original has printed the same before; from Show
// on it is passed to the writers.
type Output struct {
	streams []*stream
	theirs  []*os.File // one a writer, until the twin has them

	mu    sync.Mutex // held while something is passed on, so that Flush sees no half of it
	shown bool
	tail  []byte
}

// tailSize is how much of what a twin printed is kept for when it dies: a crash of Go's runtime with all its goroutines.
const tailSize = 256 << 10

type stream struct {
	output *Output
	pipe   *os.File
	to     io.Writer
	done   chan struct{}
}

// SameOutput reports whether the program's standard output and error are one file. Then a twin's have to go to one
// writer, so that they stay in order.
func SameOutput() bool {
	stdout, outErr := os.Stdout.Stat()
	stderr, errErr := os.Stderr.Stat()
	return outErr == nil && errErr == nil && os.SameFile(stdout, stderr)
}

// newOutput makes a pipe to each writer. To one that is there twice there is one pipe, so that what goes to it stays in
// order.
func newOutput(writers ...io.Writer) (*Output, error) {
	o := &Output{}
	for i, w := range writers {
		if first := slices.Index(writers, w); first < i {
			o.theirs = append(o.theirs, o.theirs[first])
			continue
		}
		r, theirs, err := pipe()
		if err != nil {
			return nil, errors.Join(err, o.close())
		}
		s := &stream{output: o, pipe: r, to: w, done: make(chan struct{})}
		o.theirs = append(o.theirs, theirs)
		o.streams = append(o.streams, s)
	}
	for _, s := range o.streams {
		go s.copy()
	}
	return o, nil
}

// pipe is a pipe whose reading end is nonblocking, and whose writing end is an ordinary one. The twin, and what it starts,
// may open that again (/dev/stdout), although the pipe is not theirs.
func pipe() (r, w *os.File, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, os.NewSyscallError("pipe2", err)
	}
	err = errors.Join(os.NewSyscallError("fcntl", unix.SetNonblock(fds[0], true)), os.NewSyscallError("fchmod", unix.Fchmod(fds[1], 0o666)))
	if err != nil {
		return nil, nil, errors.Join(err, unix.Close(fds[0]), unix.Close(fds[1]))
	}
	return os.NewFile(uintptr(fds[0]), "output"), os.NewFile(uintptr(fds[1]), "output"), nil
}

// started closes our copies of what the twin has.
func (o *Output) started() error {
	var errs []error
	for i, f := range o.theirs {
		if slices.Index(o.theirs, f) == i {
			errs = append(errs, f.Close())
		}
	}
	o.theirs = nil
	return errors.Join(errs...)
}

// copy passes on until nobody can write any more, or close.
func (s *stream) copy() {
	defer close(s.done)
	raw, err := s.pipe.SyscallConn()
	if err != nil {
		return
	}
	for more := true; more && err == nil; {
		err = raw.Read(func(fd uintptr) bool {
			var ready bool
			ready, more = s.pass(int(fd), passSize)
			return ready
		})
	}
}

// passSize is how much is passed on before others get a turn: a twin may print without end.
const passSize = 256 << 10

// buffers are for pass: every node of every spec has its output flushed, and most print nothing.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

const bufferSize = 32 << 10

// pass passes on what is there, up to so many bytes. It reports whether there was anything, or the end; and whether there
// may be more.
func (s *stream) pass(fd, limit int) (ready, more bool) {
	buffer := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buffer)
	s.output.mu.Lock()
	defer s.output.mu.Unlock()
	for limit > 0 {
		n, err := unix.Read(fd, buffer[:min(len(buffer), limit)])
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return ready, true
		case err != nil || n == 0:
			return true, false
		}
		ready = true
		limit -= n
		s.output.take(s.to, buffer[:n])
	}
	return ready, true
}

func (o *Output) take(to io.Writer, p []byte) {
	if o.tail = append(o.tail, p...); len(o.tail) > 2*tailSize {
		o.tail = append(o.tail[:0], o.tail[len(o.tail)-tailSize:]...)
	}
	if o.shown {
		_, _ = to.Write(p) // a program that cannot print has nobody to tell
	}
}

// Show passes on what is printed from now on.
func (o *Output) Show() {
	o.Flush()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.shown = true
	o.tail = nil
}

// Hide keeps to itself what is printed from now on.
func (o *Output) Hide() {
	o.Flush()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.shown = false
	o.tail = nil
}

// Flush returns when everything is passed on that the twin has printed before.
func (o *Output) Flush() {
	for _, s := range o.streams {
		raw, err := s.pipe.SyscallConn()
		if err != nil {
			continue // closed
		}
		_ = raw.Control(func(fd uintptr) {
			if n, err := unix.IoctlGetInt(int(fd), unix.TIOCINQ); err == nil {
				s.pass(int(fd), n)
			}
		})
	}
}

// LastWords is what the twin printed last, as far as it says why it died: from where Go's runtime begins to complain to
// the end of the first goroutine's stack, or else the last lines.
func (o *Output) LastWords() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	text := strings.TrimSpace(string(o.tail))
	if at := crash.FindStringIndex(text); at != nil {
		text = text[at[0]:]
		if i := strings.Index(text, "\ngoroutine "); i >= 0 {
			if j := strings.Index(text[i:], "\n\n"); j >= 0 {
				text = text[:i+j]
			}
		}
		return text
	}
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-lastLines):], "\n")
}

// Goroutines are those that the twin has printed when it died, as Go's runtime does; nil if it did not.
func (o *Output) Goroutines() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	at := crash.FindIndex(o.tail)
	if at == nil || !bytes.Contains(o.tail[at[0]:], []byte("\ngoroutine ")) {
		return nil
	}
	return bytes.Clone(o.tail[at[0]:])
}

// crash is how the complaints of Go's runtime begin.
var crash = regexp.MustCompile(`(?m)^(panic: |fatal error: |runtime: |SIG[A-Z]+: |WARNING: DATA RACE)`)

// lastLines is how many lines a message has of a twin that did not say why it died.
const lastLines = 20

// Shown reports whether what the twin printed last was passed on.
func (o *Output) Shown() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.shown
}

// drain waits for everybody to close the pipes; so it returns once the environment has ended.
func (o *Output) drain() {
	for _, s := range o.streams {
		<-s.done
	}
}

func (o *Output) close() error {
	var errs []error
	errs = append(errs, o.started())
	for _, s := range o.streams {
		errs = append(errs, s.pipe.Close())
	}
	return errors.Join(errs...)
}
