package keeper

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/record"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// A pump carries what a process writes from a pipe to the file that it was meant for, and writes the lines down on the way. The
// process sees of it that there is room for more before nobody reads: it gets the signal that nobody does, and whoever reads
// gets the end, as without.
type pump struct {
	streams     []int    // the process's files that lead here
	source      *os.File // our end of the pipe
	into        *os.File // the process's, until it has it
	destination *os.File // nil for /dev/null

	// recorded is closed when everything was written down that the process has written, or that it had written when the
	// record ended. The pump may go on.
	recorded chan struct{}
	ending   sync.Mutex // held while the deadlines are set that wake the pump for that
}

// The size of what a pump carries at a time, and of what it takes at the end of the record of a pipe that is not read.
const (
	pumpSize = 32 << 10
	maxRest  = 1 << 20
)

// maxPumps bounds the streams that are recorded at a time, each of which takes two descriptors.
const maxPumps = 1024

// interpose puts pumps between a process and those of its files that the library has made for it, and returns the files that the
// process gets. Where it cannot, nothing is recorded of what the process writes.
func (e *environment) interpose(p wire.SpawnParams, files []*os.File) ([]*os.File, []*pump) {
	r := e.recorder.Load()
	if r == nil || p.Terminal || !p.OwnStdout && !p.OwnStderr {
		return files, nil
	}
	r.mu.Lock()
	many := len(r.pumps) >= maxPumps
	r.mu.Unlock()
	if many {
		e.note("the output of process %q is not recorded: that of %d others is, which have not closed it", brief(p.Args)[0], maxPumps)
		return files, nil
	}
	var pumps []*pump
	got := append([]*os.File{}, files...)
	for i, own := range []bool{1: p.OwnStdout, 2: p.OwnStderr} {
		if !own {
			continue
		}
		if i == 2 && len(pumps) > 0 && samePipe(files[1], files[2]) { // what is in one order stays so
			pumps[0].streams, got[2] = append(pumps[0].streams, 2), got[1]
			continue
		}
		u, err := newPump(files[i])
		switch {
		case err != nil:
			e.note("the output of process %q is not recorded: %v", brief(p.Args)[0], err)
		case u != nil:
			u.streams, got[i] = []int{i}, u.into
			pumps = append(pumps, u)
		}
	}
	return got, pumps
}

// samePipe reports whether two files lead into one pipe.
func samePipe(a, b *os.File) bool {
	x, err := a.Stat()
	if err != nil || x.Mode()&os.ModeNamedPipe == 0 {
		return false
	}
	y, err := b.Stat()
	return err == nil && os.SameFile(x, y)
}

// newPump makes a pump to a file, which remains the caller's. It is nil where nobody reads what is written to the file.
//
// Whoever has sent the file may be hostile. Only what is known to be harmless is written to, through a description of our own,
// which nobody else can make wait.
func newPump(file *os.File) (*pump, error) {
	u := &pump{recorded: make(chan struct{})}
	var st unix.Stat_t
	var fs unix.Statfs_t
	var err error
	conn, cerr := file.SyscallConn()
	if cerr != nil {
		return nil, cerr
	}
	deserted := false
	cerr = conn.Control(func(n uintptr) {
		fd := int(n)
		err = errors.Join(unix.Fstat(fd, &st), unix.Fstatfs(fd, &fs))
		if err == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO && fs.Type == unix.PIPEFS_MAGIC {
			ends := []unix.PollFd{{Fd: int32(fd)}}
			for polled := error(unix.EINTR); errors.Is(polled, unix.EINTR); {
				_, polled = unix.Poll(ends, 0)
			}
			if deserted = ends[0].Revents&unix.POLLERR != 0; !deserted {
				u.destination, err = reopen(fd)
			}
		}
	})
	switch {
	case deserted || errors.Join(cerr, err) != nil:
		return nil, errors.Join(cerr, err)
	case u.destination == nil && (st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(1, 3)):
		return nil, errors.New("it goes neither to a pipe nor to /dev/null")
	}
	var fds [2]int
	err = unix.Pipe2(fds[:], unix.O_CLOEXEC)
	if err == nil {
		err = errors.Join(unix.SetNonblock(fds[0], true), unix.Fchmod(fds[0], 0o666)) // the process may open it again, whoever it is
		u.source, u.into = os.NewFile(uintptr(fds[0]), "pump"), os.NewFile(uintptr(fds[1]), "pump")
	}
	if err != nil {
		return nil, errors.Join(os.NewSyscallError("make pipe", err), u.close())
	}
	return u, nil
}

// reopen opens the end of a pipe for writing anew.
func reopen(fd int) (*os.File, error) {
	f, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", fd), os.O_WRONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, record.Pathless(err)
	}
	return f, nil
}

