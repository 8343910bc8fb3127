package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestCallPassesFilesBothWays(t *testing.T) {
	checkLeaks(t)
	c := dial(t, echo)
	var writers, readers []*os.File
	for range MaxFiles {
		r, w := newPipe(t)
		readers, writers = append(readers, r), append(writers, w)
	}
	var got string
	back, err := c.Call(t.Context(), "echo", "hello", &got, writers...)
	if err != nil || got != "hello" || len(back) != MaxFiles {
		t.Fatalf("Call = %q, %d files, %v", got, len(back), err)
	}
	for i, f := range back {
		flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("file %d: flags %#x, %v: not close-on-exec", i, flags, err)
		}
		if _, err := fmt.Fprint(f, i); err != nil {
			t.Error(err)
		}
		f.Close()
		if err := writers[i].Close(); err != nil { // only borrowed
			t.Error(err)
		}
		if said, err := io.ReadAll(readers[i]); err != nil || string(said) != fmt.Sprint(i) {
			t.Errorf("pipe %d said %q, %v", i, said, err)
		}
	}
}

func TestCallClosesRequestFilesBeforeTheReply(t *testing.T) {
	checkLeaks(t)
	c := dial(t, func(context.Context, *Request) (Reply, error) { return Reply{}, nil })
	r, w := newPipe(t)
	if _, err := c.Call(t.Context(), "m", nil, nil, w); err != nil {
		t.Fatal(err)
	}
	w.Close()
	wantEnd(t, r)
}

func TestCallHasTheFilesOfTheReplyForItself(t *testing.T) {
	checkLeaks(t)
	made := make(chan int, 1)
	c := dial(t, func(context.Context, *Request) (Reply, error) {
		var fds [2]int
		if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
			return Reply{}, err
		}
		made <- fds[0]
		return Reply{Result: "made", Files: []*os.File{os.NewFile(uintptr(fds[1]), "pipe")}}, nil
	})
	for range 200 {
		files, err := c.Call(t.Context(), "m", nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		r := <-made
		files[0].Close()
		// A pipe that somebody can still write to has an end to wait for.
		if n, err := unix.Read(r, make([]byte, 1)); n != 0 || err != nil {
			t.Errorf("read %d, %v: the server has the file too", n, err)
		}
		if err := unix.Close(r); err != nil {
			t.Error(err)
		}
	}
}

func TestCallConcurrently(t *testing.T) {
	checkLeaks(t)
	c := dial(t, echo)
	_, w := newPipe(t)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 30 {
				want := strings.Repeat("x", (i*j*997)%150_000)
				var got string
				files, err := c.Call(t.Context(), "echo", want, &got, slices.Repeat([]*os.File{w}, j%4)...)
				if err != nil || got != want || len(files) != j%4 {
					t.Errorf("call %d/%d: %d bytes of %d, %d files, %v", i, j, len(got), len(want), len(files), err)
				}
				closeFiles(files)
			}
		})
	}
	wg.Wait()
}

func TestCallBeyondTheRoomWaits(t *testing.T) {
	checkLeaks(t)
	release := make(chan struct{})
	var running atomic.Int32
	full := make(chan struct{})
	var once sync.Once
	c := dial(t, func(context.Context, *Request) (Reply, error) {
		defer running.Add(-1)
		switch n := running.Add(1); {
		case n > 256:
			t.Errorf("%d handlers run at a time", n)
		case n == 256:
			once.Do(func() { close(full) })
		}
		<-release
		return Reply{}, nil
	})
	var wg sync.WaitGroup
	for range 300 {
		wg.Go(func() {
			if _, err := c.Call(t.Context(), "m", nil, nil); err != nil {
				t.Error(err)
			}
		})
	}
	<-full
	ctx, cancel := context.WithCancel(t.Context())
	wg.Go(func() {
		if _, err := c.Call(ctx, "m", nil, nil); err != context.Canceled {
			t.Errorf("a waiting call that is cancelled returned %v", err)
		}
	})
	cancel()
	close(release)
	wg.Wait()
}

func TestCallGiantBodies(t *testing.T) {
	checkLeaks(t)
	c := dial(t, func(ctx context.Context, req *Request) (Reply, error) {
		if req.Method == "grow" {
			return Reply{Result: strings.Repeat("y", MaxBody), Files: slices.Clone(req.Files)}, nil
		}
		return echo(ctx, req)
	})
	r, w := newPipe(t)
	want := strings.Repeat("x", MaxBody-1000)
	var got string
	if _, err := c.Call(t.Context(), "echo", want, &got); err != nil || got != want {
		t.Errorf("%d bytes of %d, %v", len(got), len(want), err)
	}
	if _, err := c.Call(t.Context(), "echo", want+strings.Repeat("x", 1000), nil); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a request over the limit: %v", err)
	}
	var e *Error
	if _, err := c.Call(t.Context(), "grow", nil, nil, w); !errors.As(err, &e) || !strings.Contains(err.Error(), "too large") {
		t.Errorf("a reply over the limit: %v", err)
	}
	if _, err := c.Call(t.Context(), "echo", "x", nil); err != nil {
		t.Errorf("the next call: %v", err)
	}
	w.Close()
	wantEnd(t, r)
}

