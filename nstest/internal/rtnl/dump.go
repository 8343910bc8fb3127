package rtnl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Link is one device of the namespace.
type Link struct {
	Index     int
	Name      string
	Kind      string // "bridge", "veth"; "" for lo
	MAC       net.HardwareAddr
	MTU       int
	Flags     uint32 // IFF_*
	OperState OperState
	Master    int // index of the bridge that it is a port of; 0 = none
	Stats     Stats
	// Attributes are the kernel's IFLA_* attributes as they came, by number; Bridge the IFLA_BR_* ones of a bridge.
	Attributes, Bridge map[uint16][]byte
}

// Stats are a device's counters since it was made.
type Stats struct{ RxPackets, TxPackets, RxBytes, TxBytes, RxErrors, TxErrors, RxDropped, TxDropped uint64 }

// Sub is what was counted after earlier.
func (s Stats) Sub(earlier Stats) Stats {
	return Stats{
		s.RxPackets - earlier.RxPackets, s.TxPackets - earlier.TxPackets, s.RxBytes - earlier.RxBytes, s.TxBytes - earlier.TxBytes,
		s.RxErrors - earlier.RxErrors, s.TxErrors - earlier.TxErrors, s.RxDropped - earlier.RxDropped, s.TxDropped - earlier.TxDropped,
	}
}

// Addr is an address of a link.
type Addr struct {
	Index  int
	Prefix netip.Prefix
	Flags  uint32 // IFA_F_*
}

// Route is a route of any table.
type Route struct {
	Dst     netip.Prefix // the default route has length 0
	Gateway netip.Addr
	Index   int
	Table   uint32
	Type    uint8 // RTN_*
	Proto   uint8 // RTPROT_*
	Metric  uint32
}

// Neighbour is an entry of the ARP or neighbour-discovery cache, or, without Addr, of a bridge's forwarding database.
type Neighbour struct {
	Index  int
	Addr   netip.Addr
	MAC    net.HardwareAddr
	State  uint16 // NUD_*
	Flags  uint8  // NTF_*
	Master int    // the bridge
}

// Member is an entry of a bridge's multicast database.
type Member struct {
	Bridge, Port int
	Group        [16]byte // IPv4 in the first four bytes, IPv6, or a MAC in the first six
	Protocol     uint16   // ETH_P_*; 0 = Group is a MAC
}

