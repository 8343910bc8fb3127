package keeper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hermetic-go/nstest/nstest/internal/firewall"
	"github.com/hermetic-go/nstest/nstest/internal/lan"
	"github.com/hermetic-go/nstest/nstest/internal/names"
	"github.com/hermetic-go/nstest/nstest/internal/ns"
	"github.com/hermetic-go/nstest/nstest/internal/outbound"
	"github.com/hermetic-go/nstest/nstest/internal/pid1"
	"github.com/hermetic-go/nstest/nstest/internal/record"
	"github.com/hermetic-go/nstest/nstest/internal/rootfs"
	"github.com/hermetic-go/nstest/nstest/internal/rtnl"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// A host is a network namespace with an init and what hangs on it. The environment's own host has the environment's
// init.
type host struct {
	name   string
	serial uint64 // wire.HostResult.Number
	own    rootfs.Own
	agent  *pid1.Agent // leads to the init; awake has it where parent is not nil
	child  *pid1.Child // the init; nil for the environment's own

	parent *pid1.Agent // forks the init when it is needed; nil for a host that was made with one
	waking sync.Mutex  // guards agent and child where parent is not nil, and asleep
	asleep bool        // for good: no init is to be had any more

	route    *rtnl.Conn // made inside the host
	dns      *names.Server
	outbound *outbound.Proxy // nil for all but one

	defaults [2]hop // its default routes to gateways of its networks: IPv4, IPv6; guarded by the environment's mutex
	router   *routing
	fence    *fence           // its firewall; guarded by the environment's mutex, as is filter
	filter   *firewall.Filter // made for the first firewall

	ended    []record.Ended // those of its processes that have ended badly; guarded by the environment's mutex
	looking  chan struct{}  // takes one who looks at the host (see view): one that waits for ever is the last
	changing sync.Mutex     // held by whoever changes the cables; taken before the environment's mutex
	mu       sync.Mutex     // guards what can be read of the cables; taken after it
	cables   []*cable
	loans    []*loaned
	declared declared
	services
	once sync.Once
	err  error
}

// addresses are all addresses on cables.
func addresses(cables []*cable) []netip.Addr {
	var list []netip.Addr
	for _, c := range cables {
		for _, a := range c.addrs {
			list = append(list, a.Addr())
		}
	}
	return list
}

func (c *cable) name() string { return fmt.Sprintf("eth%d", c.index-2) }

var hosts atomic.Uint64 // how many there have been

func newHost(name string, agent *pid1.Agent) *host {
	return &host{name: name, serial: hosts.Add(1), agent: agent, looking: make(chan struct{}, 1)}
}

func (h *host) result() wire.HostResult {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := wire.HostResult{Name: h.name, Number: h.serial}
	for _, c := range h.cables {
		r.Links = append(r.Links, c.result())
	}
	return r
}

func (h *host) addrs() []netip.Addr {
	var list []netip.Addr
	for _, l := range h.result().Links {
		list = append(list, l.Addrs...)
	}
	return list
}

// boot takes over the sockets that the host's first program has made.
func (h *host) boot(made pid1.Ran, zone *names.Zone) error {
	files, err := made()
	if err != nil {
		return &stepError{"make sockets", err}
	}
	if !h.own.Net {
		return nil
	}
	p, err := newPlot(files)
	if err != nil {
		return err
	}
	h.route = p.route
	return h.serve(p, zone)
}

// attach plugs cables into the host and returns when frames pass through them.
func (h *host) attach(ctx context.Context, e *environment, cables []*cable) error {
	netns, err := h.route.NetNS()
	if err != nil {
		return err
	}
	defer netns.Close()
	if err := e.owns(netns); err != nil {
		return err
	}
	h.mu.Lock()
	before := slices.Clone(h.cables)
	h.mu.Unlock()
	index := 2 + len(before)
	var msgs rtnl.Batch
	for i, c := range cables {
		c.index = index + i
		if c.network.overlay != nil {
			if err := c.lay(h, append(before, cables[:i]...)); err != nil {
				return err
			}
			c.configure(&msgs)
			continue
		}
		ids, err := c.network.lan.Attach(ctx, lan.Port{NetNS: netns, Name: c.name(), Index: c.index, MAC: c.mac, MTU: c.mtu})
		if err != nil {
			return err
		}
		c.port = ids[0]
		c.label(c.port, h.name)
		c.configure(&msgs)
	}
	if err := h.route.Send(&msgs); err != nil {
		return err
	}
	if err := heed(netns, cables); err != nil {
		return err
	}
	for _, c := range cables {
		if err := c.wait(ctx, h.route); err != nil {
			return err
		}
		if err := e.introduce(h, c); err != nil {
			return err
		}
	}
	h.mu.Lock()
	h.cables = append(h.cables, cables...)
	h.mu.Unlock()
	return nil
}

