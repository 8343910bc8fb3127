package names

import (
	"errors"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxConns bounds the file descriptors that one host can take from the keeper. Further clients wait in the
	// socket's backlog until a connection ends, at the latest when it has been idle for eight seconds.
	maxConns = 64
	// acceptPause is how long the listener lets others have the processor when the process has no descriptor left.
	acceptPause = 20 * time.Millisecond
)

// writeTimeout is how long a client may leave an answer unread. Tests change it.
var writeTimeout = 2 * time.Second

// listener is a TCP listener whose connections are bounded in number and end with it.
type listener struct {
	*net.TCPListener
	slots chan struct{} // one element for each connection that is open
	done  chan struct{}

	mu     sync.Mutex
	conns  map[*conn]struct{}
	closed bool
}

func newListener(l *net.TCPListener) *listener {
	return &listener{
		TCPListener: l, slots: make(chan struct{}, maxConns), done: make(chan struct{}), conns: make(map[*conn]struct{}),
	}
}

// Accept waits for a connection and for a free slot. Want of descriptors is waited out here, because the DNS server
// would spin on it.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.done:
		return nil, net.ErrClosed
	}
	for {
		tcp, err := l.AcceptTCP()
		if err == nil {
			return l.add(tcp)
		}
		if !errors.Is(err, unix.EMFILE) && !errors.Is(err, unix.ENFILE) {
			<-l.slots
			return nil, err
		}
		select {
		case <-time.After(acceptPause):
		case <-l.done:
		}
	}
}

func (l *listener) add(tcp *net.TCPConn) (net.Conn, error) {
	c := &conn{TCPConn: tcp, listener: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		_ = tcp.Close()
		<-l.slots
		return nil, net.ErrClosed
	}
	l.conns[c] = struct{}{}
	return c, nil
}

// Close closes the listener and the connections that it accepted. Closing it again does nothing.
func (l *listener) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	conns := l.conns
	l.conns = nil
	l.mu.Unlock()

	close(l.done)
	err := l.TCPListener.Close()
	for c := range conns {
		_ = c.Close()
	}
	return err
}

// conn is a connection of a listener.
type conn struct {
	*net.TCPConn
	listener *listener
	free     sync.Once
}

// Write writes b within writeTimeout.
func (c *conn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return c.TCPConn.Write(b)
}

// Close closes the connection and frees its slot.
func (c *conn) Close() error {
	c.free.Do(func() {
		c.listener.mu.Lock()
		delete(c.listener.conns, c)
		c.listener.mu.Unlock()
		<-c.listener.slots
	})
	return c.TCPConn.Close()
}
