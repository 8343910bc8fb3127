package wire

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"
)

// checkLeaks fails the test if file descriptors or goroutines are left when all its other clean-ups have run.
func checkLeaks(t testing.TB) {
	t.Helper()
	a, b := newPair(t) // the runtime's own descriptors for polling come with the first socket
	a.Close()
	b.Close()
	before, goroutines := openFDs(t), runtime.NumGoroutine()
	t.Cleanup(func() {
		deadline := time.Now().Add(30 * time.Second)
		for runtime.NumGoroutine() > goroutines && time.Now().Before(deadline) {
			runtime.Gosched() // one that has ended is counted until it was scheduled for the last time
		}
		if n := runtime.NumGoroutine(); n > goroutines {
			stacks := make([]byte, 64<<10)
			t.Errorf("%d goroutines before, %d after:\n%s", goroutines, n, stacks[:runtime.Stack(stacks, true)])
		}
		// Only now: a file that a goroutine was writing to when it was closed is closed by that goroutine.
		after := openFDs(t)
		if slices.ContainsFunc(after, func(f string) bool { return !slices.Contains(before, f) }) { // a collection may close those of before
			t.Errorf("file descriptors before %v, after %v", before, after)
		}
	})
}

func openFDs(t testing.TB) []string {
	t.Helper()
	dir, err := os.Open("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		t.Fatal(err)
	}
	var open []string
	for _, n := range names {
		if n == fmt.Sprint(dir.Fd()) {
			continue
		}
		target, err := os.Readlink("/proc/self/fd/" + n)
		if err != nil {
			continue // it was closed meanwhile
		}
		open = append(open, n+"→"+target)
	}
	slices.Sort(open)
	return open
}

func newPair(t testing.TB) (a, b *os.File) {
	t.Helper()
	a, b, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}

// newPipe returns a pipe that is closed with the test.
func newPipe(t testing.TB) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// wantEnd fails unless nobody has the writing end of r's pipe.
func wantEnd(t testing.TB, r *os.File) {
	t.Helper()
	r.SetReadDeadline(time.Now().Add(30 * time.Second))
	if n, err := r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a writing end was leaked: read %d bytes, %v", n, err)
	}
}

// serve starts a server and returns its peer's end and a function that waits for its end.
func serve(t testing.TB, h Handler) (f *os.File, wait func() error) {
	t.Helper()
	a, b := newPair(t)
	wait = serveOn(b, h)
	t.Cleanup(func() { a.Close(); wait() })
	return a, wait
}

func serveOn(f *os.File, h Handler) (wait func() error) {
	ended := make(chan struct{})
	var err error
	go func() {
		defer close(ended)
		err = Serve(context.Background(), f, h)
	}()
	return func() error { <-ended; return err }
}

func dial(t testing.TB, h Handler) *Client {
	t.Helper()
	f, wait := serve(t, h)
	c, err := NewClient(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); wait() })
	return c
}

// echo answers with the parameters and the files that came.
func echo(_ context.Context, req *Request) (Reply, error) {
	files := req.Files
	req.Files = nil
	if isNone(req.Params) {
		return Reply{Files: files}, nil
	}
	return Reply{Result: req.Params, Files: files}, nil
}
