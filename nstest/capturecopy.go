package nstest

import (
	"context"
	"io"
	"os"
	"sync"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// A captureCopy writes to a Writer what a keeper writes to a pipe.
type captureCopy struct {
	done chan struct{} // closed when there is no more to copy

	mu      sync.Mutex
	changed *sync.Cond
	written int64
	over    bool
	err     error
}

// beginCopy begins a capture that is copied to w.
func (e *Env) beginCopy(p wire.CaptureParams, w io.Writer) (*Capture, error) {
	ours, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c := &captureCopy{done: make(chan struct{})}
	c.changed = sync.NewCond(&c.mu)
	go c.run(ours, w) // from now on: the keeper writes how the file begins before it answers
	var r wire.CaptureResult
	_, err = e.callFiles(context.Background(), wire.MethodCapture, p, &r, theirs)
	_ = theirs.Close()
	if err != nil {
		<-c.done
		return nil, err
	}
	return &Capture{env: e, number: r.Capture, copy: c}, nil
}

// run copies until the keeper has closed the pipe, or w fails.
func (c *captureCopy) run(pipe *os.File, w io.Writer) {
	defer close(c.done)
	defer pipe.Close()
	_, err := io.Copy(countingWriter{c, w}, pipe)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over, c.err = true, err
	c.changed.Broadcast()
}

// await returns when n bytes are written, or no more come.
func (c *captureCopy) await(n int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.written < n && !c.over {
		c.changed.Wait()
	}
	return c.err
}

// end returns when everything is written.
func (c *captureCopy) end() error {
	<-c.done
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// countingWriter tells a captureCopy what w has taken.
type countingWriter struct {
	copy *captureCopy
	w    io.Writer
}

// Write is w's.
func (c countingWriter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.copy.mu.Lock()
	defer c.copy.mu.Unlock()
	c.copy.written += int64(n)
	c.copy.changed.Broadcast()
	return n, err
}
