package rtnl

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

func TestBridgeWithPortAndHost(t *testing.T) {
	sw, swNS := newNet(t)
	host, hostNS := newNet(t)
	bridgeMAC, hostMAC := net.HardwareAddr{2, 0, 0, 0, 0, 1}, net.HardwareAddr{2, 0, 0, 0, 0, 2}
	send(t, sw, func(b *Batch) {
		b.NSID(swNS, 7)
		b.Bridge(BridgeSpec{Name: "br0", Index: 2, MAC: bridgeMAC})
		b.AddrGenNone(2)
		b.LinkUp(2)
		b.Veth(VethSpec{Name: "p7", Index: 7, Master: 2, MTU: 1400, Up: true, Peer: VethPeer{Name: "eth0", Index: 5, MAC: hostMAC, NetNS: hostNS}})
	})
	v4, v6 := netip.MustParsePrefix("10.1.2.3/24"), netip.MustParsePrefix("fd00::3/64")
	gw := netip.MustParseAddr("10.1.2.1")
	send(t, host, func(b *Batch) {
		b.LinkUp(1)
		b.AddrGenNone(5)
		b.AddAddr(5, v4)
		b.AddAddr(5, v6)
		b.LinkUp(5)
		b.NewRoute(RouteSpec{Gateway: gw, Index: 5})
		b.NewRoute(RouteSpec{Dst: netip.MustParsePrefix("fd01::/64"), Gateway: netip.MustParseAddr("fd00::1"), Index: 5})
	})
	ctx := timeout(t, 30*time.Second)
	if err := sw.WaitUp(ctx, 2, 7); err != nil {
		t.Fatal(err)
	}
	if err := host.WaitMulticast(ctx, 5, SolicitedNode(v6.Addr())); err != nil {
		t.Fatal(err)
	}

	for _, a := range []netip.Addr{v4.Addr(), v6.Addr()} {
		if err := host.WaitAddr(ctx, a); err != nil {
			t.Error(err)
		}
		if err := sw.WaitAddr(timeout(t, 10*time.Millisecond), a); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s in the switch, which does not have it: %v", a, err)
		}
	}

	br, err := sw.Link(2)
	if err != nil {
		t.Fatal(err)
	}
	if br.Kind != "bridge" || br.MAC.String() != bridgeMAC.String() || br.OperState != Up || br.MTU != 1400 {
		t.Errorf("bridge: %+v", br)
	}
	for attr, want := range map[uint16]uint32{nl.IFLA_BR_STP_STATE: 0, nl.IFLA_BR_FORWARD_DELAY: 0} {
		if got := u32(br.Bridge[attr]); got != want {
			t.Errorf("bridge attribute %d is %d, want %d", attr, got, want)
		}
	}
	if got := br.Bridge[nl.IFLA_BR_MCAST_SNOOPING]; len(got) != 1 || got[0] != 0 {
		t.Errorf("multicast snooping is %v, want off", got)
	}
	port, err := sw.Link(7)
	if err != nil || port.Name != "p7" || port.Kind != "veth" || port.Master != 2 || port.MTU != 1400 || u32(port.Attributes[unix.IFLA_NUM_TX_QUEUES]) != 1 {
		t.Errorf("port: %+v, %v", port, err)
	}
	eth, err := host.Link(5)
	if err != nil || eth.Name != "eth0" || eth.MAC.String() != hostMAC.String() || eth.MTU != 1400 {
		t.Errorf("peer: %+v, %v", eth, err)
	}

	if peer, err := sw.Peer(7); err != nil || peer.Index != 5 || peer.Name != "eth0" || peer.OperState != Up {
		t.Errorf("peer as the switch sees it: %+v, %v", peer, err)
	}
	if _, err := sw.Peer(2); err == nil {
		t.Error("a bridge has a peer")
	}
	send(t, sw, func(b *Batch) { b.LinkDown(7) })
	if err := sw.WaitVeth(ctx, 7); err != nil {
		t.Errorf("a pulled cable is waited for: %v", err)
	}
	send(t, sw, func(b *Batch) { b.LinkUp(7) })
	if err := sw.WaitVeth(ctx, 7); err != nil {
		t.Error(err)
	}
	if l, err := host.operState(5); err != nil || l != Up {
		t.Errorf("the peer is %v, %v; want up", l, err)
	}

	addrs, err := host.Addrs()
	if err != nil {
		t.Fatal(err)
	}
	var of5 []netip.Prefix
	for _, a := range addrs {
		if a.Index == 5 {
			of5 = append(of5, a.Prefix)
			if a.Flags&unix.IFA_F_TENTATIVE != 0 {
				t.Errorf("%s is tentative", a.Prefix)
			}
		}
	}
	if !slices.Equal(of5, []netip.Prefix{v4, v6}) {
		t.Errorf("addresses of eth0: %v; want the two and no link-local one", of5)
	}
	routes, err := host.Routes()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(routes, func(r Route) bool { return r.Dst.Bits() == 0 && r.Gateway == gw && r.Index == 5 }) ||
		!slices.ContainsFunc(routes, func(r Route) bool { return r.Dst.String() == "fd01::/64" && r.Gateway.String() == "fd00::1" }) {
		t.Errorf("routes: %v", routes)
	}
	fdb, err := sw.FDB()
	if err != nil || !slices.ContainsFunc(fdb, func(n Neighbour) bool { return n.Index == 7 && n.Master == 2 }) {
		t.Errorf("forwarding database: %v, %v; want the port's own address", fdb, err)
	}
	ids, err := sw.NSIDs()
	slices.Sort(ids)
	if err != nil || !slices.Equal(ids, []int32{0, 7}) {
		t.Errorf("namespace numbers: %v, %v; want the peer's and its own", ids, err)
	}
}

