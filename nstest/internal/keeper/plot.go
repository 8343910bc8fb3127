package keeper

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"

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
// DNS. The loopback device must be up for these. They block until somebody uses them: one that does not is registered with
// the runtime's poller for every file that it is on its way, and wakes it each time.
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
	p.Return(p.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE))
	udp := p.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	p.Call("set lo up", unix.SYS_IOCTL, udp.Arg(), pid1.Int(unix.SIOCSIFFLAGS), p.Bytes(ifreq))
	reuse(udp)
	p.BindSocket(udp, addr)
	p.Return(udp)
	tcp := p.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
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
	if n > 0 {
		e.planned = e.makePlots(n)
	}
}

func (e *environment) makePlots(n int) pid1.Ran {
	var p pid1.Program
	home := p.Open("/proc/self/ns/net", unix.O_RDONLY, 0)
	for range n {
		ns.NewNet(&p)
		sockets(&p, e.server.sysctls)
	}
	ns.EnterNet(&p, home.Arg())
	p.Close(home)
	return e.agent.Begin(&p)
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
	e.plots, err = newPlots(files)
	return err
}

// newPlots takes over the files of several plots.
func newPlots(files []*os.File) (plots []*plot, err error) {
	for ; len(files) > 0 && err == nil; files = files[socketsOfHost:] {
		var p *plot
		if p, err = newPlot(files); err == nil {
			plots = append(plots, p)
		}
	}
	return plots, errors.Join(err, closeAll(files))
}

// manyHosts is how many hosts an environment has when the next one gets its plot ahead: while a host is being connected, by
// this process, the init makes the network namespace of the next.
const manyHosts = 3

// planNext has a plot made in the background, where many hosts have come and none is left.
func (e *environment) planNext() {
	e.mu.Lock()
	home := e.hosts[self]
	wanted := e.built >= manyHosts && len(e.plots) == 0 && e.planning == nil && !e.closed && home != nil && home.route != nil
	ready := make(chan struct{})
	if wanted {
		e.planning = ready
	}
	e.mu.Unlock()
	if !wanted {
		return
	}
	go func() {
		defer close(ready)
		files, err := e.makePlots(1)()
		if err != nil {
			e.goHome(home, err) // and no further one is planned: the next host says what is lacking
			return
		}
		plots, err := newPlots(files)
		e.mu.Lock()
		e.planning = nil
		if err == nil && !e.closed {
			e.plots = append(e.plots, plots...)
			plots = nil
		}
		e.mu.Unlock()
		for _, p := range plots {
			_ = p.close() // nobody has used it
		}
	}()
}

// goHome brings the init back into its own network namespace, after what kept it from making another one. If that is
// impossible the environment is of no use.
func (e *environment) goHome(home *host, why error) {
	netns, err := home.route.NetNS()
	if err == nil {
		var p pid1.Program
		ns.EnterNet(&p, p.File(netns))
		_, err = e.agent.Run(&p)
		err = errors.Join(err, netns.Close())
	}
	e.mu.Lock()
	closed := e.closed
	e.mu.Unlock()
	if err != nil && !closed {
		fmt.Fprintf(os.Stderr, "keeper: environment %s: make network namespace: %v\n", e.name(), errors.Join(why, err))
		e.closeLogged()
	}
}

// vacant is a plot that nobody has built on; nil if there is none. It waits for the one that is being made: the init, which
// makes it, would begin with another one only after that.
func (e *environment) vacant(ctx context.Context) *plot {
	e.mu.Lock()
	defer e.mu.Unlock()
	if ready := e.planning; ready != nil && len(e.plots) == 0 {
		e.mu.Unlock()
		select {
		case <-ready:
		case <-ctx.Done():
		}
		e.mu.Lock()
	}
	if e.closed || len(e.plots) == 0 {
		return nil
	}
	p := e.plots[0]
	e.plots = e.plots[1:]
	return p
}

// settle makes the plot the host's. Names are served in it once serving has returned, without an error.
func (h *host) settle(p *plot, zone *names.Zone) (serving func() error) {
	var work sync.WaitGroup
	var err error
	h.route = p.route
	work.Go(func() { err = h.serve(p, zone) })
	return func() error { work.Wait(); return err }
}

// serve has names served in the host.
func (h *host) serve(p *plot, zone *names.Zone) (err error) {
	h.dns, err = names.Serve(zone, h.name, p.udp, p.tcp)
	return err
}
