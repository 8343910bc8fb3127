package lan

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/internal/ns"
	"github.com/hermetic-go/nstest/nstest/internal/rtnl"
)

// Attributes that differ between any two moments of the same device, and why each may.
var volatileLink = map[uint16]string{
	unix.IFLA_STATS: "counters: exposed relative to the lease alone", unix.IFLA_STATS64: "likewise", unix.IFLA_AF_SPEC: "holds counters; its settings are sysctls, compared below",
	unix.IFLA_CARRIER_CHANGES: "a counter", unix.IFLA_CARRIER_UP_COUNT: "a counter", unix.IFLA_CARRIER_DOWN_COUNT: "a counter",
	unix.IFLA_LINKINFO:     "compared one by one",
	unix.IFLA_TSO_MAX_SIZE: "the kernel derives it from the ports, and from none otherwise than at the beginning; compared with one",
}

var volatileBridge = map[uint16]string{
	unix.IFLA_BR_HELLO_TIMER: "a running timer", unix.IFLA_BR_TCN_TIMER: "a running timer",
	unix.IFLA_BR_TOPOLOGY_CHANGE_TIMER: "a running timer", unix.IFLA_BR_GC_TIMER: "a running timer",
}

// state is everything that can be read of a switch, one fact a line, in order.
func state(tb testing.TB, b *bridge, alsoCompare ...uint16) []string {
	tb.Helper()
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	check := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	links, err := b.route.Links()
	check(err)
	for _, l := range slices.Backward(links) { // ports first: the kernel settles what it would in the background (rtnl.Conn.Link)
		_, err := b.route.Link(l.Index)
		check(err)
	}
	links, err = b.route.Links()
	check(err)
	for _, l := range links {
		add("link %s: index %d kind %s flags %#x %s", l.Name, l.Index, l.Kind, l.Flags, l.OperState)
		for kind, value := range l.Attributes {
			if kind == unix.IFLA_LINKINFO && l.Bridge != nil {
				continue // compared one by one
			}
			if volatileLink[kind] == "" || slices.Contains(alsoCompare, kind) {
				add("link %s: attribute %d = %x", l.Name, kind, value)
			}
		}
		for kind, value := range l.Bridge {
			if volatileBridge[kind] == "" {
				add("link %s: bridge attribute %d = %x", l.Name, kind, value)
			}
		}
	}
	addrs, err := b.route.Addrs()
	check(err)
	for _, a := range addrs {
		add("address %+v", a)
	}
	routes, err := b.route.Routes()
	check(err)
	for _, r := range routes {
		add("route %+v", r)
	}
	neighbours, err := b.route.Neighbours()
	check(err)
	for _, n := range neighbours {
		add("neighbour %+v", n)
	}
	fdb, err := b.route.FDB()
	check(err)
	for _, n := range fdb {
		add("forwarding %+v", n)
	}
	mdb, err := b.route.MDB()
	check(err)
	for _, m := range mdb {
		add("multicast %+v", m)
	}
	ids, err := b.route.NSIDs()
	check(err)
	slices.Sort(ids)
	add("numbers of namespaces: %v", ids)
	for _, r := range ruleset(tb, b) {
		add("nftables %s", r)
	}
	check(ns.InNet(b.net, func() error {
		for _, dir := range []string{"net/ipv4/conf", "net/ipv6/conf", "net/ipv6/neigh", "net/ipv4/neigh", "net/bridge", "net/ipv4", "net/ipv6"} {
			entries, err := os.ReadDir("/proc/sys/" + dir)
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			for _, e := range entries {
				if !e.IsDir() {
					add("sysctl %s/%s = %s", dir, e.Name(), sysctl(dir+"/"+e.Name()))
					continue
				}
				add("sysctl directory %s/%s", dir, e.Name())
				if dir == "net/ipv4" || dir == "net/ipv6" {
					continue
				}
				inner, err := os.ReadDir("/proc/sys/" + dir + "/" + e.Name())
				if err != nil {
					return err
				}
				for _, f := range inner {
					name := dir + "/" + e.Name() + "/" + f.Name()
					add("sysctl %s = %s", name, sysctl(name))
				}
			}
		}
		multicast, err := os.ReadFile("/proc/thread-self/net/dev_mcast")
		add("device multicast: %q %v", multicast, err)
		return nil
	}))
	slices.Sort(lines)
	return lines
}

// sysctl is a value, or why it cannot be read.
func sysctl(name string) string {
	v, err := os.ReadFile("/proc/sys/" + name)
	if err != nil {
		return err.Error()
	}
	if strings.HasSuffix(name, "stable_secret") {
		return "" // random
	}
	return strings.TrimSpace(string(v))
}