func (u *pump) close() error {
	var errs []error
	for _, f := range []*os.File{u.source, u.into, u.destination} {
		if f != nil {
			errs = append(errs, ignoreClosed(f.Close()))
		}
	}
	return errors.Join(errs...)
}

// handOver is for when the process has its files, or there is none.
func handOver(pumps []*pump) {
	for _, u := range pumps {
		_ = u.into.Close()
	}
}

// dismantle is for pumps that have nothing to carry.
func dismantle(pumps []*pump) {
	for _, u := range pumps {
		_ = u.close()
	}
}

// stream is what the process's file is called.
func (u *pump) stream() string {
	if u.streams[0] == 2 {
		return "stderr"
	}
	return "stdout"
}

// run carries everything until all who write have ended, or whoever reads.
func (u *pump) run(cutter *lines) {
	defer func() { _ = u.close() }()
	rest, err := u.carry(cutter)
	if errors.Is(err, os.ErrDeadlineExceeded) { // the record ends
		var left []byte
		left, err = u.left(cutter)
		rest = append(rest, left...)
	}
	cutter.end()
	close(u.recorded)
	if err != nil {
		return
	}
	to := io.Discard
	if u.destination != nil {
		to = u.destination
	}
	if _, err := to.Write(rest); err == nil {
		_, _ = io.Copy(to, u.source)
	}
}

// carry carries until it cannot, and returns what it has read and not written.
func (u *pump) carry(to *lines) ([]byte, error) {
	buf := make([]byte, pumpSize)
	for {
		n, err := u.source.Read(buf)
		to.add(buf[:n])
		if n > 0 && u.destination != nil {
			if sent, werr := u.destination.Write(buf[:n]); werr != nil {
				return buf[sent:n], werr
			}
		}
		if err != nil {
			return nil, err
		}
	}
}

// left is what is in the pipe now. The error is nil where more may come.
func (u *pump) left(to *lines) (all []byte, err error) {
	u.ending.Lock()
	defer u.ending.Unlock()
	err = errors.Join(u.source.SetReadDeadline(time.Time{}))
	if err == nil && u.destination != nil {
		err = u.destination.SetWriteDeadline(time.Time{})
	}
	if err != nil {
		return nil, err
	}
	conn, err := u.source.SyscallConn()
	if err != nil {
		return nil, err
	}
	buf := make([]byte, pumpSize)
	for len(all) < maxRest {
		var n int
		var rerr error
		if err := conn.Read(func(fd uintptr) bool {
			n, rerr = unix.Read(int(fd), buf)
			return true
		}); err != nil {
			return all, err
		}
		switch {
		case errors.Is(rerr, unix.EINTR):
			continue
		case n <= 0: // there is no more now; whether some comes is seen later
			return all, nil
		}
		to.add(buf[:n])
		all = append(all, buf[:n]...)
	}
	return all, nil
}

// finish has the pump write down what is there, and nothing that comes later.
func (u *pump) finish() {
	u.ending.Lock()
	_ = u.source.SetReadDeadline(time.Unix(1, 0)) // one that is closed has finished
	if u.destination != nil {
		_ = u.destination.SetWriteDeadline(time.Unix(1, 0))
	}
	u.ending.Unlock()
	<-u.recorded
}

// recordOutput has the pumps of a process that was started carry, and write down what they carry.
func (r *recorder) recordOutput(number int, p *process) {
	for _, u := range p.pumps {
		event := record.Event{Kind: record.KindLog, Host: p.host.name, Process: number, PID: p.child.PID, Stream: u.stream()}
		r.mu.Lock()
		r.pumps[u] = struct{}{}
		r.mu.Unlock()
		go func() {
			u.run(&lines{skip: r.skipTalk, emit: func(text []byte) {
				line := event
				line.Time, line.Text = p.speaks(), string(text)
				r.add(line)
			}, late: func(text []byte) {
				line := event
				line.Time, line.Text = p.speaks(), string(text)
				r.addAs(happenings, line)
			}})
			r.mu.Lock()
			defer r.mu.Unlock()
			delete(r.pumps, u)
		}()
	}
}

// speaks is now, when the process says something, unless its children do in its place.
func (p *process) speaks() time.Time {
	now := time.Now()
	if !p.hasEnded() || now.Sub(p.child.Exit().At) < later {
		p.said.Store(now.UnixNano())
	}
	return now
}

// finishOutput writes down what is in pipes now.
func (r *recorder) finishOutput() {
	r.mu.Lock()
	pumps := slices.Collect(maps.Keys(r.pumps))
	r.mu.Unlock()
	for _, u := range pumps {
		u.finish()
	}
}

// drained waits a little for what the processes wrote before their end.
func drained(pumps []*pump) {
	limit := time.NewTimer(later)
	defer limit.Stop()
	for _, u := range pumps {
		select {
		case <-u.recorded:
		case <-limit.C: // others, or somebody who does not read
			return
		}
	}
}