// close lets go of the host; its init has ended or ends with the environment's.
func (h *host) close() error {
	h.once.Do(func() {
		var errs []error
		if h.route != nil { // first: whoever waits for a device in the host does so no longer
			errs = append(errs, ignoreClosed(h.route.Close()))
		}
		errs = append(errs, h.end())
		if h.outbound != nil {
			errs = append(errs, h.outbound.Close())
		}
		if h.dns != nil {
			errs = append(errs, ignoreClosed(h.dns.Close()))
		}
		errs = append(errs, h.closeFilter())
		if h.lull() {
			errs = append(errs, h.child.PIDFD.Close())
			if h.agent != nil {
				errs = append(errs, ignoreClosed(h.agent.Close()))
			}
		}
		h.err = errors.Join(errs...)
	})
	return h.err
}

// owns refuses a network namespace that is not the environment's. The init that handed it over may have been taken
// over by the environment's root, and what we do there we do with our rights.
func (e *environment) owns(netns *os.File) error {
	if e.params.Privileged {
		return nil
	}
	ok, err := ns.OwnedBy(netns, e.userNS)
	if err != nil {
		return err
	}
	if !ok {
		return refuse(unix.EPERM, "the host's network namespace is not the environment's")
	}
	return nil
}

func (e *environment) addHost(ctx context.Context, p wire.HostParams) (*host, error) {
	return e.makeHost(ctx, p, nil)
}

// makeHost makes a host, which is a router unless r is nil. When it fails, nothing of it is left.
func (e *environment) makeHost(ctx context.Context, p wire.HostParams, r *routing) (_ *host, err error) {
	if err := checkHostname(p.Name); err != nil {
		return nil, err
	}
	k := key(p.Name)
	if k == self || k == key(e.params.Hostname) || k == "localhost" {
		return nil, refuse(unix.EEXIST, "host name %q is reserved", p.Name)
	}
	if err := checkHostRoot(p); err != nil {
		return nil, err
	}
	cables, err := e.enter(k, p, r)
	if err != nil {
		return nil, err
	}
	h := newHost(p.Name, nil)
	h.router = r
	h.own = rootfs.Own{PID: !p.SharePID && !p.NetOnly, Net: true, IPC: !p.ShareIPC && !p.NetOnly, UTS: !p.NetOnly}
	defer func() {
		if err != nil {
			err = errors.Join(e.cause(err), e.drop(k, h, cables))
		}
	}()
	root, err := e.hostRoot(p, h.own, addresses(cables))
	if err != nil {
		return nil, &stepError{"build root", err}
	}
	defer func() { err = errors.Join(err, root.close()) }() // the init has attached what it needs of it
	e.tally()
	if pl := e.vacant(ctx); pl != nil && p.NetOnly {
		err = h.build(ctx, e, pl, cables)
	} else {
		err = h.furnish(ctx, e, pl, cables, root)
	}
	if err == nil && r != nil {
		err = r.begin(h)
	}
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.closedError(); err != nil {
		return nil, err
	}
	if err := e.zone.Set(p.Name, h.addrs()); err != nil {
		return nil, err
	}
	e.hosts[k] = h
	if err := e.welcome(h); err != nil {
		e.hosts[k] = nil // nobody finds it while it is taken apart
		return nil, err
	}
	e.wake()
	e.recordHost(h)
	return h, nil
}

// build makes a host on a plot and has nothing else of its own. Its init comes when there is something to do for one: awake.
func (h *host) build(ctx context.Context, e *environment, pl *plot, cables []*cable) error {
	h.parent = e.agent
	served := h.settle(pl, e.zone)
	e.planNext()
	err := ctx.Err()
	if err == nil {
		if err = h.attach(ctx, e, cables); err != nil {
			err = &stepError{"attach network", err}
		}
	}
	return cmp.Or(err, served())
}

// furnish makes a host with an init, on a plot if there is one, and with a root unless it has nothing but a network of its
// own: this one, or where that is nil the environment's with a host's own directories.
func (h *host) furnish(ctx context.Context, e *environment, pl *plot, cables []*cable, own *hostRoot) error {
	var kinds ns.Kinds
	if h.own.UTS {
		kinds |= ns.Mount | ns.UTS
	}
	if h.own.PID {
		kinds |= ns.PID
	}
	if h.own.IPC {
		kinds |= ns.IPC
	}
	var network, root pid1.Program
	served := func() error { return nil }
	if pl != nil {
		served = h.settle(pl, e.zone)
		defer func() { _ = served() }() // before anything is taken apart
		netns, err := h.route.NetNS()
		if err != nil {
			return err
		}
		defer netns.Close()
		ns.EnterNet(&network, network.File(netns))
	} else {
		kinds |= ns.Net
		sockets(&network, e.server.sysctls)
	}
	programs := []*pid1.Program{&network}
	switch {
	case !kinds.Has(ns.Mount):
	case own == nil:
		e.root.Host(&root, h.name, h.own, addresses(cables))
		programs = append(programs, &root)
	default:
		programs = append(programs, own.next())
	}
	agent, forked, ran, err := e.agent.BeginFork(uintptr(kinds), programs...)
	if err != nil {
		return &stepError{"start init", err}
	}
	fork := func() error {
		child, err := forked()
		if err != nil {
			return &stepError{"start init", errors.Join(forkError(err), agent.Close())}
		}
		h.agent, h.child = agent, child
		return nil
	}
	e.planNext()
	// The host makes its root while its cables are plugged in. Where it is built on a plot, its init is forked meanwhile too.
	if pl == nil {
		if err = fork(); err != nil {
			return err
		}
		err = h.boot(ran[0], e.zone)
	}
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		if err = h.attach(ctx, e, cables); err != nil {
			err = &stepError{"attach network", err}
		}
	}
	if pl != nil {
		if ferr := fork(); ferr != nil {
			return cmp.Or(err, ferr)
		}
		if _, nerr := ran[0](); err == nil && nerr != nil {
			err = &stepError{"enter network namespace", nerr}
		}
	}
	for _, root := range ran[1:] {
		files, rerr := root()
		switch {
		case err != nil:
			_ = closeAll(files)
		case rerr != nil:
			err = own.failure(rerr)
		case own != nil:
			err = own.finish(agent, files)
		}
	}
	return cmp.Or(err, served())
}

