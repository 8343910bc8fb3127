package keeper

import (
	"errors"
	"os"
	"sync"
	"time"
)

// A sink writes to a file in the background, so that a slow one keeps nobody waiting but who asks for that.
type sink struct {
	file *os.File

	mu      sync.Mutex
	changed *sync.Cond
	waiting []byte // to be written
	writing bool
	ending  bool
	err     error // of the file: nothing more is written
	done    chan struct{}
}

// maxWaiting is how many bytes wait for the file at most.
const maxWaiting = 8 << 20

var errSinkFull = errors.New("the file is too slow")

func newSink(file *os.File) *sink {
	s := &sink{file: file, done: make(chan struct{})}
	s.changed = sync.NewCond(&s.mu)
	go s.run()
	return s
}

// Write takes all of b or nothing.
func (s *sink) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ending:
		return 0, os.ErrClosed
	case s.err != nil:
		return 0, s.err
	case len(s.waiting)+len(b) > maxWaiting:
		return 0, errSinkFull
	}
	s.waiting = append(s.waiting, b...)
	s.changed.Broadcast()
	return len(b), nil
}

// run writes what is waiting, until close.
func (s *sink) run() {
	defer close(s.done)
	var batch []byte
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for len(s.waiting) == 0 && !s.ending {
			s.changed.Wait()
		}
		if len(s.waiting) == 0 {
			return
		}
		batch, s.waiting = s.waiting, batch[:0]
		s.writing = true
		s.mu.Unlock()
		_, err := s.file.Write(batch)
		s.mu.Lock()
		s.writing = false
		s.err = errors.Join(s.err, err)
		s.changed.Broadcast()
	}
}

// flush returns when everything was written that was to be when it was called, or could not be.
func (s *sink) flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.err == nil && (s.writing || len(s.waiting) > 0) {
		s.changed.Wait()
	}
	return s.err
}

// slowFile is how long the end of a capture may take.
const slowFile = 5 * time.Second

// close writes the rest and closes the file. One that takes too long is left to the background.
func (s *sink) close() error {
	s.mu.Lock()
	ended := s.ending
	s.ending = true
	s.changed.Broadcast()
	s.mu.Unlock()
	if ended {
		return os.ErrClosed
	}
	select {
	case <-s.done:
		s.mu.Lock()
		defer s.mu.Unlock()
		return errors.Join(s.err, s.file.Close())
	case <-time.After(slowFile):
		go func() { <-s.done; _ = s.file.Close() }()
		return errors.New("the file takes too long to write: its end is missing")
	}
}
