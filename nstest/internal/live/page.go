// Package live tells the page that NSTEST_UI asks for what runs.
//
// The page is served by another process, "nstest ui", of which there is one for an address however many programs have tests at the
// same time: what serves and draws it is in no test's program. It is found by an abstract Unix socket (unix(7)), in this network
// namespace, whose name has the user and the address; who does not find it starts it. A program tells of the beginning and the
// end of each test, and the server reads the bundles that are written meanwhile. With the first message go a pidfd of the
// process with which the run ends, so that the server ends with it whatever becomes of everybody, and the directory in which
// bundles are that nobody has asked for: it is in memory and mounted nowhere, so nothing of it can be left.
package live

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The messages, each a packet of JSON. Package cmd/nstest/internal/live has the other end.
type (
	hello struct {
		Version int
		Scratch bool
	}

	welcome struct {
		URL   string
		Error string
	}

	// A Notice says that a test begins or has ended.
	Notice struct {
		Number   int // from 1 on, of this program
		Test     string
		Suite    string
		Package  string
		Attempt  int
		Began    time.Time
		Path     string // of the bundle: absolute, or a name in the directory in memory
		Redacted bool   // nothing of it is to be shown before it is over
		State    string // "running"; "passed", "skipped"; or what a manifest says of a failure
		Message  string // of the failure
	}
)

const version = 1

// A Page is the connection to the server of a page. Its methods may be called from any goroutine.
type Page struct {
	URL string

	mu   sync.Mutex
	conn *net.UnixConn // nil when the server has gone, or does not listen
	last int
}

// Address is what a value of NSTEST_UI means: IP:PORT, of a loopback address or another one, or localhost:PORT or :PORT, which
// are 127.0.0.1:PORT.
func Address(text string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if host == "" || host == "localhost" {
		host = "127.0.0.1"
	}
	addr, err := netip.ParseAddrPort(net.JoinHostPort(host, port))
	if err == nil && addr.Port() == 0 {
		err = errors.New("nobody would know the port 0: say which one")
	}
	return addr, err
}

// patience is how long a server may take to answer, or to be there.
const patience = time.Minute

// Join finds the server of the page at an address, or starts it. scratch is an open directory for it to read bundles in, or nil.
func Join(addr netip.AddrPort, scratch *os.File) (*Page, error) {
	run, err := runProcess()
	if err != nil {
		return nil, err
	}
	defer run.Close()
	for end := time.Now().Add(patience); ; {
		conn, err := dial(addr)
		if err == nil {
			var p *Page
			if p, err = greet(conn, run, scratch); err == nil {
				return p, nil
			}
			err = errors.Join(err, conn.Close())
		}
		if !gone(err) || time.Now().After(end) {
			return nil, err
		}
		if err := start(addr); err != nil {
			return nil, err
		}
	}
}

// gone reports whether an error says that nobody is there, or not any more.
func gone(err error) bool {
	return errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE) || errors.Is(err, errNoAnswer)
}

var errNoAnswer = errors.New("the server of the page has ended")

// dial connects to the server of this user, and of nobody else: it is told what tests do.
func dial(addr netip.AddrPort) (*net.UnixConn, error) {
	name := fmt.Sprintf("@nstest-ui/%d/%s", os.Geteuid(), addr)
	conn, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: name, Net: "unixpacket"})
	if err != nil {
		return nil, err
	}
	raw, err := conn.SyscallConn()
	if err == nil {
		cerr := raw.Control(func(fd uintptr) {
			var cred *unix.Ucred
			if cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil && int(cred.Uid) != os.Geteuid() {
				err = fmt.Errorf("user %d serves a page under this user's name", cred.Uid)
			}
		})
		err = errors.Join(err, cerr)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

func greet(conn *net.UnixConn, run, scratch *os.File) (*Page, error) {
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	fds := []int{int(run.Fd())}
	if scratch != nil {
		fds = append(fds, int(scratch.Fd()))
	}
	data, err := json.Marshal(hello{version, scratch != nil})
	if err != nil {
		return nil, err
	}
	if _, _, err := conn.WriteMsgUnix(data, unix.UnixRights(fds...), nil); err != nil {
		return nil, err
	}
	var w welcome
	buffer := make([]byte, 64<<10)
	n, err := conn.Read(buffer)
	switch {
	case n == 0 && (err == nil || !errors.Is(err, os.ErrDeadlineExceeded)):
		return nil, errNoAnswer
	case err != nil:
		return nil, err
	}
	if err := json.Unmarshal(buffer[:n], &w); err != nil {
		return nil, err
	}
	if w.Error != "" {
		return nil, errors.New(w.Error)
	}
	return &Page{URL: w.URL, conn: conn}, conn.SetDeadline(time.Time{})
}

// The bounds of what is told, in bytes.
const (
	maxName    = 8 << 10
	maxMessage = 8 << 10
)

// slow is how long a server may keep a test waiting before it is told nothing more.
const slow = time.Second

// Tell tells of the beginning of a test, which has the number 0 and gets one, or of the end of the one that has this number.
func (p *Page) Tell(n Notice) (number int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n.Number == 0 {
		p.last++
		n.Number = p.last
	}
	n.Test, n.Suite, n.Message = n.Test[:min(len(n.Test), maxName)], n.Suite[:min(len(n.Suite), maxName)], n.Message[:min(len(n.Message), maxMessage)]
	data, err := json.Marshal(n)
	if err != nil || p.conn == nil {
		return n.Number
	}
	if err = p.conn.SetWriteDeadline(time.Now().Add(slow)); err == nil {
		_, err = p.conn.Write(data)
	}
	if err != nil { // no test fails for that
		_ = p.conn.Close()
		p.conn = nil
	}
	return n.Number
}
