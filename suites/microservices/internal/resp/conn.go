package resp

import (
	"bufio"
	"context"
	"fmt"
	"net"
)

// A Conn is a client's connection to a store. It is for one goroutine.
type Conn struct {
	conn   net.Conn
	reader *bufio.Reader
	stop   func() bool
}

// Dial connects to a store. ctx bounds the connection's whole life: when it is done, commands fail. The caller closes
// the connection.
func Dial(ctx context.Context, address string) (*Conn, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return NewConn(ctx, conn), nil
}

// NewConn is Dial for a connection that exists already.
func NewConn(ctx context.Context, conn net.Conn) *Conn {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	return &Conn{conn: conn, reader: bufio.NewReader(conn), stop: stop}
}

// Do sends a command and returns the reply: ErrNil for nil, an Error for an error.
func (c *Conn) Do(args ...string) (string, error) {
	if err := WriteCommand(c.conn, args...); err != nil {
		return "", fmt.Errorf("send %s: %w", args[0], err)
	}
	reply, err := ReadReply(c.reader)
	if err != nil {
		return "", fmt.Errorf("%s: %w", args[0], err)
	}
	return reply, nil
}

// Close closes the connection.
func (c *Conn) Close() {
	c.stop()
	_ = c.conn.Close()
}