// ruleset lists the tables, chains, sets and rules.
func ruleset(tb testing.TB, b *bridge) []string {
	tb.Helper()
	var lines []string
	err := ns.InNet(b.net, func() error {
		c, err := nftables.New()
		if err != nil {
			return err
		}
		tables, err := c.ListTables()
		if err != nil {
			return err
		}
		for _, t := range tables {
			lines = append(lines, fmt.Sprintf("table %d %s", t.Family, t.Name))
			sets, err := c.GetSets(t)
			if err != nil {
				return err
			}
			for _, s := range sets {
				elements, err := c.GetSetElements(s)
				if err != nil {
					return err
				}
				lines = append(lines, fmt.Sprintf("set %s: %d elements", s.Name, len(elements)))
			}
		}
		chains, err := c.ListChains()
		for _, ch := range chains {
			lines = append(lines, fmt.Sprintf("chain %s %s", ch.Table.Name, ch.Name))
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return lines
}

// diff lists the lines that only one of two ordered lists has.
func diff(a, b []string) []string {
	var out []string
	for _, l := range a {
		if _, ok := slices.BinarySearch(b, l); !ok {
			out = append(out, "- "+l)
		}
	}
	for _, l := range b {
		if _, ok := slices.BinarySearch(a, l); !ok {
			out = append(out, "+ "+l)
		}
	}
	return out
}

// wearOut uses a switch in every way there is.
func wearOut(t *testing.T, s *Switch) []*host {
	hosts := []*host{newHost(t, 1), newHost(t, 2), newHost(t, 3)}
	ctx := within(t, 30*time.Second)
	ids := attach(t, s, hosts...)
	var v4, v6 []*net.UDPConn
	for _, h := range hosts {
		v4, v6 = append(v4, h.listen(t, h.v4)), append(v6, h.listen(t, h.v6))
	}
	for i := range hosts {
		mustReach(t, "IPv4", v4[i], v4[(i+1)%len(v4)])
		mustReach(t, "IPv6", v6[i], v6[(i+1)%len(v6)])
	}
	small := newHost(t, 4)
	port := small.port()
	port.MTU, port.MAC = 1280, net.HardwareAddr{2, 9, 9, 9, 9, 9}
	more, err := s.Attach(ctx, port)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(small.configure(), s.WaitUp(ctx, more...)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.SetPort(ids[0], false), s.SetPort(ids[1], false), s.SetPort(ids[1], true), s.Block(Cut{Pairs: []Pair{{ids[0], ids[1]}, {ids[1], more[0]}}})); err != nil {
		t.Fatal(err)
	}
	for _, c := range append(v4, v6...) { // a socket keeps its network namespace alive
		_ = c.Close()
	}
	return append(hosts, small)
}

func TestUsedSwitchIsLikeANewOne(t *testing.T) {
	p := newPool(t)
	fresh, used := get(t, p), get(t, p)
	b := used.bridge
	want := state(t, fresh.bridge)
	if d := diff(want, state(t, b)); len(d) > 0 {
		t.Fatalf("two fresh switches differ:\n%s", strings.Join(d, "\n"))
	}
	hosts := wearOut(t, used)
	before, err := used.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if before.RxPackets == 0 {
		t.Error("the counters saw none of the frames to all ports")
	}
	// In use it differs in each of these; what is compared can see them.
	worn := strings.Join(diff(want, state(t, b)), "\n")
	for _, trace := range []string{
		"+ link p3: index 3", "+ link p6: index 6", "+ forwarding", "+ nftables table", "+ nftables chain", "+ nftables set",
		"+ numbers of namespaces: [0 1 2 3 4]", "+ sysctl directory net/ipv4/conf/p3", fmt.Sprintf("+ link br0: attribute %d = %x", unix.IFLA_MTU, binary.NativeEndian.AppendUint32(nil, 1280)),
	} {
		if !strings.Contains(worn, trace) {
			t.Errorf("in use, no line %q", trace)
		}
	}
	for _, h := range hosts {
		h.close()
	}
	p.Put(used)
	eventually(t, "the switch is idle again", func() bool { return p.Stats().Draining == 0 })
	again := get(t, p)
	for again.bridge != b { // a spare may lie in front of it
		again = get(t, p)
	}
	if d := diff(want, state(t, b)); len(d) > 0 {
		t.Errorf("the used switch differs from a fresh one:\n%s", strings.Join(d, "\n"))
	}
	if s, err := again.Stats(); err != nil || s != (rtnl.Stats{}) {
		t.Errorf("counters at the beginning of the second lease: %+v, %v", s, err)
	}
	if raw, err := b.route.Link(bridgeIndex); err != nil || raw.Stats == (rtnl.Stats{}) {
		t.Errorf("the kernel's own counters: %+v, %v; want those of the first lease, else this test shows nothing", raw.Stats, err)
	}
	// With a port each, whose other end is silent so that nothing is in motion.
	for _, s := range []*Switch{fresh, again} {
		if ids, err := s.Attach(context.Background(), newHost(t, 1).port()); err != nil || ids[0] != firstPort {
			t.Fatalf("the first port of the second lease: %v, %v; want %d", ids, err, firstPort)
		}
	}
	if d := diff(state(t, fresh.bridge, unix.IFLA_TSO_MAX_SIZE), state(t, b, unix.IFLA_TSO_MAX_SIZE)); len(d) > 0 {
		t.Errorf("with a port, the used switch differs from a fresh one:\n%s", strings.Join(d, "\n"))
	}
}

// TestStateSeesWhatIsPlanted is the control of the comparison: each trace that a lease could leave behind is planted, and
// shows.
func TestStateSeesWhatIsPlanted(t *testing.T) {
	p := newPool(t)
	for _, plant := range []struct {
		name, want string
		do         func(b *bridge) error
	}{
		{"forwarding entry", "+ forwarding", func(b *bridge) error {
			return plantNeighbour(unix.AF_BRIDGE, unix.NTF_SELF, netlink.Attribute{Type: unix.NDA_LLADDR, Data: []byte{2, 1, 2, 3, 4, 5}})
		}},
		{"neighbour", "+ neighbour", func(b *bridge) error {
			return plantNeighbour(unix.AF_INET, 0, netlink.Attribute{Type: unix.NDA_DST, Data: []byte{10, 0, 0, 9}},
				netlink.Attribute{Type: unix.NDA_LLADDR, Data: []byte{2, 1, 2, 3, 4, 5}})
		}},
		{"address", "+ address", func(b *bridge) error {
			var msgs rtnl.Batch
			msgs.AddAddr(bridgeIndex, netip.MustParsePrefix("10.0.0.9/24"))
			return b.route.Send(&msgs)
		}},
		{"route", "+ route", func(b *bridge) error {
			var msgs rtnl.Batch
			msgs.NewRoute(rtnl.RouteSpec{Dst: netip.MustParsePrefix("10.9.0.0/16"), Index: bridgeIndex})
			return b.route.Send(&msgs)
		}},
		{"port", "+ link x: ", func(b *bridge) error {
			var msgs rtnl.Batch
			msgs.Veth(rtnl.VethSpec{Name: "x", Peer: rtnl.VethPeer{Name: "y"}})
			return b.route.Send(&msgs)
		}},
		{"nftables table", "+ nftables table", func(b *bridge) error {
			c, err := nftables.New()
			if err != nil {
				return err
			}
			c.AddTable(&nftables.Table{Name: "planted", Family: nftables.TableFamilyBridge})
			return c.Flush()
		}},
		{"bridge attribute", fmt.Sprintf("+ link br0: bridge attribute %d", unix.IFLA_BR_AGEING_TIME), func(b *bridge) error {
			ageing, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: unix.IFLA_BR_AGEING_TIME, Data: binary.NativeEndian.AppendUint32(nil, 100)}})
			if err != nil {
				return err
			}
			info, err := netlink.MarshalAttributes([]netlink.Attribute{
				{Type: unix.IFLA_INFO_KIND, Data: []byte("bridge\x00")}, {Type: unix.IFLA_INFO_DATA | unix.NLA_F_NESTED, Data: ageing},
			})
			if err != nil {
				return err
			}
			header := make([]byte, unix.SizeofIfInfomsg)
			binary.NativeEndian.PutUint32(header[4:], bridgeIndex)
			return plantMessage(unix.RTM_NEWLINK, header, netlink.Attribute{Type: unix.IFLA_LINKINFO | unix.NLA_F_NESTED, Data: info})
		}},
		{"sysctl", "+ sysctl net/ipv4/ip_forward = 1", func(b *bridge) error { return ns.WriteSysctl("/proc/sys", "net/ipv4/ip_forward", "1") }},
	} {
		t.Run(plant.name, func(t *testing.T) {
			s := get(t, p)
			before := state(t, s.bridge)
			if err := ns.InNet(s.bridge.net, func() error { return plant.do(s.bridge) }); err != nil {
				t.Fatal(err)
			}
			if d := strings.Join(diff(before, state(t, s.bridge)), "\n"); !strings.Contains(d, plant.want) {
				t.Errorf("the comparison shows %q, want a line with %q", d, plant.want)
			}
		})
	}
}

func plantNeighbour(family, flags uint8, attrs ...netlink.Attribute) error {
	const permanent = 0x80                                                                                              // NUD_PERMANENT
	return plantMessage(unix.RTM_NEWNEIGH, []byte{0: family, 4: bridgeIndex, 8: permanent, 10: flags, 11: 0}, attrs...) // struct ndmsg
}

// plantMessage sends what rtnl has no verb for, from the calling thread's namespace.
func plantMessage(kind netlink.HeaderType, header []byte, attrs ...netlink.Attribute) error {
	body, err := netlink.MarshalAttributes(attrs)
	if err != nil {
		return err
	}
	c, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return err
	}
	_, err = c.Execute(netlink.Message{
		Header: netlink.Header{Type: kind, Flags: netlink.Request | netlink.Acknowledge | netlink.Create}, Data: append(header, body...),
	})
	return errors.Join(err, c.Close())
}
