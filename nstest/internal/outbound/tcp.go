package outbound

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

func (p *Proxy) acceptAll(l net.Listener) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // no file descriptor is left, for now
			select {
			case <-p.ctx.Done():
				return
			case <-time.After(10 * time.Millisecond):
			}
			continue
		}
		p.accept(c.(*net.TCPConn))
	}
}

// accept has a connection carried on, or resets it.
func (p *Proxy) accept(in *net.TCPConn) {
	p.mu.Lock()
	full := p.active >= maxConns
	if !full {
		p.active++
	}
	p.mu.Unlock()
	if full {
		reset(in)
		return
	}
	if !p.hold(in) {
		return
	}
	p.done.Go(func() {
		defer func() {
			p.drop(in)
			p.mu.Lock()
			p.active--
			p.mu.Unlock()
		}()
		p.carry(in)
	})
}

// carry begins the connection outside and copies in both directions until both have ended.
func (p *Proxy) carry(in *net.TCPConn) {
	to := in.LocalAddr().(*net.TCPAddr).AddrPort() // of a transparent socket: where the client wanted to go
	if !p.policy.permits(to.Addr()) {
		reset(in)
		return
	}
	ctx, cancel := context.WithTimeout(p.ctx, dialTimeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", to.String())
	if err != nil {
		reset(in)
		return
	}
	if !p.hold(conn) {
		return
	}
	defer p.drop(conn)
	out := conn.(*net.TCPConn)
	var both sync.WaitGroup
	for _, way := range [][2]*net.TCPConn{{in, out}, {out, in}} {
		both.Go(func() {
			if _, err := io.Copy(way[1], way[0]); err != nil { // a connection that was reset is reset on the other side too
				reset(in)
				reset(out)
				return
			}
			_ = way[1].CloseWrite()
		})
	}
	both.Wait()
}

// reset closes a connection so that its peer sees that it failed.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}
