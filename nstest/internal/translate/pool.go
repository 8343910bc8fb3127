package translate

import (
	"container/list"
	"net/netip"
)

// Pool are the IPv4 addresses that stand for IPv6 hosts between the translator and the router's own masquerade. They are
// reserved ones (RFC 1112, section 4), which no network uses.
var Pool = netip.MustParsePrefix("240.0.0.0/20")

// pool lends the addresses of Pool. When none is left, the host that has been silent for longest loses its own: somebody
// who makes source addresses up costs 4095 entries and no more.
type pool struct {
	size   int
	byHost map[netip.Addr]*list.Element
	leases []*list.Element // by number of the address, less 1
	recent list.List       // of *lease, the last used first
}

type lease struct{ host, addr netip.Addr }

func newPool(size int) *pool { return &pool{size: size, byHost: map[netip.Addr]*list.Element{}} }

// lend returns the address of a host, which gets one if it has none.
func (p *pool) lend(host netip.Addr) netip.Addr {
	if a, ok := p.find(host); ok {
		return a
	}
	if len(p.leases) < p.size {
		l := &lease{host, poolAddr(len(p.leases) + 1)}
		e := p.recent.PushFront(l)
		p.leases, p.byHost[host] = append(p.leases, e), e
		return l.addr
	}
	e := p.recent.Back()
	l := e.Value.(*lease)
	delete(p.byHost, l.host)
	l.host, p.byHost[host] = host, e
	p.recent.MoveToFront(e)
	return l.addr
}

// find returns the address of a host that has one.
func (p *pool) find(host netip.Addr) (netip.Addr, bool) {
	e := p.byHost[host]
	if e == nil {
		return netip.Addr{}, false
	}
	p.recent.MoveToFront(e)
	return e.Value.(*lease).addr, true
}

// owner returns the host that has the address.
func (p *pool) owner(a netip.Addr) (netip.Addr, bool) {
	if !Pool.Contains(a) {
		return netip.Addr{}, false
	}
	b := a.As4()
	i := int(b[2])<<8 + int(b[3]) - 1
	if i < 0 || i >= len(p.leases) {
		return netip.Addr{}, false
	}
	p.recent.MoveToFront(p.leases[i])
	return p.leases[i].Value.(*lease).host, true
}

func poolAddr(i int) netip.Addr {
	b := Pool.Addr().As4()
	b[2], b[3] = b[2]+byte(i>>8), byte(i)
	return netip.AddrFrom4(b)
}