func TestCallRefusesBadInput(t *testing.T) {
	checkLeaks(t)
	c := dial(t, func(ctx context.Context, req *Request) (Reply, error) {
		switch req.Method {
		case "unmarshalable":
			return Reply{Result: func() {}}, nil
		case "files":
			return Reply{Files: slices.Repeat(req.Files, MaxFiles+1)}, nil
		}
		return echo(ctx, req)
	})
	_, w := newPipe(t)
	_, closed := newPipe(t)
	closed.Close()
	for name, call := range map[string]func() ([]*os.File, error){
		"no method": func() ([]*os.File, error) { return c.Call(t.Context(), "", nil, nil) },
		"17 files": func() ([]*os.File, error) {
			return c.Call(t.Context(), "m", nil, nil, slices.Repeat([]*os.File{w}, 17)...)
		},
		"a nil file":         func() ([]*os.File, error) { return c.Call(t.Context(), "m", nil, nil, w, nil) },
		"a closed file":      func() ([]*os.File, error) { return c.Call(t.Context(), "m", nil, nil, w, closed) },
		"params":             func() ([]*os.File, error) { return c.Call(t.Context(), "m", func() {}, nil) },
		"no result":          func() ([]*os.File, error) { return c.Call(t.Context(), "m", nil, new(string), w) },
		"another result":     func() ([]*os.File, error) { return c.Call(t.Context(), "m", "s", new(int), w) },
		"an unknown field":   func() ([]*os.File, error) { return c.Call(t.Context(), "m", JoinParams{}, new(ProcParams), w) },
		"handler's result":   func() ([]*os.File, error) { return c.Call(t.Context(), "unmarshalable", nil, nil) },
		"handler's 17 files": func() ([]*os.File, error) { return c.Call(t.Context(), "files", nil, nil, w) },
	} {
		if files, err := call(); err == nil || errors.Is(err, ErrClosed) || files != nil {
			t.Errorf("%s: %d files, %v", name, len(files), err)
		}
	}
	if _, err := c.Call(t.Context(), "m", nil, nil); err != nil {
		t.Errorf("the next call: %v", err)
	}
}

func TestCallCancel(t *testing.T) {
	other := errors.New("left a link")
	for name, tc := range map[string]struct {
		keep bool // the files, for the reply
		end  func(context.Context, Reply) (Reply, error)
		also string
	}{
		"undone": {false, func(ctx context.Context, _ Reply) (Reply, error) { return Reply{}, ctx.Err() }, ""},
		"undone, at a step": {false, func(ctx context.Context, _ Reply) (Reply, error) {
			return Reply{}, fmt.Errorf("attach network: wait for link 2: %w", ctx.Err())
		}, "attach network: wait for link 2: context canceled"},
		"another error":     {false, func(context.Context, Reply) (Reply, error) { return Reply{}, other }, other.Error()},
		"succeeded anyway":  {true, func(_ context.Context, r Reply) (Reply, error) { return r, nil }, ""},
		"error beside file": {true, func(_ context.Context, r Reply) (Reply, error) { return r, other }, other.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			checkLeaks(t)
			started := make(chan struct{})
			var undone atomic.Bool
			c := dial(t, func(ctx context.Context, req *Request) (Reply, error) {
				close(started)
				<-ctx.Done()
				undone.Store(true)
				var reply Reply
				if tc.keep {
					reply.Files, req.Files = req.Files, nil
				}
				return tc.end(ctx, reply)
			})
			r, w := newPipe(t)
			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-started; cancel() }()
			files, err := c.Call(ctx, "m", nil, nil, w)
			if !errors.Is(err, context.Canceled) || files != nil {
				t.Errorf("Call = %d files, %v", len(files), err)
			}
			if tc.also != "" && !strings.Contains(err.Error(), tc.also) || tc.also == "" && err != context.Canceled {
				t.Errorf("Call = %q, want it to say %q", err, tc.also)
			}
			if !undone.Load() {
				t.Error("Call did not wait for the handler")
			}
			w.Close()
			wantEnd(t, r)
		})
	}
}

func TestCallGivesUpAfterTheGrace(t *testing.T) {
	checkLeaks(t)
	release := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := dial(t, func(ctx context.Context, req *Request) (Reply, error) {
		if req.Method == "stuck" {
			cancel()
			<-release
		}
		return echo(ctx, req)
	})
	c.grace = 10 * time.Millisecond
	r, w := newPipe(t)
	files, err := c.Call(ctx, "stuck", nil, nil, w)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "no answer") || files != nil {
		t.Errorf("Call = %d files, %v", len(files), err)
	}
	close(release)
	w.Close()
	wantEnd(t, r) // the late answer's file was closed
	if _, err := c.Call(t.Context(), "m", nil, nil); err != nil {
		t.Errorf("the next call: %v", err)
	}
}

