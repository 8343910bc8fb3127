package nstest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// streams are the standard input, output and error of one command.
type streams struct {
	theirs  []io.Closer    // the process's ends of what we opened; closed when it has them
	ours    []io.Closer    // our ends; closed when the process has ended and copying is done, or WaitDelay is over
	copiers []func() error // run as goroutines once the process has started
	result  <-chan error   // receives the first error of the copiers when all have ended; nil if there are none
}

// direction is where a pipe leads.
type direction int

const (
	toProcess direction = iota
	fromProcess
)

// open returns the files to start the process with. Two that are the same are one.
func (s *streams) open(stdin io.Reader, stdout, stderr io.Writer) ([]*os.File, error) {
	in, err := s.reader(stdin)
	if err != nil {
		return nil, fmt.Errorf("open standard input: %w", err)
	}
	out, err := s.writer(stdout)
	if err != nil {
		return nil, fmt.Errorf("open standard output: %w", err)
	}
	if stderr != nil && same(stderr, stdout) {
		return []*os.File{in, out, out}, nil
	}
	errs, err := s.writer(stderr)
	if err != nil {
		return nil, fmt.Errorf("open standard error: %w", err)
	}
	return []*os.File{in, out, errs}, nil
}

// owns reports whether a file of the process's is one that we have made, of which the user has the other end, or nobody.
func (s *streams) owns(f *os.File) bool { return slices.Contains(s.theirs, io.Closer(f)) }

// same compares two writers, whose type need not be comparable.
func same(a, b any) bool {
	defer func() { _ = recover() }()
	return a == b
}

func (s *streams) reader(r io.Reader) (*os.File, error) {
	if r == nil {
		return s.null(os.O_RDONLY)
	}
	if f, ok := r.(*os.File); ok {
		return f, blocking(f)
	}
	pw, pr, err := s.pipe(toProcess)
	if err != nil {
		return nil, err
	}
	s.copiers = append(s.copiers, func() error {
		_, err := io.Copy(pw, r)
		var pe *os.PathError
		if errors.As(err, &pe) && pe.Path == pw.Name() && pe.Err == syscall.EPIPE {
			err = nil // the process did not want more
		}
		if closeErr := pw.Close(); err == nil {
			err = closeErr
		}
		return err
	})
	return pr, nil
}

func (s *streams) writer(w io.Writer) (*os.File, error) {
	if w == nil {
		return s.null(os.O_WRONLY)
	}
	if f, ok := w.(*os.File); ok {
		return f, blocking(f)
	}
	pr, pw, err := s.pipe(fromProcess)
	if err != nil {
		return nil, err
	}
	s.copiers = append(s.copiers, func() error {
		_, err := io.Copy(w, pr)
		pr.Close() // the process learns that nobody reads, if w gave up
		return err
	})
	return pw, nil
}

// blocking undoes what the os package does to the files that it opens, because a process does not expect EAGAIN, and shares
// f.
func blocking(f *os.File) error {
	if f == nil {
		return os.ErrInvalid
	}
	f.Fd()
	return share(f)
}

// share lets a process open f again if it is a pipe without a name, as it may those of ours: see pipe.
func share(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) {
		var fs unix.Statfs_t
		if err := unix.Fstatfs(int(fd), &fs); err == nil && fs.Type == unix.PIPEFS_MAGIC {
			_ = unix.Fchmod(int(fd), 0o666) // in vain if another user's program has made it
		}
	})
}

func (s *streams) null(flag int) (*os.File, error) {
	f, err := os.OpenFile(os.DevNull, flag, 0)
	if err != nil {
		return nil, err
	}
	s.theirs = append(s.theirs, f)
	return f, nil
}

