package keeper

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/ndp"
	"github.com/hermetic-go/nstest/nstest/internal/ns"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// least is the time between two advertisements, so that whoever asks again and again is not answered as often.
const least = 5 * time.Millisecond

// An advertiser sends a router's advertisements for one network: at an interval, and when a host asks.
type advertiser struct {
	network  string
	conn     *net.IPConn
	message  ndp.Advertisement
	bytes    []byte
	interval time.Duration
	started  bool
	stop     chan struct{}
	done     chan struct{} // closed when nothing is sent any more
}

// newAdvertiser is one that is silent until start. Whoever makes it closes it.
func newAdvertiser(h *host, c *cable, ad wire.Advertisement) (*advertiser, error) {
	a := &advertiser{network: ad.Network, message: message(ad, c.network, c), interval: ad.Interval, stop: make(chan struct{}), done: make(chan struct{})}
	if a.interval == 0 {
		a.interval = defaultInterval
	}
	var err error
	if a.bytes, err = a.message.Marshal(); err != nil {
		return nil, err
	}
	netns, err := h.route.NetNS()
	if err != nil {
		return nil, err
	}
	defer netns.Close()
	if err := ns.InNet(netns, func() (err error) { a.conn, err = listenICMPv6(c.index); return err }); err != nil {
		return nil, fmt.Errorf("advertise on network %q: %w", a.network, err)
	}
	return a, nil
}

// listenICMPv6 is a socket that hears router solicitations that arrive by a device, and can send what a router sends.
func listenICMPv6(index int) (*net.IPConn, error) {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_ICMPV6)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), "icmpv6")
	defer f.Close() // the connection has a copy
	for _, o := range []struct{ level, option, value int }{
		{unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, index},
		{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, index},
		{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, ndp.HopLimit},
		{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, 0},
		{unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1},
	} {
		if err := unix.SetsockoptInt(fd, o.level, o.option, o.value); err != nil {
			return nil, os.NewSyscallError("setsockopt", err)
		}
	}
	var others unix.ICMPv6Filter // a bit that is set blocks the type
	for i := range others.Data {
		others.Data[i] = ^uint32(0)
	}
	others.Data[ndp.TypeSolicitation/32] &^= 1 << (ndp.TypeSolicitation % 32)
	if err := unix.SetsockoptICMPv6Filter(fd, unix.IPPROTO_ICMPV6, unix.ICMPV6_FILTER, &others); err != nil {
		return nil, os.NewSyscallError("setsockopt", err)
	}
	group := &unix.IPv6Mreq{Multiaddr: ndp.AllRouters.As16(), Interface: uint32(index)}
	if err := unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, group); err != nil {
		return nil, os.NewSyscallError("setsockopt", err)
	}
	c, err := net.FilePacketConn(f)
	if err != nil {
		return nil, err
	}
	return c.(*net.IPConn), nil
}

func (a *advertiser) start() {
	a.started = true
	go a.run()
}

// run sends until close. What cannot be sent, since the cable is pulled or the device is down, is lost as on a real one.
func (a *advertiser) run() {
	defer close(a.done)
	a.send(a.bytes)
	last := time.Now()
	next := last.Add(a.interval)
	for {
		_ = a.conn.SetReadDeadline(next)
		select {
		case <-a.stop: // close sets a deadline after this one
			return
		default:
		}
		switch asked, err := a.receive(); {
		case errors.Is(err, os.ErrDeadlineExceeded):
			a.send(a.bytes)
			last = time.Now()
			next = last.Add(a.interval)
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // the device is down, or gone
			select {
			case <-a.stop:
				return
			case <-time.After(leastInterval):
			}
		case asked:
			if soon := last.Add(least); soon.Before(next) {
				next = soon
			}
		}
	}
}

// receive waits for a message, and tells whether it is a router solicitation of this link.
func (a *advertiser) receive() (bool, error) {
	var packet [8]byte
	var control [64]byte
	n, c, _, _, err := a.conn.ReadMsgIP(packet[:], control[:])
	if err != nil {
		return false, err
	}
	messages, err := unix.ParseSocketControlMessage(control[:c])
	if err != nil || n < len(packet) || packet[0] != ndp.TypeSolicitation {
		return false, nil
	}
	for _, m := range messages {
		if m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_HOPLIMIT && len(m.Data) >= 4 {
			return binary.NativeEndian.Uint32(m.Data) == ndp.HopLimit, nil
		}
	}
	return false, nil
}

func (a *advertiser) send(message []byte) {
	_, _ = a.conn.WriteToIP(message, &net.IPAddr{IP: net.IP(ndp.AllNodes.AsSlice())})
}

// cease tells hosts that the router is none of theirs any more, once nothing else is sent.
func (a *advertiser) cease() {
	a.halt()
	m := a.message
	m.Lifetime, m.Known = 0, 0
	if last, err := m.Marshal(); err == nil {
		_ = a.conn.SetWriteDeadline(time.Now().Add(leastInterval))
		a.send(last)
	}
}

// halt ends run.
func (a *advertiser) halt() {
	select {
	case <-a.stop:
	default:
		close(a.stop)
	}
	if a.started {
		_ = a.conn.SetDeadline(time.Unix(1, 0))
		<-a.done
	}
}

// close lets go of it in silence.
func (a *advertiser) close() error {
	a.halt()
	return ignoreClosed(a.conn.Close())
}
