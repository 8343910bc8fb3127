package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// frame returns a frame of a client. mend, if any, breaks its header.
func frame(h header, body string, mend ...func([]byte)) []byte {
	h.length = len(body)
	b := append(make([]byte, headerSize), body...)
	h.put(b)
	for _, f := range mend {
		f(b)
	}
	return b
}

// sendRaw sends bytes with files through an end that no Client has.
func sendRaw(t testing.TB, f *os.File, b []byte, files ...*os.File) {
	t.Helper()
	var oob []byte
	if len(files) > 0 {
		var fds []int
		for _, f := range files {
			fds = append(fds, int(f.Fd()))
		}
		oob = unix.UnixRights(fds...)
	}
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if e := raw.Control(func(fd uintptr) { err = unix.Sendmsg(int(fd), b, oob, nil, 0) }); e != nil || err != nil {
		t.Fatal(e, err)
	}
}

func TestServeRefusesMalformedFrames(t *testing.T) {
	one := header{kind: kindRequest, id: 1}
	for name, tc := range map[string]struct {
		raw   []byte
		files int
		want  error
		says  string
	}{
		"nothing":         {nil, 0, nil, ""},
		"half a header":   {frame(one, `{"Method":"m"}`)[:7], 0, io.ErrUnexpectedEOF, ""},
		"half with files": {frame(one, `{"Method":"m"}`)[:7], 3, io.ErrUnexpectedEOF, ""},
		"half a body":     {frame(header{kind: kindRequest, files: 2}, `{"Method":"m"}`)[:30], 2, io.ErrUnexpectedEOF, ""},
		"magic":           {frame(one, `{"Method":"m"}`, func(b []byte) { b[0] ^= 1 }), 1, ErrProtocol, "magic"},
		"reserved":        {frame(one, `{"Method":"m"}`, func(b []byte) { b[7] = 1 }), 0, ErrProtocol, "reserved"},
		"kind 0":          {frame(header{}, `{"Method":"m"}`), 0, ErrProtocol, "kind 0"},
		"reply":           {frame(header{kind: kindReply, files: 1}, `{}`), 1, ErrProtocol, "kind 3"},
		"over 16 MiB":     {frame(one, ``, func(b []byte) { b[8] = 1; b[11] = 1 }), 0, ErrProtocol, "16777217 bytes"},
		"over 16 files":   {frame(header{kind: kindRequest, files: 17}, `{"Method":"m"}`), 16, ErrProtocol, "17 files"},
		"17 files":        {frame(header{kind: kindRequest, files: 17}, `{"Method":"m"}`), 17, ErrProtocol, "lost"},
		"200 files":       {frame(one, `{"Method":"m"}`), 200, ErrProtocol, "lost"},
		"missing files":   {frame(header{kind: kindRequest, files: 3}, `{"Method":"m"}`), 2, ErrProtocol, "2 files came, 3"},
		"stray files":     {frame(one, `{"Method":"m"}`), 2, ErrProtocol, "2 files came, 0"},
		"no body":         {frame(one, ``), 0, ErrProtocol, "request"},
		"no JSON":         {frame(header{kind: kindRequest, files: 2}, `{"Method":`), 2, ErrProtocol, "request"},
		"deep JSON":       {frame(one, `{"Method":"m","Params":`+strings.Repeat("[", 50_000)), 0, ErrProtocol, "depth"},
		"two values":      {frame(one, `{"Method":"m"} {}`), 0, ErrProtocol, "more than one"},
		"unknown field":   {frame(one, `{"Method":"m","More":1}`), 0, ErrProtocol, "unknown field"},
		"no method":       {frame(one, `{"Params":{}}`), 0, ErrProtocol, "method"},
		"cancel and body": {frame(header{kind: kindCancel}, `x`), 0, ErrProtocol, "cancel"},
		"cancel of none":  {frame(header{kind: kindCancel, id: 9}, ``), 0, nil, ""},
		"an id twice":     {bytes.Repeat(frame(one, `{"Method":"m"}`), 2), 0, ErrProtocol, "running already"},
	} {
		t.Run(name, func(t *testing.T) {
			checkLeaks(t)
			f, wait := serve(t, func(ctx context.Context, _ *Request) (Reply, error) {
				<-ctx.Done()
				return Reply{}, ctx.Err()
			})
			r, w := newPipe(t)
			if len(tc.raw) > 0 {
				sendRaw(t, f, tc.raw, slices.Repeat([]*os.File{w}, tc.files)...)
			}
			if tc.want != ErrProtocol { // else the server must end by itself
				f.Close()
			}
			if err := wait(); !errors.Is(err, tc.want) || err != nil && !strings.Contains(err.Error(), tc.says) {
				t.Errorf("Serve = %v, want %v saying %q", err, tc.want, tc.says)
			}
			f.Close()
			w.Close()
			wantEnd(t, r)
		})
	}
}

