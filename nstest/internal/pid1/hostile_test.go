package pid1_test

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/hermetic-go/nstest/nstest/internal/pid1"
	"golang.org/x/sys/unix"
)

// A peer is what speaks in place of an init that the environment's root has taken over.
type peer struct {
	t  *testing.T
	fd int
}

func (p peer) send(msg []byte, fds ...int) {
	p.t.Helper()
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	if err := unix.Sendmsg(p.fd, msg, oob, nil, unix.MSG_NOSIGNAL); err != nil && !errors.Is(err, unix.EPIPE) && !errors.Is(err, unix.ECONNRESET) {
		p.t.Errorf("send: %v", err)
	}
}

// request takes what the agent sends.
func (p peer) request() {
	p.t.Helper()
	oob := make([]byte, 1000)
	_, n, _, _, err := unix.Recvmsg(p.fd, make([]byte, 70_000), oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		p.t.Errorf("receive: %v", err)
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil {
		p.t.Errorf("receive: %v", err)
	}
	for i := range msgs {
		fds, _ := unix.ParseUnixRights(&msgs[i])
		for _, fd := range fds {
			unix.Close(fd)
		}
	}
}

func say(kind, op, errno, pid int32, rest ...byte) []byte {
	var b []byte
	for _, v := range []int32{kind, op, errno, pid} {
		b = binary.NativeEndian.AppendUint32(b, uint32(v))
	}
	return append(b, rest...)
}

const reply, exit = 1, 2

// Whatever comes instead of an answer: the request ends with an error, nothing hangs, and nothing is left open.
func TestHostileInit(t *testing.T) {
	for _, c := range []struct {
		name string
		act  func(p peer, fd int)
		gone bool // it is hung up on
	}{
		{"nothing", func(p peer, _ int) {}, true},
		{"empty message with a file", func(p peer, fd int) { p.send(nil, fd) }, true},
		{"short message", func(p peer, fd int) { p.send([]byte("short"), fd, fd) }, true},
		{"unknown kind", func(p peer, fd int) { p.send(say(77, -1, 0, 0), fd) }, true},
		{"long message", func(p peer, fd int) { p.send(append(say(reply, -1, 0, 0), make([]byte, 5000)...), fd) }, true},
		{"more files than fit", func(p peer, fd int) {
			var many []int
			for range 200 {
				many = append(many, fd)
			}
			p.send(say(reply, -1, 0, 1), many...)
		}, true},
		{"files nobody wants", func(p peer, fd int) { p.send(say(reply, -1, 0, 0), fd, fd, fd) }, true},
		{"negative pid", func(p peer, fd int) { p.send(say(reply, -1, 0, -5), fd) }, true},
		{"exit with a file", func(p peer, fd int) { p.send(say(exit, -1, 0, 1), fd) }, true},
		{"errno 0", func(p peer, _ int) { p.send(say(reply, 0, 0, 0)) }, false},
		{"large errno", func(p peer, _ int) { p.send(say(reply, 0, 1<<30, 0)) }, false},
		{"call that is not there", func(p peer, _ int) { p.send(say(reply, 1<<30, 1, 0)) }, false},
		{"error with a file", func(p peer, fd int) { p.send(say(reply, 0, 1, 0), fd) }, true},
		{"ends of nobody", func(p peer, _ int) {
			for pid := range int32(50) {
				p.send(say(exit, -1, 0, pid))
			}
			p.send(say(reply, 3, 5, 0))
		}, false},
		{"noise", func(p peer, fd int) {
			r := rand.New(rand.NewPCG(1, 2))
			for range 20 {
				b := make([]byte, r.IntN(3000))
				for i := range b {
					b[i] = byte(r.Uint32())
				}
				p.send(b, fd)
			}
		}, true},
	} {
		for _, method := range []string{"Run", "Start", "Fork"} {
			t.Run(c.name+"/"+method, func(t *testing.T) {
				checkLeaks(t)
				a, p := fakeInit(t)
				null, err := os.Open(os.DevNull)
				check(t, err)
				defer null.Close()
				done := make(chan struct{})
				defer func() { a.Close(); <-done }()
				go func() {
					defer close(done)
					defer unix.Close(p.fd)
					p.request()
					c.act(p, int(null.Fd()))
					if !c.gone {
						p.request() // until the agent hangs up
					}
				}()
				err = ask(a, method)
				if err == nil {
					t.Error("no error")
				}
				if c.gone {
					if <-a.Gone(); !errors.Is(err, pid1.ErrGone) {
						t.Errorf("got %v", err)
					}
				}
				check(t, a.Close())
			})
		}
	}
}

func fakeInit(t *testing.T) (*pid1.Agent, peer) {
	t.Helper()
	ours, theirs, err := pid1.Socket()
	check(t, err)
	defer theirs.Close()
	fd, err := unix.FcntlInt(theirs.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	check(t, err)
	a := pid1.NewAgent(ours)
	return a, peer{t, fd}
}

// ask makes a request that returns one file, or none.
func ask(a *pid1.Agent, method string) error {
	var p pid1.Program
	switch method {
	case "Run":
		p.Chdir("/")
		_, err := a.Run(&p)
		return err
	case "Start":
		p.Exec([]string{"/bin/true"}, []string{"true"}, nil)
		_, err := a.Start(&p)
		return err
	default:
		_, _, err := a.Fork(0)
		return err
	}
}

// An answer that comes before the question is not taken for its answer.
func TestUnsolicitedReply(t *testing.T) {
	checkLeaks(t)
	a, p := fakeInit(t)
	null, err := os.Open(os.DevNull)
	check(t, err)
	defer null.Close()
	p.send(say(reply, -1, 0, 0), int(null.Fd()))
	<-a.Gone()
	if err := ask(a, "Run"); !errors.Is(err, pid1.ErrGone) {
		t.Errorf("Run: %v", err)
	}
	check(t, unix.Close(p.fd))
}

// A second child with the number of a living one would hide the first one's end.
func TestChildNumberedTwice(t *testing.T) {
	checkLeaks(t)
	a, p := fakeInit(t)
	null, err := os.Open(os.DevNull)
	check(t, err)
	defer null.Close()
	go func() {
		for range 2 {
			p.request()
			p.send(say(reply, -1, 0, 9), int(null.Fd()))
		}
	}()
	var prog pid1.Program
	prog.Exec([]string{"/bin/true"}, []string{"true"}, nil)
	c, err := a.Start(&prog)
	check(t, err)
	if _, err := a.Start(&prog); !errors.Is(err, pid1.ErrGone) {
		t.Errorf("second: %v", err)
	}
	<-c.Done()
	if !c.Exit().Lost {
		t.Errorf("exit %+v", c.Exit())
	}
	check(t, c.PIDFD.Close())
	<-a.Gone()
	check(t, unix.Close(p.fd))
}

// Close ends the wait for an init that says nothing.
func TestCloseEndsARequest(t *testing.T) {
	checkLeaks(t)
	a, p := fakeInit(t)
	done := make(chan error)
	go func() { done <- ask(a, "Run") }()
	p.request()
	check(t, a.Close())
	if err := <-done; !errors.Is(err, pid1.ErrGone) {
		t.Errorf("Run: %v", err)
	}
	<-a.Gone()
	check(t, unix.Close(p.fd))
}
