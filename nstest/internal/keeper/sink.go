package keeper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/record"
)

// A sink writes to a file in the background, so that a slow one keeps nobody waiting but who asks for that. One that has no file
// yet keeps what it takes.
type sink struct {
	file   *os.File      // nil until give
	early  int           // how many bytes wait for give at most, if that is more than maxWaiting
	shared bool          // others append to the file too: its end is looked for, and nothing is taken back
	linger time.Duration // how long what was taken waits for more, unless somebody waits for it
	done   chan struct{}

	mu      sync.Mutex
	changed *sync.Cond
	waiting batch
	taken   int64 // how many bytes were taken, and how many of them are in the file, or need not be there any more
	written int64
	size    int64 // of the file
	emptied bool  // the file is to be, before anything more is written
	ending  bool
	urgent  bool  // somebody waits for it
	err     error // of the file: nothing more is written
}

// A batch is what was taken and was not written, and where in it each Write ends.
type batch struct {
	bytes []byte
	ends  []int
}

// maxWaiting is how many bytes wait for the file at most.
const maxWaiting = 8 << 20

var (
	errSinkFull = errors.New("the file is too slow")
	errSlowFile = errors.New("the file takes too long to write: its end is missing")
)

// newSink takes over a file that is empty, and open for appending.
func newSink(file *os.File) *sink { return (&sink{}).give(file) }

// newSharedSink is for a file to which others append too. What is taken is there some time later at most.
func newSharedSink(later time.Duration) *sink { return &sink{shared: true, linger: later} }

// give hands over the sink's file. It must be called once at most. One that comes after close is closed.
func (s *sink) give(file *os.File) *sink {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending {
		_ = file.Close()
		return s
	}
	s.file, s.done, s.changed = file, make(chan struct{}), sync.NewCond(&s.mu)
	go s.run()
	return s
}

// letGo has the sink take nothing any more, and keep nothing of what it has: there will be no file.
func (s *sink) letGo() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting, s.err = batch{}, os.ErrClosed
}

// wake tells those who wait that something has changed. The mutex is held.
func (s *sink) wake() {
	if s.changed != nil {
		s.changed.Broadcast()
	}
}

// waits reports whether the sink has taken what is not in the file.
func (s *sink) waits() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting.bytes) > 0
}

// Write takes all of b or nothing.
func (s *sink) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil:
		return 0, s.err
	case s.ending:
		return 0, os.ErrClosed
	case len(s.waiting.bytes)+len(b) > maxWaiting && (s.file != nil || len(s.waiting.bytes)+len(b) > s.early):
		return 0, errSinkFull
	}
	s.waiting.bytes = append(s.waiting.bytes, b...)
	s.waiting.ends = append(s.waiting.ends, len(s.waiting.bytes))
	s.taken += int64(len(b))
	s.wake()
	return len(b), nil
}

// empty has the file be emptied before anything more is written. What waits for it is let go.
func (s *sink) empty() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written += int64(len(s.waiting.bytes))
	s.waiting = batch{s.waiting.bytes[:0], s.waiting.ends[:0]}
	s.emptied = true
}

// run writes what is waiting, until close, or until it fails.
func (s *sink) run() {
	defer close(s.done)
	var b batch
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.err == nil {
		for len(s.waiting.bytes) == 0 && !s.ending {
			s.changed.Wait()
		}
		if len(s.waiting.bytes) == 0 {
			return
		}
		if s.linger > 0 {
			s.wait()
		}
		b, s.waiting = s.waiting, batch{b.bytes[:0], b.ends[:0]}
		at, emptied := s.size, s.emptied
		s.emptied = false
		s.mu.Unlock()
		var n int64
		var err error
		switch {
		case s.shared:
			at = s.end()
		case emptied:
			at, err = 0, record.Pathless(s.file.Truncate(0))
		}
		if err == nil {
			n, err = s.write(b, at)
		}
		s.mu.Lock()
		s.size = at + n
		s.written += n
		if s.err == nil {
			s.err = err
		}
		s.changed.Broadcast()
	}
}

// wait returns when the sink has lingered, or somebody waits for it. The mutex is held.
func (s *sink) wait() {
	over := false
	timer := time.AfterFunc(s.linger, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		over = true
		s.changed.Broadcast()
	})
	defer timer.Stop()
	for !over && !s.urgent && !s.ending && len(s.waiting.bytes) < maxWaiting/8 {
		s.changed.Wait()
	}
	s.urgent = false
}

// end is where the file ends now, as far as can be told.
func (s *sink) end() int64 {
	info, err := s.file.Stat()
	if err != nil {
		return 0
	}
	return info.Size()
}

// write writes a batch at the end of the file, which is at an offset, and reports how many bytes of it are there.
//
// A kernel that is to end the process writes no further page, and shows readers each page when it is written. So what was taken
// by one Write, such as a packet, is in one page wherever it can be, and otherwise in a call of its own.
func (s *sink) write(b batch, at int64) (int64, error) {
	begin := 0
	for i := 0; i < len(b.ends); i++ {
		before := int((at+int64(begin))%pageSize) - begin // in the page
		for i+1 < len(b.ends) && before+b.ends[i+1] <= pageSize {
			i++
		}
		n, err := s.file.Write(b.bytes[begin:b.ends[i]])
		if err != nil {
			return s.cut(b, begin+n, at), fmt.Errorf("write the file: %w", record.Pathless(err))
		}
		begin = b.ends[i]
	}
	return int64(begin), nil
}

const pageSize = 4096

// cut takes back the last of n bytes of a batch, with which a Write ends that a full disk has no room for, and reports how
// many are left.
func (s *sink) cut(b batch, n int, at int64) int64 {
	i, whole := slices.BinarySearch(b.ends, n)
	if whole || n == 0 || s.shared {
		return int64(n)
	}
	if n = 0; i > 0 {
		n = b.ends[i-1]
	}
	_ = s.file.Truncate(at + int64(n)) // the error is told that led to this
	return int64(n)
}

// flush returns when everything was written that was taken when it was called, or could not be. Without a file it returns at once.
func (s *sink) flush(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.changed.Broadcast()
	})
	defer stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return nil
	}
	s.urgent = true
	s.changed.Broadcast()
	for end := s.taken; s.written < end; s.changed.Wait() {
		if s.err != nil {
			return s.err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return s.err
}

// slowFile is how long the end of a capture may take.
var slowFile = 5 * time.Second

// close writes the rest and closes the file; what waits for one is let go. One that takes too long is left to the background. It must be called once.
func (s *sink) close() error {
	s.mu.Lock()
	s.ending = true
	if s.file == nil {
		s.waiting = batch{}
		s.mu.Unlock()
		return nil
	}
	s.changed.Broadcast()
	s.mu.Unlock()
	select {
	case <-s.done:
		return errors.Join(s.err, s.file.Close())
	case <-time.After(slowFile):
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = errSlowFile
		s.changed.Broadcast()
	}
	_ = s.file.SetWriteDeadline(time.Unix(1, 0)) // of a pipe: else a thread would wait for its reader
	go func() { <-s.done; _ = s.file.Close() }()
	return s.err
}
