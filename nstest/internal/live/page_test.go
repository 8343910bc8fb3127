package live

import (
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAddress(t *testing.T) {
	for text, want := range map[string]string{
		"127.0.0.1:8080": "127.0.0.1:8080", "localhost:8080": "127.0.0.1:8080", ":8080": "127.0.0.1:8080", "[::1]:80": "[::1]:80", "0.0.0.0:1": "0.0.0.0:1",
		"8080": "", "127.0.0.1": "", "127.0.0.1:0": "", "page.test:80": "", "127.0.0.1:http": "", "": "",
	} {
		got, err := Address(text)
		if want == "" && err == nil || want != "" && got.String() != want {
			t.Errorf("%q is %v, %v; want %q", text, got, err, want)
		}
	}
}

// A server that stands still keeps a test waiting once, for a limited time; and what came before is there.
func TestTellWhereNobodyListens(t *testing.T) {
	addr := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(1+os.Getpid()%60000))
	door, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: "@nstest-ui/" + strconv.Itoa(os.Geteuid()) + "/" + addr.String(), Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	defer door.Close()
	type greeting struct {
		conn  *net.UnixConn
		files int
		err   error
	}
	greeted := make(chan greeting, 1)
	go func() {
		var g greeting
		defer func() { greeted <- g }()
		if g.conn, g.err = door.AcceptUnix(); g.err != nil {
			return
		}
		buffer, rights := make([]byte, 1<<16), make([]byte, unix.CmsgSpace(8))
		_, n, _, _, err := g.conn.ReadMsgUnix(buffer, rights)
		messages, perr := unix.ParseSocketControlMessage(rights[:n])
		for _, m := range messages {
			fds, err := unix.ParseUnixRights(&m)
			g.files, perr = g.files+len(fds), errors.Join(perr, err)
			for _, fd := range fds {
				perr = errors.Join(perr, unix.Close(fd))
			}
		}
		_, werr := g.conn.Write([]byte(`{"URL":"http://page/"}`))
		g.err = errors.Join(err, perr, werr)
	}()
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	p, err := Join(addr, dir)
	if err != nil {
		t.Fatal(err)
	}
	g := <-greeted
	if g.err != nil || g.files != 2 || p.URL != "http://page/" {
		t.Fatalf("%v, %d files, %q", g.err, g.files, p.URL)
	}
	defer g.conn.Close()
	for i := 1; p.conn != nil; i++ {
		if n := p.Tell(Notice{Test: strings.Repeat("x", 100<<10), State: "running"}); n != i {
			t.Fatalf("test %d has the number %d", i, n)
		}
	}
	if n := p.Tell(Notice{}); n < 2 {
		t.Errorf("the number %d after nobody listens", n)
	}
	buffer := make([]byte, 1<<16)
	n, err := g.conn.Read(buffer)
	var first Notice
	if err = errors.Join(err, json.Unmarshal(buffer[:n], &first)); err != nil || first.Number != 1 || len(first.Test) != maxName {
		t.Errorf("%v: number %d, a name of %d bytes", err, first.Number, len(first.Test))
	}
}

// The run ends with the program that runs the tests of all packages, and that is "go" here.
func TestRunner(t *testing.T) {
	const length = 15 // of a name that the kernel keeps
	if name, _, err := status(os.Getpid()); err != nil || name == "" || !strings.HasPrefix(filepath.Base(os.Args[0]), name[:min(length, len(name))]) {
		t.Errorf("this is %q, %v", name, err)
	}
	run, err := runProcess()
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(run.Fd()), Events: unix.POLLIN}}, 0); err != nil || n != 0 {
		t.Errorf("it has ended: %d, %v", n, err)
	}
}