func TestMDB(t *testing.T) {
	c, _ := newNet(t)
	send(t, c, func(b *Batch) {
		b.Bridge(BridgeSpec{Name: "br0", Index: 2})
		b.LinkUp(2)
		b.Veth(VethSpec{Name: "a", Index: 3, Master: 2, Up: true, Peer: VethPeer{Name: "b", Index: 4}})
		b.LinkUp(4)
		info := nl.NewRtAttr(unix.IFLA_LINKINFO|unix.NLA_F_NESTED, nil)
		info.AddRtAttr(unix.IFLA_INFO_KIND, nl.ZeroTerminated("bridge"))
		info.AddRtAttr(unix.IFLA_INFO_DATA|unix.NLA_F_NESTED, nil).AddRtAttr(nl.IFLA_BR_MCAST_SNOOPING, []byte{1})
		b.link("switch on snooping of", 2, 0, 0, info)
	})
	if err := c.WaitUp(timeout(t, 30*time.Second), 3); err != nil {
		t.Fatal(err)
	}
	group := net.IPv4(239, 1, 2, 3).To4()
	r := newRequest(unix.RTM_NEWMDB, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	r.AddData(header{0: unix.AF_BRIDGE, 4: 2, 7: 0})
	r.AddData(nl.NewRtAttr(1, header{0: 3, 4: 1, 8: group[0], 9: group[1], 10: group[2], 11: group[3], 24: 8, 25: 0, 27: 0})) // MDBA_SET_ENTRY, permanent
	var b Batch
	b.add(r, "add group", "239.1.2.3", 0)
	if err := c.Send(&b); err != nil {
		t.Fatal(err)
	}
	members, err := c.MDB()
	want := Member{Bridge: 2, Port: 3, Group: [16]byte{239, 1, 2, 3}, Protocol: unix.ETH_P_IP}
	if err != nil || !slices.Contains(members, want) {
		t.Errorf("got %v, %v; want %v among them", members, err, want)
	}
}

func TestWaitGivesUpWithTheContext(t *testing.T) {
	c, _ := newNet(t)
	send(t, c, func(b *Batch) {
		b.Veth(VethSpec{Name: "a", Index: 3, Up: true, Peer: VethPeer{Name: "b", Index: 4}})
	})
	err := c.WaitUp(timeout(t, 20*time.Millisecond), 3)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a link whose peer is down: got %v, want the deadline", err)
	}
	err = c.WaitMulticast(timeout(t, 20*time.Millisecond), 3, netip.MustParseAddr("ff02::1:ff00:1"))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a group that was not joined: got %v, want the deadline", err)
	}
	if err := c.WaitUp(context.Background(), 99); !errors.Is(err, unix.ENODEV) {
		t.Errorf("a link that does not exist: got %v, want ENODEV", err)
	}
	if err := c.WaitMulticast(context.Background(), 3, netip.MustParseAddr("fd00::1")); err == nil {
		t.Error("an address that is no multicast group: accepted")
	}
}