// pipe makes a pipe, of which our end is nonblocking and the process's blocking: os.Pipe makes both nonblocking. The
// process may open its end again (/dev/stdout), whoever it is: its directory in /proc is what keeps others out.
func (s *streams) pipe(d direction) (ours, theirs *os.File, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, os.NewSyscallError("pipe2", err)
	}
	if d == toProcess {
		fds[0], fds[1] = fds[1], fds[0]
	}
	err = errors.Join(os.NewSyscallError("set O_NONBLOCK", unix.SetNonblock(fds[0], true)), os.NewSyscallError("fchmod", unix.Fchmod(fds[0], 0o666)))
	ours, theirs = os.NewFile(uintptr(fds[0]), "|0"), os.NewFile(uintptr(fds[1]), "|1")
	if err != nil {
		return nil, nil, errors.Join(err, ours.Close(), theirs.Close())
	}
	s.ours = append(s.ours, ours)
	s.theirs = append(s.theirs, theirs)
	return ours, theirs, nil
}

// started lets go of what the process has by now.
func (s *streams) started() {
	closeEach(s.theirs)
	s.theirs = nil
}

// abandon lets go of everything: there is no process.
func (s *streams) abandon() {
	s.started()
	closeEach(s.ours)
	s.ours, s.copiers = nil, nil
}

// closeEach closes what may be closed already, by a copier or the user.
func closeEach(list []io.Closer) {
	for _, c := range list {
		_ = c.Close()
	}
}

// run starts the copiers.
func (s *streams) run() {
	if len(s.copiers) == 0 {
		return
	}
	result, each := make(chan error, 1), make(chan error, len(s.copiers))
	s.result = result
	for _, c := range s.copiers {
		go func() { each <- c() }()
	}
	n := len(s.copiers)
	s.copiers = nil
	go func() {
		var first error
		for range n {
			if err := <-each; first == nil {
				first = err
			}
		}
		result <- first
	}()
}

// finish waits for the copiers, which it ends by force if they have not ended yet. Nothing may wait at the same time.
func (s *streams) finish() (forced bool, err error) {
	if s.result == nil {
		return false, nil
	}
	defer func() { s.result = nil }()
	select {
	case err := <-s.result:
		return false, err
	default:
	}
	closeEach(s.ours)
	<-s.result //nolint:errcheck // an error comes from our closing
	return true, nil
}

// wait waits for the copiers, once the process has ended, and lets go of everything. The timer, or else a new one of
// this delay unless that is 0, bounds it: then the error is exec.ErrWaitDelay.
func (s *streams) wait(timer *time.Timer, delay time.Duration) error {
	defer func() {
		if timer != nil {
			timer.Stop()
		}
		closeEach(s.ours)
		s.ours = nil
	}()
	if s.result == nil {
		return nil
	}
	if timer == nil && delay == 0 {
		err := <-s.result
		s.result = nil
		return err
	}
	if timer == nil {
		timer = time.NewTimer(delay)
	}
	select {
	case err := <-s.result:
		s.result = nil
		return err
	case <-timer.C:
	}
	forced, err := s.finish()
	if forced {
		return exec.ErrWaitDelay
	}
	return err
}

// bothEnds is a writer that keeps the first and the last size bytes.
type bothEnds struct {
	size    int
	head    []byte
	tail    []byte // at most twice size
	skipped int64
}

func (b *bothEnds) Write(p []byte) (int, error) {
	n := len(p)
	if room := b.size - len(b.head); room > 0 {
		k := min(room, len(p))
		b.head = append(b.head, p[:k]...)
		p = p[k:]
	}
	if over := len(p) - b.size; over > 0 {
		b.skipped += int64(over)
		p = p[over:]
	}
	b.tail = append(b.tail, p...)
	if len(b.tail) > 2*b.size {
		b.trim()
	}
	return n, nil
}

func (b *bothEnds) trim() {
	if over := len(b.tail) - b.size; over > 0 {
		b.skipped += int64(over)
		b.tail = append(b.tail[:0], b.tail[over:]...)
	}
}

// Bytes is what was kept, with a note of what was not.
func (b *bothEnds) Bytes() []byte {
	b.trim()
	if b.skipped == 0 {
		return append(b.head, b.tail...)
	}
	return bytes.Join([][]byte{b.head, fmt.Appendf(nil, "\n... omitting %d bytes ...\n", b.skipped), b.tail}, nil)
}