func TestServeTakesFramesInPieces(t *testing.T) {
	checkLeaks(t)
	got := make(chan string, 1)
	f, wait := serve(t, func(_ context.Context, req *Request) (Reply, error) {
		got <- fmt.Sprint(req.Method, len(req.Files))
		return Reply{}, nil
	})
	r, w := newPipe(t)
	whole := frame(header{kind: kindRequest, files: 3}, `{"Method":"m"}`)
	for i := range whole {
		var files []*os.File
		switch i {
		case 0:
			files = []*os.File{w, w}
		case headerSize - 1:
			files = []*os.File{w}
		case headerSize + 2: // within the body there are none: the kernel closes them
			files = []*os.File{w}
		}
		sendRaw(t, f, whole[i:i+1], files...)
	}
	if s := <-got; s != "m3" {
		t.Errorf("the handler got %s", s)
	}
	f.Close()
	if err := wait(); err != nil {
		t.Error(err)
	}
	w.Close()
	wantEnd(t, r)
}

// A length alone must not make the server allocate.
func TestServeAllocatesWhatComes(t *testing.T) {
	a, b := newPair(t)
	defer a.Close()
	c, err := newConn(b)
	if err != nil {
		t.Fatal(err)
	}
	defer c.sock.Close()
	sendRaw(t, a, []byte("some bytes"))
	a.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = c.receiveBody(MaxBody)
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; err != io.ErrUnexpectedEOF || got > 1<<20 {
		t.Errorf("receiveBody allocated %d bytes, %v", got, err)
	}
}

// A peer that has gone is seen although its requests keep the server from reading.
func TestServeEndsWhenThePeerGoesWithoutRoom(t *testing.T) {
	checkLeaks(t)
	started := make(chan struct{}, 1000)
	f, wait := serve(t, func(ctx context.Context, _ *Request) (Reply, error) {
		started <- struct{}{}
		<-ctx.Done()
		return Reply{}, ctx.Err()
	})
	for i := range 270 {
		sendRaw(t, f, frame(header{kind: kindRequest, id: uint64(i)}, `{"Method":"m"}`))
	}
	for range 256 {
		<-started
	}
	select {
	case <-started:
		t.Error("a request over the limit was started")
	default:
	}
	f.Close()
	if err := wait(); err != nil {
		t.Error(err)
	}
}

// A peer that reads nothing keeps nobody else: its handlers end with ctx.
func TestServeEndsWithItsContext(t *testing.T) {
	checkLeaks(t)
	a, b := newPair(t)
	defer a.Close()
	ctx, cancel := context.WithCancel(t.Context())
	answered := make(chan struct{}, 100)
	ended := make(chan error)
	go func() {
		ended <- Serve(ctx, b, func(context.Context, *Request) (Reply, error) {
			answered <- struct{}{}
			return Reply{Result: strings.Repeat("x", 1<<20)}, nil
		})
	}()
	for i := range 4 {
		sendRaw(t, a, frame(header{kind: kindRequest, id: uint64(i)}, `{"Method":"m"}`))
	}
	for range 4 {
		<-answered
	}
	cancel()
	if err := <-ended; err != context.Canceled {
		t.Errorf("Serve = %v", err)
	}
}

