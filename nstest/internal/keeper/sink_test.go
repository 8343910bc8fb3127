package keeper

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func appended(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestSinkWritesEverything(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	s := newSink(appended(t, path))
	var want bytes.Buffer
	for i := range 1000 {
		b := bytes.Repeat([]byte{byte(i)}, i)
		want.Write(b)
		if n, err := s.Write(b); n != i || err != nil {
			t.Fatal(n, err)
		}
		if i%100 != 0 {
			continue
		}
		if err := s.flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want.Bytes()) {
			t.Fatalf("%d bytes of %d after flush, %v", len(got), want.Len(), err)
		}
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Fatalf("%d bytes of %d, %v", len(got), want.Len(), err)
	}
	if _, err := s.Write([]byte("x")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after close: %v", err)
	}
}

// A batch is written in calls that end where one that was taken ends, and cross no page unless that one does.
func TestSinkWritesWhatWasTakenWhole(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	s, r := &sink{file: os.NewFile(uintptr(fds[0]), "")}, os.NewFile(uintptr(fds[1]), "")
	defer s.file.Close()
	defer r.Close()
	var b batch
	for _, n := range []int{100, 900, 96, 1, 3000, 1000, 95, 1, 9000, 4000, 50} {
		b.bytes = append(b.bytes, make([]byte, n)...)
		b.ends = append(b.ends, len(b.bytes))
	}
	if n, err := s.write(b, 3000); n != int64(len(b.bytes)) || err != nil {
		t.Error(n, err)
	}
	got := make([]byte, 1<<16)
	for i, want := range []int{1096, 1 + 3000 + 1000 + 95, 1, 9000, 4000, 50} {
		if n, err := r.Read(got); n != want || err != nil {
			t.Errorf("write %d: %d bytes, not %d, %v", i, n, want, err)
		}
	}
}

// What a file has no room for is left out whole, so that what is in it can be read.
func TestSinkWithoutRoom(t *testing.T) {
	var old unix.Rlimit
	if err := unix.Prlimit(0, unix.RLIMIT_FSIZE, nil, &old); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Prlimit(0, unix.RLIMIT_FSIZE, &old, nil) })
	path := filepath.Join(t.TempDir(), "file")
	s := newSink(appended(t, path))
	if _, err := s.Write([]byte("header|")); err != nil {
		t.Fatal(err)
	}
	if err := s.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	limit := unix.Rlimit{Cur: 20, Max: old.Max}
	if err := unix.Prlimit(0, unix.RLIMIT_FSIZE, &limit, nil); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"one|", "two|"} {
		if _, err := s.Write([]byte(text)); err != nil {
			t.Error(err)
		}
	}
	for range 2 {
		if _, err := s.Write([]byte("three, which there is no room for|")); err != nil && !errors.Is(err, unix.EFBIG) {
			t.Error(err)
		}
		if err := s.flush(t.Context()); !errors.Is(err, unix.EFBIG) {
			t.Errorf("flush: %v", err)
		}
	}
	if err := unix.Prlimit(0, unix.RLIMIT_FSIZE, &old, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte("x")); !errors.Is(err, unix.EFBIG) {
		t.Errorf("after an error: %v", err)
	}
	if err := s.close(); !errors.Is(err, unix.EFBIG) || strings.Contains(err.Error(), path) {
		t.Errorf("close: %v", err)
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != "header|one|two|" {
		t.Errorf("got %q, %v", got, err)
	}
}

// Whoever waits for a file that takes nothing is told, at the latest with the end.
func TestSinkOfASlowFile(t *testing.T) {
	defer func(d time.Duration) { slowFile = d }(slowFile)
	slowFile = 10 * time.Millisecond
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s := newSink(w)
	var taken int
	for err == nil {
		var n int
		n, err = s.Write(make([]byte, 1<<20))
		taken += n
	}
	if !errors.Is(err, errSinkFull) || taken > 3*maxWaiting {
		t.Errorf("took %d bytes, %v", taken, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	flushed := make(chan error, 2)
	go func() { flushed <- s.flush(ctx) }()
	cancel()
	if err := <-flushed; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	go func() { flushed <- s.flush(t.Context()) }()
	if err := s.close(); !errors.Is(err, errSlowFile) {
		t.Error(err)
	}
	if err := <-flushed; !errors.Is(err, errSlowFile) {
		t.Error(err)
	}
	if _, err := io.Copy(io.Discard, r); err != nil { // ends when the file was closed
		t.Error(err)
	}
	r.Close()
}
