package nstest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"sync"
	"testing"

	"github.com/hermetic-go/nstest/nstest/leaks"
)

// refused has a packet pass between two hosts, and its answer.
func refused(t *testing.T, env *Env) {
	t.Helper()
	if c, err := env.Host("web").DialContext(t.Context(), "tcp4", "db:80"); err == nil {
		t.Fatalf("connected to %v", c.RemoteAddr())
	}
}

// safeBuffer is a bytes.Buffer that may be looked at while it is written to.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Len()
}

func TestCaptureToWriter(t *testing.T) {
	leaks.Check(t)
	env := New(t, Config{})
	env.Host("db")
	var b safeBuffer
	c, err := env.Capture(CaptureConfig{Writer: &b, Filter: "tcp"})
	if err != nil {
		t.Fatal(err)
	}
	refused(t, env)
	flushed, err := c.Flush()
	if err != nil || flushed.Packets != 4 || int64(b.Len()) < flushed.Bytes {
		t.Errorf("after Flush %+v, %v, and %d bytes are written; want 4 packets", flushed, err, b.Len())
	}
	waited := make(chan error)
	go func() { waited <- c.Wait(context.Background()) }()
	stats, err := c.Stop()
	if err != nil || stats.Packets != 4 || stats.Lost != 0 || int64(b.Len()) != stats.Bytes || stats.Bytes <= flushed.Bytes {
		t.Errorf("after Stop %+v, %v, and %d bytes are written; want statistics after 4 packets", stats, err, b.Len())
	}
	if err := <-waited; err != nil {
		t.Error(err)
	}
	if _, err := c.Stop(); err != nil {
		t.Error(err)
	}
}

// failing is a Writer that fails after its first Write.
type failing struct{ writes int }

var errFull = errors.New("full")

func (f *failing) Write(b []byte) (int, error) {
	f.writes++
	if f.writes > 1 {
		return 0, errFull
	}
	return len(b), nil
}

func TestCaptureToFailingWriter(t *testing.T) {
	leaks.Check(t)
	env := New(t, Config{})
	env.Host("db")
	c, err := env.Capture(CaptureConfig{Writer: &failing{}})
	if err != nil {
		t.Fatal(err)
	}
	refused(t, env)
	if err := c.Wait(t.Context()); !errors.Is(err, errFull) {
		t.Errorf("error %v, want the Writer's", err)
	}
	if _, err := c.Stop(); !errors.Is(err, errFull) {
		t.Errorf("error %v, want the Writer's", err)
	}
}

func TestCaptureWaits(t *testing.T) {
	leaks.Check(t)
	for _, writer := range []io.Writer{nil, io.Discard} {
		for _, own := range []bool{true, false} {
			env := New(t, Config{})
			seen := env
			if !own {
				seen = attachTo(t, env.ID())
			}
			cfg := CaptureConfig{Writer: writer}
			if writer == nil {
				cfg.Path = filepath.Join(t.TempDir(), "packets")
			}
			c, err := seen.Capture(cfg)
			if err != nil {
				t.Fatal(err)
			}
			ended, end := context.WithCancel(t.Context())
			end()
			if err := c.Wait(ended); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v, want the context's", err)
			}
			if err := env.Close(); err != nil {
				t.Fatal(err)
			}
			if err := c.Wait(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestCaptureRefuses(t *testing.T) {
	env := New(t, Config{})
	for _, cfg := range []CaptureConfig{{}, {Path: "x", Writer: io.Discard}, {Writer: io.Discard, Limit: 1}, {Writer: io.Discard, Filter: "nonsense"}, {Writer: io.Discard, Snap: -1}} {
		if c, err := env.Capture(cfg); err == nil {
			t.Errorf("%+v is captured to %s", cfg, c.Path())
		}
	}
}