// The rest of a frame whose writing was cut short goes without the files, which are on their way.
func TestSendPartially(t *testing.T) {
	checkLeaks(t)
	a, b := newPair(t)
	if err := unix.SetsockoptInt(int(a.Fd()), unix.SOL_SOCKET, unix.SO_SNDBUF, 1); err != nil {
		t.Fatal(err)
	}
	c, err := NewClient(a)
	if err != nil {
		t.Fatal(err)
	}
	wait := serveOn(b, echo)
	t.Cleanup(func() { c.Close(); wait() })
	r, w := newPipe(t)
	for range 5 {
		var got string
		want := strings.Repeat("x", 1<<20)
		files, err := c.Call(t.Context(), "m", want, &got, slices.Repeat([]*os.File{w}, MaxFiles)...)
		if err != nil || len(files) != MaxFiles || got != want {
			t.Fatalf("Call = %d bytes, %d files, %v", len(got), len(files), err)
		}
		closeFiles(files)
	}
	w.Close()
	wantEnd(t, r)
}

// A bound that ended during one frame does not bound the next.
func TestSendAfterALimitHasEnded(t *testing.T) {
	checkLeaks(t)
	a, b := newPair(t)
	defer b.Close()
	c, err := newConn(a)
	if err != nil {
		t.Fatal(err)
	}
	defer c.sock.Close()
	limit, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		err := c.send(t.Context(), limit, header{kind: kindCancel}, make([]byte, headerSize), nil, false)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		if err := c.send(t.Context(), context.Background(), header{kind: kindCancel}, make([]byte, headerSize), nil, false); err != nil {
			t.Fatal(err)
		}
	}
}

// FuzzServe feeds raw bytes, in two pieces with files, to a server, which must end with them, without a panic, and
// without a file left.
func FuzzServe(f *testing.F) {
	one := header{kind: kindRequest, id: 1}
	f.Add(frame(one, `{"Method":"m","Params":{"a":[1,2]}}`), uint8(0), uint16(0))
	f.Add(frame(header{kind: kindRequest, files: 2}, `{"Method":"m"}`), uint8(2), uint16(5))
	f.Add(frame(header{kind: kindRequest, files: 4}, `{"Method":"m"}`), uint8(2), uint16(19))
	f.Add(append(frame(one, `{"Method":"wait"}`), frame(header{kind: kindCancel, id: 1}, "")...), uint8(0), uint16(37))
	f.Add(frame(one, `{"Method":"fail"}`, func(b []byte) { b[5] = 17 }), uint8(17), uint16(3))
	f.Add(bytes.Repeat(frame(one, `{"Method":"wait"}`), 300), uint8(40), uint16(9))
	f.Add(frame(one, `{"Method":"m"}`, func(b []byte) { b[8] = 1 }), uint8(1), uint16(40))
	handler := func(ctx context.Context, req *Request) (Reply, error) {
		switch req.Method {
		case "wait":
			<-ctx.Done()
			return Reply{}, ctx.Err()
		case "fail":
			return Reply{Files: slices.Clone(req.Files)}, errors.New("failed")
		}
		var p SpawnParams
		if err := req.Decode(&p); err != nil && len(req.Params) > 0 {
			return Reply{}, err
		}
		return echo(ctx, req)
	}
	f.Fuzz(func(t *testing.T, data []byte, files uint8, split uint16) {
		a, b := newPair(t)
		wait := serveOn(b, handler)
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		read := make(chan struct{})
		go func() {
			defer close(read)
			io.Copy(io.Discard, a)
		}()
		raw, err := a.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		cut := min(int(split), len(data))
		for _, piece := range [][]byte{data[:cut], data[cut:]} {
			var oob []byte
			if n := int(files) % 64; n > 0 && len(piece) > 0 {
				oob = unix.UnixRights(slices.Repeat([]int{int(w.Fd())}, n)...)
			}
			for len(piece) > 0 {
				var n int
				var err error
				e := raw.Write(func(fd uintptr) bool {
					n, err = unix.SendmsgN(int(fd), piece, oob, nil, unix.MSG_NOSIGNAL)
					return err != unix.EAGAIN
				})
				if e != nil || err != nil {
					break // the server has refused what came before
				}
				piece, oob = piece[n:], nil
			}
		}
		raw.Control(func(fd uintptr) { unix.Shutdown(int(fd), unix.SHUT_WR) })
		wait()
		<-read
		a.Close()
		w.Close()
		r.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := r.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("a file was leaked: %v", err)
		}
	})
}
