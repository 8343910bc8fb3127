package keeper

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/hermetic-go/nstest/nstest/internal/names"
	"github.com/hermetic-go/nstest/nstest/internal/ns"
	"github.com/hermetic-go/nstest/nstest/internal/pid1"
	"github.com/hermetic-go/nstest/nstest/internal/rootfs"
	"github.com/hermetic-go/nstest/nstest/internal/rtnl"
	"golang.org/x/sys/unix"
)

// A plot is where a host is built: a network namespace, as the sockets in it that the keeper works with. They keep it
// alive; a process need not be in it.
type plot struct {
	route    *rtnl.Conn
	udp, tcp *os.File // for DNS
}

// socketsOfHost is how many sockets return from the program of sockets.
const socketsOfHost = 3

// sockets appends to p what makes the sockets that the keeper works with, inside a host: one for netlink and two for
// DNS. The loopback device must be up for these.
func sockets(p *pid1.Program, sysctls []sysctl) {
	ifreq := make([]byte, 40)
	copy(ifreq, "lo")
	binary.NativeEndian.PutUint16(ifreq[16:], unix.IFF_UP|unix.IFF_RUNNING)
	addr := binary.NativeEndian.AppendUint16(nil, unix.AF_INET)
	addr = binary.BigEndian.AppendUint16(addr, 53)
	ip := netip.MustParseAddr(rootfs.Nameserver).As4()
	addr = append(append(addr, ip[:]...), make([]byte, 8)...)
	one := binary.NativeEndian.AppendUint32(nil, 1)
	reuse := func(s pid1.Result) {
		p.Call("set SO_REUSEADDR", unix.SYS_SETSOCKOPT, s.Arg(), pid1.Int(unix.SOL_SOCKET), pid1.Int(unix.SO_REUSEADDR), p.Bytes(one), pid1.Int(4))
	}

	pin(p, sysctls)
	pin(p, []sysctl{deaf})
	p.Return(p.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE))
	udp := p.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK, 0)
	p.Call("set lo up", unix.SYS_IOCTL, udp.Arg(), pid1.Int(unix.SIOCSIFFLAGS), p.Bytes(ifreq))
	reuse(udp)
	p.BindSocket(udp, addr)
	p.Return(udp)
	tcp := p.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	reuse(tcp)
	p.BindSocket(tcp, addr)
	p.Call("listen", unix.SYS_LISTEN, tcp.Arg(), pid1.Int(64))
	p.Return(tcp)
}

// newPlot takes over the files that the program of sockets has returned.
func newPlot(files []*os.File) (*plot, error) {
	route, err := rtnl.FromFile(files[0])
	if err != nil {
		return nil, errors.Join(err, files[1].Close(), files[2].Close())
	}
	return &plot{route: route, udp: files[1], tcp: files[2]}, nil
}

func (p *plot) close() error {
	return errors.Join(p.route.Close(), p.udp.Close(), p.tcp.Close())
}

// plan has the init make plots for n hosts that are still to come, after what it was told to do before.
func (e *environment) plan(n int) {
	if n == 0 {
		return
	}
	var p pid1.Program
	home := p.Open("/proc/self/ns/net", unix.O_RDONLY, 0)
	for range n {
		ns.NewNet(&p)
		sockets(&p, e.server.sysctls)
	}
	ns.EnterNet(&p, home.Arg())
	p.Close(home)
	e.planned = e.agent.Begin(&p)
}

// plot takes over the plots that were planned. After an error the environment is of no use: its init may be anywhere.
func (e *environment) plot() error {
	if e.planned == nil {
		return nil
	}
	files, err := e.planned()
	if err != nil {
		return fmt.Errorf("make plots: %w", err)
	}
	for ; len(files) > 0; files = files[socketsOfHost:] {
		p, err := newPlot(files)
		if err != nil {
			return errors.Join(err, closeAll(files[socketsOfHost:]))
		}
		e.plots = append(e.plots, p)
	}
	return nil
}

// vacant is a plot that nobody has built on; nil if there is none.
func (e *environment) vacant() *plot {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || len(e.plots) == 0 {
		return nil
	}
	p := e.plots[0]
	e.plots = e.plots[1:]
	return p
}

// settle makes the plot the host's.
func (h *host) settle(p *plot, zone *names.Zone) (err error) {
	h.route = p.route
	h.dns, err = names.Serve(zone, h.name, p.udp, p.tcp)
	return err
}