// Links lists the devices.
func (c *Conn) Links() ([]Link, error) {
	var links []Link
	err := c.dump(unix.RTM_GETLINK, nl.NewIfInfomsg(unix.AF_UNSPEC), func() { links = nil }, func(m message) {
		if l, ok := parseLink(m); ok {
			links = append(links, l)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	return links, nil
}

// Link returns one device. The kernel first settles the carrier of the device, and so brings it into operation
// (Linux 6.10; older kernels do it in their own time, up to a second later).
func (c *Conn) Link(index int) (Link, error) { return c.link(index) }

// Peer returns the other end of a veth, in whichever network namespace it is, and settles it as Link does. It needs
// CAP_NET_ADMIN in that namespace's owner (Linux 4.20). The kernel then has a number for the socket's own namespace (NSID).
func (c *Conn) Peer(index int) (Link, error) {
	l, err := c.Link(index)
	if err != nil {
		return Link{}, err
	}
	peer := int(u32(l.Attributes[unix.IFLA_LINK]))
	if l.Kind != "veth" || peer == 0 {
		return Link{}, fmt.Errorf("look up peer of link %d: it is not one end of a veth", index)
	}
	ns, elsewhere := l.Attributes[unix.IFLA_LINK_NETNSID]
	if !elsewhere {
		return c.Link(peer)
	}
	return c.link(peer, nl.NewRtAttr(unix.IFLA_TARGET_NETNSID, ns))
}

func (c *Conn) link(index int, attrs ...*nl.RtAttr) (Link, error) {
	req := newRequest(unix.RTM_GETLINK, 0)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	req.AddData(msg)
	for _, a := range attrs {
		req.AddData(a)
	}
	var link Link
	found := false
	err := c.query(request{req, "look up", "", index}, func(m message) {
		if l, ok := parseLink(m); ok {
			link, found = l, true
		}
	})
	if err == nil && !found {
		err = &Error{fmt.Sprintf("look up link %d", index), unix.ENODEV, ""}
	}
	return link, err
}

// Addrs lists the addresses of both families.
func (c *Conn) Addrs() ([]Addr, error) {
	var addrs []Addr
	err := c.dump(unix.RTM_GETADDR, nl.NewIfAddrmsg(unix.AF_UNSPEC), func() { addrs = nil }, func(m message) {
		if a, ok := parseAddr(m); ok {
			addrs = append(addrs, a)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	return addrs, nil
}

func parseAddr(m message) (Addr, bool) {
	if len(m.payload) < unix.SizeofIfAddrmsg {
		return Addr{}, false
	}
	a := attributes(m.payload[unix.SizeofIfAddrmsg:])
	ip, ok := netip.AddrFromSlice(a[unix.IFA_LOCAL])
	if !ok {
		ip, _ = netip.AddrFromSlice(a[unix.IFA_ADDRESS])
	}
	return Addr{int(native.Uint32(m.payload[4:])), netip.PrefixFrom(ip, int(m.payload[1])), u32(a[unix.IFA_FLAGS])}, true
}

// Routes lists the routes of both families and all tables.
func (c *Conn) Routes() ([]Route, error) {
	var routes []Route
	err := c.dump(unix.RTM_GETROUTE, &nl.RtMsg{}, func() { routes = nil }, func(m message) {
		if r, ok := parseRoute(m); ok {
			routes = append(routes, r)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	return routes, nil
}

func parseRoute(m message) (Route, bool) {
	if len(m.payload) < unix.SizeofRtMsg {
		return Route{}, false
	}
	a := attributes(m.payload[unix.SizeofRtMsg:])
	r := Route{Index: int(u32(a[unix.RTA_OIF])), Table: uint32(m.payload[4]), Proto: m.payload[5], Type: m.payload[7], Metric: u32(a[unix.RTA_PRIORITY])}
	if t := a[unix.RTA_TABLE]; t != nil {
		r.Table = u32(t)
	}
	dst, ok := netip.AddrFromSlice(a[unix.RTA_DST])
	if !ok {
		dst = netip.IPv4Unspecified()
		if m.payload[0] == unix.AF_INET6 {
			dst = netip.IPv6Unspecified()
		}
	}
	r.Dst = netip.PrefixFrom(dst, int(m.payload[1]))
	r.Gateway, _ = netip.AddrFromSlice(a[unix.RTA_GATEWAY])
	return r, true
}

// Neighbours lists the ARP and neighbour-discovery caches.
func (c *Conn) Neighbours() ([]Neighbour, error) { return c.neighbours("neighbours", unix.AF_UNSPEC) }

// FDB lists the forwarding databases of all bridges.
func (c *Conn) FDB() ([]Neighbour, error) { return c.neighbours("forwarding database", unix.AF_BRIDGE) }

func (c *Conn) neighbours(what string, family int) ([]Neighbour, error) {
	var out []Neighbour
	var request nl.NetlinkRequestData = nl.NewIfInfomsg(family) // struct ifinfomsg for the forwarding database, struct ndmsg else
	if family != unix.AF_BRIDGE {
		request = header{byte(family), 11: 0}
	}
	err := c.dump(unix.RTM_GETNEIGH, request, func() { out = nil }, func(m message) {
		if n, ok := parseNeighbour(m); ok {
			out = append(out, n)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", what, err)
	}
	return out, nil
}

func parseNeighbour(m message) (Neighbour, bool) {
	const size = 12 // struct ndmsg
	if len(m.payload) < size {
		return Neighbour{}, false
	}
	a := attributes(m.payload[size:])
	n := Neighbour{
		Index: int(native.Uint32(m.payload[4:])), State: native.Uint16(m.payload[8:]), Flags: m.payload[10],
		MAC: clone(a[unix.NDA_LLADDR]), Master: int(u32(a[unix.NDA_MASTER])),
	}
	n.Addr, _ = netip.AddrFromSlice(a[unix.NDA_DST])
	return n, true
}

// MDB lists the multicast databases of all bridges.
func (c *Conn) MDB() ([]Member, error) {
	const headerSize, mdb, entryInfo = 8, 1, 1 // struct br_port_msg, MDBA_MDB, MDBA_MDB_ENTRY_INFO
	var members []Member
	err := c.dump(unix.RTM_GETMDB, header{unix.AF_BRIDGE, headerSize - 1: 0}, func() { members = nil }, func(m message) {
		if len(m.payload) < headerSize {
			return
		}
		bridge := int(native.Uint32(m.payload[4:]))
		eachAttribute(attributes(m.payload[headerSize:])[mdb], func(_ uint16, entry []byte) {
			eachAttribute(entry, func(kind uint16, e []byte) {
				if kind == entryInfo && len(e) >= 28 { // struct br_mdb_entry: port, state, flags, VLAN, group, protocol
					members = append(members, Member{bridge, int(native.Uint32(e)), [16]byte(e[8:24]), binary.BigEndian.Uint16(e[24:])})
				}
			})
		})
	})
	if err != nil {
		return nil, fmt.Errorf("list multicast database: %w", err)
	}
	return members, nil
}

// NSIDs lists the numbers under which the namespace knows others (the peers of its veths).
func (c *Conn) NSIDs() ([]int32, error) {
	const attrNSID = 1 // NETNSA_NSID
	var ids []int32
	err := c.dump(unix.RTM_GETNSID, header{unix.AF_UNSPEC, 3: 0}, func() { ids = nil }, func(m message) {
		if len(m.payload) >= 4 {
			ids = append(ids, int32(u32(attributes(m.payload[4:])[attrNSID])))
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list namespace numbers: %w", err)
	}
	return ids, nil
}

// NSIDOf is the number under which the namespace knows another, or -1.
func (c *Conn) NSIDOf(ns *os.File) (int, error) {
	const attrNSID, attrFD = 1, 3 // NETNSA_NSID, NETNSA_FD
	req := newRequest(unix.RTM_GETNSID, 0)
	req.AddData(header{unix.AF_UNSPEC, 3: 0})
	id := -1
	var inner error
	raw, err := ns.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { // which stays valid until the answer is there
			req.AddData(nl.NewRtAttr(attrFD, nl.Uint32Attr(uint32(fd))))
			inner = c.query(request{req, "look up number of", ns.Name(), 0}, func(m message) {
				if len(m.payload) >= 4 {
					id = int(int32(u32(attributes(m.payload[4:])[attrNSID])))
				}
			})
		})
	}
	return id, errors.Join(err, inner)
}

// header is the fixed part of a message.
type header []byte

func (h header) Len() int          { return len(h) }
func (h header) Serialize() []byte { return h }

// dump asks for a list and calls each for its messages; reset is called when the list starts again because it changed
// meanwhile (NLM_F_DUMP_INTR).
func (c *Conn) dump(kind uint16, h nl.NetlinkRequestData, reset func(), each func(message)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dumpLocked(kind, h, reset, each)
}

func (c *Conn) dumpLocked(kind uint16, h nl.NetlinkRequestData, reset func(), each func(message)) error {
	const attempts = 20
	for range attempts {
		req := newRequest(kind, unix.NLM_F_DUMP)
		req.AddData(h)
		interrupted, err := c.queryLocked(request{req, "list", "objects", 0}, each)
		if err != nil || !interrupted {
			return err
		}
		reset()
	}
	return fmt.Errorf("the list kept changing: %w", unix.EINTR)
}

func (c *Conn) query(r request, each func(message)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.queryLocked(r, each)
	return err
}

// queryLocked sends one request and calls each for what it returns, and reports whether that is a list that has changed
// meanwhile. A single object is asked for without an acknowledgement: it is the answer.
func (c *Conn) queryLocked(r request, each func(message)) (interrupted bool, err error) {
	c.seq++
	r.Seq = c.seq
	if err := c.transmit(r.Serialize()); err != nil {
		return false, fmt.Errorf("%s: %w", r.what(), err)
	}
	a := reading{request: r, each: each}
	p := buffers.Get().(*[]byte)
	defer buffers.Put(p)
	for {
		n, err := c.receiveAnswer(*p)
		if errors.Is(err, unix.ENOBUFS) {
			c.dirty = true
			continue
		}
		if err != nil {
			return false, fmt.Errorf("%s: %w", r.what(), err)
		}
		done, err := eachMessage((*p)[:n], func(m message) bool {
			if m.seq != c.seq {
				c.noteEvent(m)
				return false
			}
			return a.take(m)
		})
		if err == nil {
			err = a.refused
		}
		if done || err != nil {
			return a.interrupted, err
		}
	}
}

// A reading is an answer that is being received.
type reading struct {
	request     request
	each        func(message)
	refused     error
	interrupted bool // the list has changed
}

// take takes a message of the answer, and reports whether that was the last. Any may tell that the list has changed: the one
// that ends it does where nothing is left of the part that was to come before it.
func (a *reading) take(m message) (last bool) {
	a.interrupted = a.interrupted || m.flags&unix.NLM_F_DUMP_INTR != 0
	switch m.kind {
	case unix.NLMSG_ERROR, unix.NLMSG_DONE:
		if errno, detail := parseError(m); errno != 0 {
			a.refused = &Error{a.request.what(), errno, detail}
		}
		return true
	}
	a.each(m)
	return m.flags&unix.NLM_F_MULTI == 0
}

func parseLink(m message) (Link, bool) {
	if m.kind != unix.RTM_NEWLINK || len(m.payload) < unix.SizeofIfInfomsg {
		return Link{}, false
	}
	h := nl.DeserializeIfInfomsg(m.payload)
	a := attributes(m.payload[unix.SizeofIfInfomsg:])
	l := Link{
		Index: int(h.Index), Flags: h.Flags, Name: text(a[unix.IFLA_IFNAME]), MAC: clone(a[unix.IFLA_ADDRESS]),
		MTU: int(u32(a[unix.IFLA_MTU])), Master: int(u32(a[unix.IFLA_MASTER])), Attributes: map[uint16][]byte{},
	}
	if s := a[unix.IFLA_OPERSTATE]; len(s) > 0 {
		l.OperState = OperState(s[0])
	}
	for kind, value := range a {
		l.Attributes[kind] = clone(value)
	}
	info := attributes(a[unix.IFLA_LINKINFO])
	l.Kind = text(info[unix.IFLA_INFO_KIND])
	if l.Kind == "bridge" {
		l.Bridge = map[uint16][]byte{}
		for kind, value := range attributes(info[unix.IFLA_INFO_DATA]) {
			l.Bridge[kind] = clone(value)
		}
	}
	if s := a[unix.IFLA_STATS64]; len(s) >= 64 { // struct rtnl_link_stats64
		v := func(i int) uint64 { return native.Uint64(s[8*i:]) }
		l.Stats = Stats{v(0), v(1), v(2), v(3), v(4), v(5), v(6), v(7)}
	}
	return l, true
}

// attributes are the attributes in p by number; the values point into p.
func attributes(p []byte) map[uint16][]byte {
	m := map[uint16][]byte{}
	eachAttribute(p, func(kind uint16, value []byte) { m[kind] = value })
	return m
}

func eachAttribute(p []byte, f func(kind uint16, value []byte)) {
	for len(p) >= unix.SizeofRtAttr {
		size := int(native.Uint16(p))
		if size < unix.SizeofRtAttr || size > len(p) {
			return
		}
		f(native.Uint16(p[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), p[unix.SizeofRtAttr:size])
		p = p[min((size+3)&^3, len(p)):]
	}
}

func u32(p []byte) uint32 {
	if len(p) < 4 {
		return 0
	}
	return native.Uint32(p)
}

func text(p []byte) string { return unix.ByteSliceToString(p) }

func clone(p []byte) []byte { return append([]byte(nil), p...) }