// cause is what err comes from, where that is the end of the environment.
func (e *environment) cause(err error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return cmp.Or(e.closedError(), err)
}

// welcome has what is in force hold for a host that is one of the environment's now. The mutex is held.
func (e *environment) welcome(h *host) error {
	if err := e.guide(h); err != nil {
		return err
	}
	if len(e.faults) > 0 { // one that names this host holds for it, also when the host was removed and is back
		if err := e.enforce(); err != nil {
			return err
		}
	}
	return e.fenceAgain() // likewise for a firewall
}

// enter reserves the host's name and addresses.
func (e *environment) enter(k string, p wire.HostParams, r *routing) ([]*cable, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.closedError(); err != nil {
		return nil, err
	}
	if _, taken := e.hosts[k]; taken {
		return nil, refuse(unix.EEXIST, "a host %q exists already", p.Name)
	}
	wanted := p.Networks
	if len(wanted) == 0 && len(e.networks) > 0 {
		wanted = []wire.Attachment{{}}
	}
	var cables []*cable
	for _, a := range wanted {
		c, err := e.draw(p.Name, r, a, cables)
		if n, nerr := e.network(a.Network); nerr == nil && slices.ContainsFunc(cables, func(c *cable) bool { return c.network == n }) {
			err = refuse(unix.EINVAL, "host %q is to be on network %q twice", p.Name, n.name)
		}
		if err != nil {
			for _, c := range cables {
				c.giveBack(p.Name)
			}
			return nil, err
		}
		cables = append(cables, c)
	}
	e.hosts[k] = nil // the name is taken; nobody finds the host before it is ready
	return cables, nil
}

// drop undoes addHost, or removes a host.
func (e *environment) drop(k string, h *host, cables []*cable) error {
	var errs []error
	awake := h.lull()
	if awake && h.route != nil && !h.own.PID {
		errs = append(errs, h.sweep())
	}
	if awake {
		if err := unix.PidfdSendSignal(int(h.child.PIDFD.Fd()), unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, fmt.Errorf("kill init: %w", err))
		}
		<-h.child.Done()
	}
	for _, c := range cables {
		errs = append(errs, c.unplug())
	}
	errs = append(errs, h.giveBackAll(e.server), h.close())
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.hosts, k)
	e.wake()
	e.zone.Remove(h.name)
	for _, c := range cables {
		c.giveBack(h.name)
	}
	errs = append(errs, e.misguide(cables), e.fenceAgain())
	return errors.Join(errs...)
}

// sweep kills every process of a host that has no PID namespace, its init included.
func (h *host) sweep() error {
	netns, err := h.route.NetNS()
	if err != nil {
		return err
	}
	return errors.Join(sweep(netns, "net"), netns.Close())
}

func (e *environment) removeHost(name string) error {
	h, err := e.host(name)
	if err != nil {
		return err
	}
	if h.parent == nil && h.child == nil {
		return refuse(unix.EBUSY, "host %q is the environment's own", name)
	}
	return e.remove(h)
}

// remove takes a host away that somebody else may be removing.
func (e *environment) remove(h *host) error {
	k := key(h.name)
	e.mu.Lock()
	if err := e.closedError(); err != nil {
		e.mu.Unlock()
		return err
	}
	first := e.hosts[k] == h
	if first {
		e.hosts[k] = nil // nobody finds it any more, and the name stays taken until nothing of it is left
	}
	e.mu.Unlock()
	if !first {
		return refuse(unix.ENOENT, "host %q is being removed", h.name)
	}
	h.changing.Lock() // whoever changes its cables is done
	defer h.changing.Unlock()
	e.mu.Lock()
	for _, c := range h.cables {
		e.endFlap(c)
	}
	e.mu.Unlock()
	err := e.drop(k, h, h.cables)
	e.record(record.Event{Kind: record.KindHost, Host: h.name, State: "gone"})
	return err
}