func TestCallIsBoundedWhenNobodyReads(t *testing.T) {
	checkLeaks(t)
	a, b := newPair(t)
	t.Cleanup(func() { b.Close() })
	c, err := NewClient(a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.grace = 10 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		b.Read(make([]byte, 1)) // the frame is being written
		cancel()
	}()
	if _, err := c.Call(ctx, "m", strings.Repeat("x", 4<<20), nil); !errors.Is(err, context.Canceled) || !errors.Is(err, ErrClosed) {
		t.Errorf("Call within whose frame the time ended: %v", err)
	}
	<-c.Done()
}

func TestCallWhenThePeerDies(t *testing.T) {
	checkLeaks(t)
	a, b := newPair(t)
	c, err := NewClient(a)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		b.Read(make([]byte, 1))
		b.Close()
	}()
	if _, err := c.Call(t.Context(), "m", nil, nil); !errors.Is(err, ErrClosed) || !strings.Contains(err.Error(), "peer") {
		t.Errorf("Call = %v", err)
	}
	<-c.Done()
	if _, err := c.Call(t.Context(), "m", nil, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("the next Call = %v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func TestClose(t *testing.T) {
	checkLeaks(t)
	started := make(chan struct{})
	ended := make(chan struct{})
	c := dial(t, func(ctx context.Context, _ *Request) (Reply, error) {
		close(started)
		<-ctx.Done() // the peer's going is a cancellation
		close(ended)
		return Reply{}, ctx.Err()
	})
	go func() { <-started; c.Close() }()
	if _, err := c.Call(t.Context(), "m", nil, nil); err != ErrClosed {
		t.Errorf("Call = %v", err)
	}
	<-ended
	<-c.Done()
	for range 2 {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestClientRefusesWhatAServerMayNotSend(t *testing.T) {
	reply := func(h header, body string) []byte {
		frame := append(make([]byte, headerSize), body...)
		h.length = len(body)
		h.put(frame)
		return frame
	}
	for name, raw := range map[string][]byte{
		"unknown id": reply(header{kind: kindReply, id: 7}, `{}`),
		"request":    reply(header{kind: kindRequest, id: 1}, `{"Method":"m"}`),
		"no JSON":    reply(header{kind: kindReply, id: 1}, `{`),
		"two values": reply(header{kind: kindReply, id: 1}, `{}{}`),
		"more":       reply(header{kind: kindReply, id: 1}, `{"More":1}`),
		"garbage":    bytes.Repeat([]byte("x"), 100),
	} {
		t.Run(name, func(t *testing.T) {
			checkLeaks(t)
			a, b := newPair(t)
			defer b.Close()
			c, err := NewClient(a)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			go func() {
				b.Read(make([]byte, 1))
				b.Write(raw)
			}()
			if _, err := c.Call(t.Context(), "m", nil, nil); !errors.Is(err, ErrProtocol) || !errors.Is(err, ErrClosed) {
				t.Errorf("Call = %v", err)
			}
		})
	}
}

func TestNewClientRefusesOtherFiles(t *testing.T) {
	checkLeaks(t)
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, w := newPipe(t)
	for _, f := range []*os.File{w, os.NewFile(uintptr(fds[0]), "datagram"), os.NewFile(uintptr(fds[1]), "datagram")} {
		if c, err := NewClient(f); err == nil {
			c.Close()
			t.Errorf("%s was taken", f.Name())
		}
		if err := f.Close(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s was not closed: %v", f.Name(), err)
		}
	}
}

func BenchmarkCall(b *testing.B) {
	for _, files := range []int{0, 1, 3} {
		b.Run(fmt.Sprintf("files=%d", files), func(b *testing.B) {
			c := dial(b, func(_ context.Context, req *Request) (Reply, error) {
				var p SpawnParams
				if err := req.Decode(&p); err != nil {
					return Reply{}, err
				}
				return Reply{Result: SpawnResult{Proc: 1, PID: 2}}, nil
			})
			_, w := newPipe(b)
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			params := SpawnParams{Host: "web", Paths: []string{"/bin/true"}, Args: []string{"true"}, Dir: "/"}
			for b.Loop() {
				var result SpawnResult
				if _, err := c.Call(ctx, MethodSpawn, params, &result, slices.Repeat([]*os.File{w}, files)...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("returned=1", func(b *testing.B) {
		c := dial(b, echo)
		_, w := newPipe(b)
		for b.Loop() {
			files, err := c.Call(b.Context(), "echo", nil, nil, w)
			if err != nil {
				b.Fatal(err)
			}
			closeFiles(files)
		}
	})
}
