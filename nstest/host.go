package nstest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/dial"
	"github.com/hermetic-go/nstest/nstest/internal/ns"
	"github.com/hermetic-go/nstest/nstest/internal/rootfs"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// errExists is the errno of a name that is taken.
const errExists = syscall.EEXIST

// HostConfig describes a host. Only Name is required.
type HostConfig struct {
	// Name is the host's name, in DNS and of the machine: letters, digits, hyphens and underscores, up to 63 characters a
	// label and 64 in all. Case does not matter.
	Name string

	// Networks are the networks that it is on, as eth0, eth1, ... in this order. Default: the environment's first one,
	// with automatic addresses.
	Networks []Attachment

	// PID and IPC say whether the host has a namespace of that kind of its own, or is in the environment's.
	PID, IPC Sharing

	// NetOnly makes a cheaper host, with a network namespace and nothing else of its own: host name, files and processes
	// are the environment's.
	NetOnly bool

	// Root is a directory that becomes the host's root, behind a layer of the host's own, which vanishes with it. It is one that
	// the program which calls AddHost sees: of the machine, or in a hermetic spec of the spec's own tree. Default: the
	// environment's tree.
	//
	// Such a host has what an environment with that [Config.Root] has: /proc, /sys, /dev, /tmp, /run, and the files of its name
	// and addresses in /etc, and of the machine what each root of the environment shows, that is Visible, Shared and Devices of
	// its Config, the program itself, the module or working directory, and Go's own directories. Nothing else of the
	// environment's tree is there. What is written below a directory of Visible stays the host's own. With the PID namespace
	// FromSelf, its root reaches the environment's tree all the same, by /proc/PID/root of the processes there.
	Root string

	// Layers says which directories, stacked, become the host's root in place of Root, as [Config.Layers] does. It is called by
	// AddHost or AddRouter, in the program that calls these. Any number of hosts may have the same layers. In a hermetic spec
	// their names can have 4000 bytes in all, and they cannot be in an overlay that is in an overlay.
	Layers func(context.Context) ([]string, error)
}

// Sharing says whose a namespace is.
type Sharing int

// The values of Sharing.
const (
	Own      Sharing = iota // the host's own; its PID namespace has an init of its own
	FromSelf                // the environment's
)

// An Attachment is one cable of a host.
type Attachment struct {
	Network string       // "" is the environment's first one
	Addrs   []netip.Addr // at most one of each family; a family without one gets the next free address
	MAC     string       // default: one that nobody in the environment has, and that tells the address

	// Auto has the host find its IPv6 address and default route by itself, as most machines do: it listens to router
	// advertisements and makes an address of each prefix that they announce (SLAAC, RFC 4862). It has a link-local address
	// and an IPv4 one, if the network has IPv4, when AddHost returns, and asks for an advertisement. Addrs and DNS know
	// nothing of an address that it finds; that is the prefix with the modified EUI-64 of the link's MAC. A host without
	// Auto ignores advertisements.
	Auto bool

	NoGateway bool // a host has no default route there; a router is not the network's gateway
}

func (c HostConfig) params(ctx context.Context) (wire.HostParams, error) {
	p := wire.HostParams{Name: c.Name, SharePID: c.PID == FromSelf, ShareIPC: c.IPC == FromSelf, NetOnly: c.NetOnly, Root: c.Root}
	for _, a := range c.Networks {
		p.Networks = append(p.Networks, wire.Attachment(a))
	}
	if c.NetOnly && (c.Root != "" || c.Layers != nil) {
		return p, errors.New("a host of nothing but a network has the environment's files: leave out NetOnly for a root of its own")
	}
	var err error
	p.Layers, err = layersOf(ctx, c.Root, c.Layers)
	return p, err
}

