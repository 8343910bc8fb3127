// Package dial makes connections and listeners of package net from sockets that were made inside a host.
//
// A socket belongs for good to the network namespace that it was made in, whoever holds it. So only its making, binding
// and listening happen inside; the results are plain *net.TCPConn, *net.UDPConn, *net.UnixConn and their listeners, which
// any goroutine of any process can use. No namespace is joined.
package dial

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

const (
	// fallbackDelay is how long the first address family has for itself (RFC 8305, section 5, and net.Dialer).
	fallbackDelay = 300 * time.Millisecond
	// minAttempt is the least time for one of several addresses, where the deadline leaves that much.
	minAttempt = 2 * time.Second
	// selfConnects is how often a TCP connection to itself, which the kernel can make on loopback by picking the
	// destination as the source port, is given up for a new one.
	selfConnects = 2
)

// Socketer makes sockets inside one host.
type Socketer interface {
	// Socket makes the socket that spec describes; spec.Host is the implementer's to fill in. V6Only is the value that
	// IPV6_V6ONLY must have on an AF_INET6 socket, false too. Connect on an AF_UNIX socket waits for the connection.
	// An error wraps the system call's *os.SyscallError, or at least its syscall.Errno. The caller closes the file.
	Socket(ctx context.Context, spec wire.SocketParams) (*os.File, error)
}

// Dialer connects and listens as one host. Its methods follow net.Dialer, net.ListenConfig and net.Resolver, and return
// their errors: *net.OpError around *os.SyscallError, *net.DNSError, *net.AddrError. They are safe for concurrent use.
//
// What differs from package net, all of it because the host is not where the caller is:
//   - Names are asked of Nameserver alone; localhost and the names below it are the loopback addresses, IPv4 first.
//   - Addresses come in the order of RFC 6724's policy table, and as the server gave them within a family.
//   - The zone of an IPv6 address is an interface of the host: lo is index 1, ethN is index N+2, a number is an index.
//     Package net names the zones of addresses that it returns, and finds those given to WriteTo, by the interfaces of
//     the calling process; a number always works.
//   - A path of a unix socket is one of the host's tree (a relative one starts at its root). A listener does not remove
//     its path on Close.
//   - Listeners use TCP, not MPTCP. A multicast address to listen on is bound as it is, and no group is joined.
type Dialer struct {
	Sockets    Socketer
	Nameserver netip.AddrPort // of the host's DNS server; the zero value resolves nothing but localhost

	headStart time.Duration // for tests; 0 = fallbackDelay
}

// DialContext connects to address, as net.Dialer's DialContext: network is tcp, tcp4, tcp6, udp, udp4, udp6, unix,
// unixgram or unixpacket. A host name with addresses in both families is dialed as RFC 8305 has it (tcp) or address by
// address. ctx bounds the call, not the connection.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	refuse := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	n, err := parseNetwork(network)
	if err != nil {
		return refuse(err)
	}
	if address == "" {
		return refuse(errMissingAddress)
	}
	list, err := d.resolve(ctx, n, address)
	if err != nil {
		return refuse(err)
	}
	for i, e := range list {
		if !n.isUnix() && e.isWildcard() {
			list[i] = e.at(local(n))
		}
	}
	if n.family != unix.AF_UNSPEC || n.isPacket() {
		return d.dialSerial(ctx, n, list)
	}
	var first, second []endpoint
	for _, e := range list {
		if e.ip.Addr().Is4() == list[0].ip.Addr().Is4() {
			first = append(first, e)
		} else {
			second = append(second, e)
		}
	}
	return d.dialParallel(ctx, n, first, second)
}

// local is the address that stands for "this host" when none is given, as in package net.
func local(n network) netip.Addr {
	if n.family == unix.AF_INET6 {
		return netip.IPv6Loopback()
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

// dialParallel gives first a head start, or until it has failed, and returns whichever list connects
// first; the other's connection is closed. When both fail the error is that of first.
func (d *Dialer) dialParallel(ctx context.Context, n network, first, second []endpoint) (net.Conn, error) {
	if len(second) == 0 {
		return d.dialSerial(ctx, n, first)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	returned := make(chan struct{})
	defer close(returned)
	type result struct {
		conn    net.Conn
		err     error
		primary bool
	}
	results := make(chan result)
	race := func(primary bool, list []endpoint) {
		conn, err := d.dialSerial(ctx, n, list)
		select {
		case results <- result{conn, err, primary}:
		case <-returned:
			if conn != nil {
				_ = conn.Close()
			}
		}
	}

	go race(true, first)
	timer := time.NewTimer(cmp.Or(d.headStart, fallbackDelay))
	defer timer.Stop()
	var firstErr error
	for running, fallback := 1, false; ; {
		select {
		case <-timer.C:
		case r := <-results:
			if r.err == nil {
				return r.conn, nil
			}
			running--
			if r.primary {
				firstErr = r.err
			}
			if running == 0 && fallback {
				return nil, firstErr
			}
		}
		if !fallback {
			fallback = true
			running++
			go race(false, second)
		}
	}
}

// dialSerial connects to the first of list that can be; the error is that of the first.
func (d *Dialer) dialSerial(ctx context.Context, n network, list []endpoint) (net.Conn, error) {
	var first error
	for i, e := range list {
		conn, err := func() (net.Conn, error) {
			attempt, cancel := attemptContext(ctx, len(list)-i)
			defer cancel()
			conn, err := d.dialOne(attempt, n, e)
			return conn, plain(attempt, err)
		}()
		if err == nil {
			return conn, nil
		}
		if first == nil {
			first = &net.OpError{Op: "dial", Net: n.name, Addr: e.addr(n), Err: err}
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, first
}

// attemptContext gives the next of left addresses its share of the time that remains.
func attemptContext(ctx context.Context, left int) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok || left == 1 {
		return context.WithCancel(ctx)
	}
	remaining := time.Until(deadline)
	return context.WithTimeout(ctx, max(remaining/time.Duration(left), min(remaining, minAttempt)))
}

// dialOne makes a socket in the host and connects it to e.
func (d *Dialer) dialOne(ctx context.Context, n network, e endpoint) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if n.isUnix() {
		_, raw, err := e.raw(n)
		if err != nil {
			return nil, os.NewSyscallError("connect", unix.EINVAL)
		}
		f, err := d.Sockets.Socket(ctx, wire.SocketParams{Family: unix.AF_UNIX, Type: n.typ, Connect: raw})
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return net.FileConn(f)
	}
	family, sa, err := e.sockaddr()
	if err != nil {
		return nil, err
	}
	for try := 0; ; try++ {
		f, err := d.Sockets.Socket(ctx, wire.SocketParams{Family: family, Type: n.typ, V6Only: n.family == unix.AF_INET6})
		if err != nil {
			return nil, err
		}
		conn, err := connect(ctx, f, sa, n)
		_ = f.Close()
		if err != nil || n.isPacket() || try == selfConnects || conn.LocalAddr().String() != conn.RemoteAddr().String() {
			return conn, err
		}
		_ = conn.Close()
	}
}