func TestSolicitedNode(t *testing.T) {
	if got := SolicitedNode(netip.MustParseAddr("fd00::1:2:abcd:ef12")); got != netip.MustParseAddr("ff02::1:ffcd:ef12") {
		t.Errorf("got %s", got)
	}
}

func TestWatchLinksSeesALinkVanish(t *testing.T) {
	c, _ := newNet(t)
	// A second socket of the namespace, since c is busy while it watches.
	second := secondConn(t, c)
	send(t, second, func(b *Batch) { b.Veth(VethSpec{Name: "a", Index: 3, Peer: VethPeer{Name: "b", Index: 4}}) })
	var seen [][]int
	deleted := make(chan error, 1)
	err := c.WatchLinks(timeout(t, 30*time.Second), func(indices []int) bool {
		seen = append(seen, slices.Clone(indices))
		if len(seen) == 1 {
			go func() {
				var b Batch
				b.DelLink(3)
				deleted <- second.Send(&b)
			}()
		}
		return len(indices) == 1
	})
	if err := errors.Join(err, <-deleted); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(seen[0], []int{1, 3, 4}) || !slices.Equal(seen[len(seen)-1], []int{1}) {
		t.Errorf("lists: %v", seen)
	}
}

func TestWatchLinksListsAgainWhenALinkHasComeOrGone(t *testing.T) {
	c, _ := newNet(t)
	second := secondConn(t, c)
	send(t, second, func(b *Batch) {
		b.Bridge(BridgeSpec{Name: "br", Index: 2})
		b.Veth(VethSpec{Name: "a", Index: 3, Master: 2, Peer: VethPeer{Name: "b", Index: 4}})
	})
	var seen [][]int
	changed := make(chan error, 1)
	err := c.WatchLinks(timeout(t, 5*time.Second), func(indices []int) bool {
		seen = append(seen, slices.Clone(indices))
		if len(seen) == 1 {
			go func() {
				var set, leave, add Batch
				for range 10 {
					set.MTU(3, 1400)
					set.LinkUp(3)
					set.MTU(3, 1500)
					set.LinkDown(3)
				}
				leave.link("free", 3, 0, 0, nl.NewRtAttr(unix.IFLA_MASTER, nl.Uint32Attr(0))) // which is told of as if it were deleted
				add.Veth(VethSpec{Name: "c", Index: 5, Peer: VethPeer{Name: "d", Index: 6}})
				changed <- errors.Join(second.Send(&set), second.Send(&leave), second.Send(&add))
			}()
		}
		return slices.Contains(indices, 5) && slices.Contains(indices, 6)
	})
	if err := errors.Join(err, <-changed); err != nil {
		t.Fatal(err)
	}
	if before := slices.IndexFunc(seen, func(l []int) bool { return slices.Contains(l, 5) || slices.Contains(l, 6) }); before != 1 {
		t.Errorf("links that had come and gone nowhere were listed %d times, want once: %v", before, seen)
	}
}

func TestWatchLinksSurvivesLostEvents(t *testing.T) {
	c, _ := newNet(t)
	second := secondConn(t, c)
	if err := c.raw.Control(func(fd uintptr) {
		if err := unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	calls := 0
	err := c.WatchLinks(timeout(t, 30*time.Second), func(indices []int) bool {
		if calls++; calls == 1 { // more events than the socket can hold, and the last one is among those that are lost
			for i := range 200 {
				send(t, second, func(b *Batch) { b.MTU(1, 2000+i) })
			}
			send(t, second, func(b *Batch) { b.Veth(VethSpec{Name: "a", Index: 3, Peer: VethPeer{Name: "b", Index: 4}}) })
		}
		return slices.Contains(indices, 3)
	})
	if err != nil {
		t.Fatal(err)
	}
	if calls != 2 {
		t.Errorf("asked %d times, want 2: the events were not lost", calls)
	}
	if _, err := c.Link(3); err != nil {
		t.Errorf("the socket after an overrun: %v", err)
	}
}