// A Host is a machine of an environment: network, UTS, mount, and by default PID and IPC namespaces of its own, with
// its own /run, /tmp, /proc and /sys. The rest of the tree is the environment's, unless it has a Root or Layers. Its methods may be called from any
// goroutine.
type Host struct {
	env    *Env
	name   string
	number uint64 // wire.HostResult.Number
	dialer *dial.Dialer

	changing sync.Mutex // held while the links are changed
	mu       sync.Mutex // guards what follows, and the links themselves
	links    []*Link
	servings []*serving // code of this program that answers on the host
	ended    bool
}

func newHost(e *Env, r wire.HostResult) *Host {
	h := &Host{env: e, name: r.Name, number: r.Number}
	for _, l := range r.Links {
		h.links = append(h.links, &Link{host: h, info: l})
	}
	h.dialer = &dial.Dialer{Sockets: sockets{h}, Nameserver: netip.AddrPortFrom(netip.MustParseAddr(rootfs.Nameserver), 53)}
	return h
}

// Name is the host's name.
func (h *Host) Name() string { return h.name }

// Env is the environment that the host belongs to.
func (h *Host) Env() *Env { return h.env }

// Addr is the host's first address: IPv4 if it has one. It is the zero Addr for a host without a network.
func (h *Host) Addr() netip.Addr {
	addrs := h.Addrs()
	for _, a := range addrs {
		if a.Is4() {
			return a
		}
	}
	if len(addrs) == 0 {
		return netip.Addr{}
	}
	return addrs[0]
}

// Addrs are all addresses that the host was given, in the order of its links, without loopback and link-local ones.
func (h *Host) Addrs() []netip.Addr {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []netip.Addr
	for _, l := range h.links {
		out = append(out, l.info.Addrs...)
	}
	return out
}

// Link is the host's cable to a network; "" is its only one. Link panics if there is none, or if "" could mean several:
// see Links.
func (h *Host) Link(network string) *Link {
	h.mu.Lock()
	defer h.mu.Unlock()
	var found []*Link
	var names []string
	for _, l := range h.links {
		names = append(names, l.info.Network)
		if network == "" || l.info.Network == network {
			found = append(found, l)
		}
	}
	on := strings.Join(names, ", ")
	switch {
	case len(found) == 1:
		return found[0]
	case len(names) == 0:
		panic(fmt.Sprintf("nstest: host %s has no link: AddLink makes one", h.name))
	case network == "":
		panic(fmt.Sprintf("nstest: host %s has %d links: name the network of one: %s", h.name, len(names), on))
	}
	panic(fmt.Sprintf("nstest: host %s has no link to network %q: it is on %s", h.name, network, on))
}

// Links are the host's cables, eth0 first.
func (h *Host) Links() []*Link {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.links)
}

// Do runs f on a thread that is inside the host: in its network, mount, UTS, IPC and cgroup namespaces, and processes
// that f starts are in its PID namespace. Paths mean what they do there, also where it has a root of its own. Files that f makes belong to the environment's root. What f returns, its panic, and runtime.Goexit in it (so also t.FailNow) come
// back to the caller. Goroutines that f starts run outside: use DialContext and Listen from those.
//
// Do needs CAP_SYS_ADMIN in the program's own user namespace: real root, a program run by `nstest run`, a hermetic spec.
// Elsewhere it returns an error that is ErrNotPrivileged; Command, DialContext and Listen work everywhere.
func (h *Host) Do(f func() error) error {
	if f == nil {
		return wrap("do in host", h.env.name, h.name, errors.New("it needs a function, and has nil"))
	}
	if err := h.mayJoin(); err != nil {
		return wrap("do in host", h.env.name, h.name, err)
	}
	files, err := h.env.callFiles(context.Background(), wire.MethodJoin, wire.JoinParams{Host: h.name}, nil)
	if err != nil {
		return wrap("do in host", h.env.name, h.name, err)
	}
	defer func() { _ = closeAll(files) }()
	if len(files) != 1 {
		return wrap("do in host", h.env.name, h.name, fmt.Errorf("the keeper answered without a process"))
	}
	var result error
	kinds := ns.Net | ns.Mount | ns.UTS | ns.IPC | ns.Cgroup | ns.PID
	visit := func() error { result = f(); return nil }
	if root := h.env.rootID(); root != 0 {
		plain := visit
		visit = func() error { return ns.AsFileOwner(root, root, plain) }
	}
	if err := ns.Visit(files[0], kinds, visit); err != nil {
		switch {
		case h.env.closed.Load():
			err = ErrClosed
		case errors.Is(err, syscall.ESRCH):
			err = fmt.Errorf("the host's init has ended: %w", err)
		}
		return wrap("do in host", h.env.name, h.name, err)
	}
	return result
}

