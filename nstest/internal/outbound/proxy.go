// Package outbound carries TCP connections and UDP flows of an environment to the network that its keeper is in, without
// rights there. One host of the environment ends them, by tproxy rules of nftables (Linux 4.19), and the keeper begins them
// anew outside.
package outbound

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/internal/ns"
)

// What is inside may be hostile: these bound what one environment can take from its keeper.
const (
	maxConns    = 256
	maxFlows    = 256
	dialTimeout = 10 * time.Second
	idleTimeout = time.Minute // of a UDP flow
)

// A Policy says which destinations are allowed.
type Policy struct {
	Allow, Deny []netip.Prefix // without Allow, everything but Deny
}

// permits reports whether a destination is allowed. What is the machine's alone never is.
func (p Policy) permits(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsGlobalUnicast() { // loopback, link-local, multicast, broadcast, unspecified
		return false
	}
	contains := func(list []netip.Prefix) bool {
		for _, prefix := range list {
			if prefix.Contains(a) {
				return true
			}
		}
		return false
	}
	return !contains(p.Deny) && (len(p.Allow) == 0 || contains(p.Allow))
}

// A Proxy ends what one host routes to the outside. The caller closes it.
type Proxy struct {
	policy Policy
	netns  *os.File // of the host
	rules  *rules
	tcp    []net.Listener
	udp    []*net.UDPConn

	ctx  context.Context // ends with the proxy
	stop context.CancelFunc
	done sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]struct{} // all that have to be closed
	flows  map[flowKey]*flow
	active int // TCP connections
	closed bool
}

// Start has the network namespace end what it has no route for. For packets with Mark it must have a default route of type
// local in each family. The file is duplicated.
func Start(netns *os.File, policy Policy) (p *Proxy, err error) {
	fd, err := unix.FcntlInt(netns.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("keep network namespace: %w", err)
	}
	p = &Proxy{policy: policy, netns: os.NewFile(uintptr(fd), "net"), conns: map[net.Conn]struct{}{}, flows: map[flowKey]*flow{}}
	p.ctx, p.stop = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	var ports rulePorts
	err = ns.InNet(p.netns, func() error {
		for _, family := range []string{"4", "6"} {
			if err := p.listen(family, &ports); err != nil && !errors.Is(err, unix.EAFNOSUPPORT) {
				return err
			}
		}
		p.rules, err = install(ports)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("start outbound proxy: %w", err)
	}
	for _, l := range p.tcp {
		p.done.Go(func() { p.acceptAll(l) })
	}
	for _, c := range p.udp {
		p.done.Go(func() { p.receiveAll(c) })
	}
	return p, nil
}

// listen makes the transparent sockets of one family, in the namespace that the thread is in.
func (p *Proxy) listen(family string, ports *rulePorts) error {
	any4 := map[string]string{"4": "0.0.0.0:0", "6": "[::]:0"}[family]
	config := net.ListenConfig{Control: transparent}
	l, err := config.Listen(p.ctx, "tcp"+family, any4)
	if err != nil {
		return err
	}
	p.tcp = append(p.tcp, l)
	u, err := config.ListenPacket(p.ctx, "udp"+family, any4)
	if err != nil {
		return err
	}
	conn := u.(*net.UDPConn)
	p.udp = append(p.udp, conn)
	ports.set(family, uint16(l.Addr().(*net.TCPAddr).Port), uint16(conn.LocalAddr().(*net.UDPAddr).Port))
	return receiveDestination(conn, family)
}

// Close ends every connection and flow. The rules end with the namespace, or now if it lives on.
func (p *Proxy) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	conns := p.conns
	p.conns = nil
	p.mu.Unlock()
	p.stop()
	var errs []error
	if p.rules != nil {
		errs = append(errs, p.rules.remove())
	}
	for _, l := range p.tcp {
		errs = append(errs, l.Close())
	}
	for _, c := range p.udp {
		errs = append(errs, c.Close())
	}
	for c := range conns {
		_ = c.Close() // its own end may be faster
	}
	p.done.Wait()
	return errors.Join(append(errs, p.netns.Close())...)
}

// hold notes a connection that Close has to end; false means that it is too late, and the connection is closed.
func (p *Proxy) hold(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = c.Close()
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

// drop closes a connection.
func (p *Proxy) drop(c net.Conn) {
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
	_ = c.Close()
}