func (h *Host) mayJoin() error {
	ok, err := privileged()
	if err != nil {
		return err
	}
	if !ok {
		return &wire.Error{Kind: notPrivileged, Errno: uint32(syscall.EPERM), Message: "an ordinary user's thread cannot enter the namespaces of an environment",
			Remedy: "use Command, DialContext or Listen, which work here,\nor run the program by `nstest run -- PROGRAM`, or as root"}
	}
	return nil
}

// DialContext connects to an address as a process in the host would; names resolve there. Networks are those of
// net.Dialer: tcp, udp, unix and their variants. The connection may be used from any goroutine. Where a name has
// addresses of both families they are tried as RFC 8305 says.
//
// Whoever dials closes the connection, as with net.Dialer: the end of the host or of the environment does not. Until then the host's
// network namespace stays, empty, and a Read may wait for ever, as the kernel tells nobody of such an end.
func (h *Host) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return h.dialer.DialContext(ctx, network, address)
}

// Listen listens inside the host, as net.Listen does. Whoever listens closes the listener: see DialContext. What Serve and Handle are
// given ends with the host. That an address is in use (EADDRINUSE) is told after 200 ms: until then it may become free, as that of
// a listener that was closed just now does.
//
// A Unix socket with an abstract name is the host's alone, and so is one with a path below its own /run or /tmp. One with
// another path can be reached from every host that has that path in its tree.
func (h *Host) Listen(network, address string) (net.Listener, error) {
	return h.dialer.Listen(context.Background(), network, address)
}

// ListenPacket listens for packets inside the host, as net.ListenPacket does: for UDP it returns a *net.UDPConn, which
// libraries such as quic-go insist on.
func (h *Host) ListenPacket(network, address string) (net.PacketConn, error) {
	return h.dialer.ListenPacket(context.Background(), network, address)
}

// LookupNetIP resolves a name as the host does.
func (h *Host) LookupNetIP(ctx context.Context, name string) ([]netip.Addr, error) {
	return h.dialer.LookupNetIP(ctx, name)
}

// HTTPClient is an HTTP client whose connections come from the host. It uses no proxy, keeps no connection open, and
// gives up after 30 seconds.
func (h *Host) HTTPClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{DialContext: h.DialContext, DisableKeepAlives: true, ForceAttemptHTTP2: true},
		Timeout:   30 * time.Second,
	}
}

// sockets makes sockets inside a host.
type sockets struct{ host *Host }

func (s sockets) Socket(ctx context.Context, spec wire.SocketParams) (*os.File, error) {
	spec.Host = s.host.name
	files, err := s.host.env.callFiles(ctx, wire.MethodSocket, spec, nil)
	if err != nil {
		if w, ok := err.(*wire.Error); ok && w.Errno != 0 && w.Step != "" {
			return nil, os.NewSyscallError(w.Step, syscall.Errno(w.Errno))
		}
		return nil, wrap("make socket in", s.host.env.name, s.host.name, err)
	}
	if len(files) != 1 {
		return nil, fmt.Errorf("the keeper answered without a socket")
	}
	runtime.KeepAlive(s)
	return files[0], nil
}
