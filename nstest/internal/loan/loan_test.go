package loan

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/internal/ns"
	"github.com/hermetic-go/nstest/nstest/internal/rtnl"
)

// space is a network namespace.
type space struct {
	net  *os.File
	conn *rtnl.Conn
}

func newSpace(t *testing.T) space {
	t.Helper()
	var s space
	var err error
	s.net, err = ns.InNewNet(func() (err error) { s.conn, err = rtnl.Open(); return err })
	if err != nil {
		if os.Getenv("NSTEST_MUST_RUN") == "1" {
			t.Fatalf("NSTEST_MUST_RUN=1, and network namespaces cannot be made here: %v", err)
		}
		t.Skipf("network namespaces cannot be made here: %v; run as root or under unshare --user --map-root-user", err)
	}
	t.Cleanup(func() { _ = s.conn.Close(); _ = s.net.Close() })
	return s
}

const (
	nic     = 10 // index
	peer    = 11
	inHost  = 500
	mtu     = 1400
	address = "203.0.113.5/24"
)

var mac = net.HardwareAddr{2, 1, 2, 3, 4, 5}

// machine is a namespace with a card, as which one end of a veth serves, that has addresses and routes.
func machine(t *testing.T) space {
	t.Helper()
	s := newSpace(t)
	var b rtnl.Batch
	b.Veth(rtnl.VethSpec{Name: "card", Index: nic, MAC: mac, MTU: mtu, Peer: rtnl.VethPeer{Name: "wire", Index: peer}})
	b.LinkUp(peer)
	b.AddAddr(nic, netip.MustParsePrefix(address))
	b.AddAddr(nic, netip.MustParsePrefix("203.0.113.6/24"))
	b.AddAddr(nic, netip.MustParsePrefix("2001:db8::5/64"))
	b.LinkUp(nic)
	b.NewRoute(rtnl.RouteSpec{Dst: netip.MustParsePrefix("198.51.100.0/24"), Gateway: netip.MustParseAddr("203.0.113.1"), Index: nic})
	b.NewRoute(rtnl.RouteSpec{Dst: netip.MustParsePrefix("192.0.2.9/32"), Index: nic})
	b.NewRoute(rtnl.RouteSpec{Dst: netip.MustParsePrefix("2001:db8:7::/48"), Gateway: netip.MustParseAddr("2001:db8::1"), Index: nic})
	if err := s.conn.Send(&b); err != nil {
		t.Fatal(err)
	}
	if err := s.conn.WaitUp(t.Context(), peer, nic); err != nil { // then it has its link-local address, too
		t.Fatal(err)
	}
	return s
}

// state is what a namespace shows of addresses, routes and the card, without what is in motion.
func state(t *testing.T, s space) []string {
	t.Helper()
	links, err := s.conn.Links()
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(links, func(l rtnl.Link) bool { return l.Name == "card" })
	if at < 0 {
		return nil
	}
	l := links[at]
	lines := []string{fmt.Sprint("card ", l.MAC, " MTU ", l.MTU, " flags ", l.Flags&unix.IFF_UP)}
	addrs, err := s.conn.Addrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if a.Index == l.Index {
			lines = append(lines, "address "+a.Prefix.String())
		}
	}
	routes, err := s.conn.Routes()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range routes {
		if r.Type == unix.RTN_UNICAST && r.Index == l.Index {
			lines = append(lines, "route "+r.Dst.String()+" via "+r.Gateway.String())
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

func lend(t *testing.T, m, h space, run string) *Record {
	t.Helper()
	r, err := Lend(m.conn, run, "card", h.net, "nic0", inHost)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func records(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", e.Name(), info.Mode(), err)
		}
	}
	return names
}

// directory is the machine's /run, and where records of it are.
func directory(t *testing.T) (run, dir string) {
	t.Helper()
	run = t.TempDir()
	return run, filepath.Join(run, "nstest")
}

func TestALentDeviceComesBackAsItWas(t *testing.T) {
	m, h := machine(t), newSpace(t)
	run, dir := directory(t)
	before := state(t, m)
	r := lend(t, m, h, run)
	if !slices.Contains(before, "address "+address) {
		t.Errorf("the control: %q", before)
	}
	if during := state(t, m); during != nil {
		t.Errorf("the machine still has it: %q", during)
	}
	l, err := h.conn.Link(inHost)
	if err != nil || l.Name != "nic0" || l.Flags&unix.IFF_UP != 0 || l.MAC.String() != mac.String() {
		t.Errorf("in the host: %v %v", l, err)
	}
	if names := records(t, dir); len(names) != 1 {
		t.Errorf("records: %q", names)
	}
	if found, err := Abandoned(dir); err != nil || len(found) != 0 {
		t.Errorf("a device that is in use counts as abandoned: %v %v", found, err)
	}

	// The host turns it upside down.
	var b rtnl.Batch
	b.Address(inHost, net.HardwareAddr{2, 9, 9, 9, 9, 9})
	b.MTU(inHost, 1300)
	b.Rename(inHost, "mine")
	b.AddAddr(inHost, netip.MustParsePrefix("10.0.0.1/8"))
	b.LinkUp(inHost)
	if err := h.conn.Send(&b); err != nil {
		t.Fatal(err)
	}
	if err := r.GiveBack(m.conn, h.conn, inHost); err != nil {
		t.Fatal(err)
	}
	if after := state(t, m); !slices.Equal(before, after) {
		t.Errorf("before: %q\nafter:  %q", before, after)
	}
	if l, err := m.conn.Link(nic); err != nil || l.Name != "card" {
		t.Errorf("its index: %v", err)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory of records is left: %v", err)
	}
}

// The kernel returns hardware down and bare, as the device that is moved by hand here is.
func TestAnAbandonedDeviceIsRestored(t *testing.T) {
	m, h := machine(t), newSpace(t)
	run, dir := directory(t)
	before := state(t, m)
	r := lend(t, m, h, run)
	if err := r.Close(); err != nil { // the keeper dies
		t.Fatal(err)
	}
	var b rtnl.Batch
	b.Move(inHost, rtnl.MoveSpec{NetNS: m.net, Name: "dev7"})
	if err := h.conn.Send(&b); err != nil {
		t.Fatal(err)
	}
	if bare := state(t, m); bare != nil {
		t.Fatalf("it has its name already: %q", bare)
	}
	l, err := m.conn.Link(inHost)
	if err != nil {
		t.Fatal(err)
	}
	b.LinkDown(l.Index)
	if err := m.conn.Send(&b); err != nil {
		t.Fatal(err)
	}

	found, err := Abandoned(dir)
	if err != nil || len(found) != 1 {
		t.Fatalf("abandoned: %v, %v", found, err)
	}
	if again, err := Abandoned(dir); err != nil || len(again) != 0 {
		t.Errorf("two at once have it: %v, %v", again, err)
	}
	if boot, netns, err := found[0].IsOf(m.conn); !boot || !netns || err != nil {
		t.Errorf("where it belongs: %v %v %v", boot, netns, err)
	}
	if _, netns, err := found[0].IsOf(h.conn); netns || err != nil {
		t.Errorf("it belongs to the host: %v", err)
	}
	if err := found[0].GiveBack(m.conn, nil, 0); err != nil {
		t.Fatal(err)
	}
	after := state(t, m)
	if !slices.Equal(before, after) {
		t.Errorf("before: %q\nafter:  %q", before, after)
	}
	if names := records(t, dir); len(names) != 0 {
		t.Errorf("records afterwards: %q", names)
	}
}

func TestADeviceThatTheHostHasMovedAwayIsNotReplacedByAnother(t *testing.T) {
	m, h, elsewhere := machine(t), newSpace(t), newSpace(t)
	run, dir := directory(t)
	r := lend(t, m, h, run)
	var b rtnl.Batch
	b.Move(inHost, rtnl.MoveSpec{NetNS: elsewhere.net, Name: "away"})
	b.Veth(rtnl.VethSpec{Name: "nic0", Index: inHost, MAC: mac, Peer: rtnl.VethPeer{Name: "trap"}})
	if err := h.conn.Send(&b); err != nil {
		t.Fatal(err)
	}
	if err := r.GiveBack(m.conn, h.conn, inHost); !errors.Is(err, unix.ENODEV) {
		t.Errorf("got %v", err)
	}
	links, err := m.conn.Links()
	if err != nil || len(links) != 2 {
		t.Errorf("the machine has %d devices, want lo and the wire: %v", len(links), err)
	}
	if l, err := h.conn.Link(inHost); err != nil || l.Name != "nic0" {
		t.Errorf("the host's own device: %v", err)
	}
	if names := records(t, dir); len(names) != 1 {
		t.Errorf("records: %q", names)
	}
}

func TestRefusals(t *testing.T) {
	m, h := machine(t), newSpace(t)
	run, dir := directory(t)
	var b rtnl.Batch
	b.Bridge(rtnl.BridgeSpec{Name: "bridge", Index: 20})
	b.Veth(rtnl.VethSpec{Name: "port", Index: 21, Master: 20, Peer: rtnl.VethPeer{Name: "portwire", Index: 22}})
	b.Veth(rtnl.VethSpec{Name: "uplink", Index: 23, Peer: rtnl.VethPeer{Name: "upwire", Index: 24}})
	b.AddAddr(23, netip.MustParsePrefix("192.0.2.1/24"))
	b.LinkUp(23)
	b.LinkUp(24)
	b.NewRoute(rtnl.RouteSpec{Gateway: netip.MustParseAddr("192.0.2.254"), Index: 23})
	b.Veth(rtnl.VethSpec{Name: "below", Index: 25, Peer: rtnl.VethPeer{Name: "belowwire", Index: 26}})
	b.Macvlan(rtnl.MacvlanSpec{Name: "above", Index: 27, Lower: 25})
	b.Veth(rtnl.VethSpec{Name: "far", Index: 28, Peer: rtnl.VethPeer{Name: "end", Index: 29, NetNS: h.net}})
	if err := m.conn.Send(&b); err != nil {
		t.Fatal(err)
	}
	for device, errno := range map[string]unix.Errno{
		"nothing": unix.ENODEV, "lo": unix.EINVAL, "port": unix.EBUSY, "bridge": unix.EBUSY, "uplink": unix.EBUSY,
		"below": unix.EBUSY, "above": unix.EINVAL, "far": unix.EINVAL,
	} {
		_, err := Lend(m.conn, run, device, h.net, "nic0", inHost)
		var r *Refusal
		if !errors.As(err, &r) || r.Errno != errno {
			t.Errorf("%s: %v", device, err)
		}
		t.Log(err)
	}
	if names := records(t, dir); len(names) != 0 {
		t.Errorf("records: %q", names)
	}
}

func TestHardwareIsKnownByWhatAHostCannotMakeUp(t *testing.T) {
	card := func(kind, bus, name string, permanent []byte) rtnl.Link {
		return rtnl.Link{Kind: kind, Attributes: map[uint16][]byte{56: []byte(name + "\x00"), 57: []byte(bus + "\x00"), 54: permanent}}
	}
	real := card("", "pci", "0000:00:03.0", []byte(mac))
	r := Record{Hardware: real.Hardware(), Permanent: real.Permanent()}
	if r.Hardware != "pci/0000:00:03.0" || !r.is(real) {
		t.Errorf("%q is not itself", r.Hardware)
	}
	for name, l := range map[string]rtnl.Link{
		"a dummy": card("dummy", "pci", "0000:00:03.0", []byte(mac)), "another card": card("", "pci", "0000:00:04.0", []byte(mac)),
		"another address": card("", "pci", "0000:00:03.0", make([]byte, 6)), "lo": {},
	} {
		if r.is(l) {
			t.Errorf("%s passes for it", name)
		}
	}
}

func TestDirectory(t *testing.T) {
	run := t.TempDir()
	dir, err := directoryBelow(run)
	if err != nil || dir != filepath.Join(run, "nstest") {
		t.Fatalf("%s, %v", dir, err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := check(dir); err == nil {
		t.Error("a directory that everybody can write was accepted")
	}
	if err := os.WriteFile(filepath.Join(dir, "card-1.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if list, err := Abandoned(dir); err == nil || len(list) != 0 {
		t.Errorf("records of others were read: %v", list)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, unfinished+"1"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := Abandoned(dir)
	if err != nil || len(list) != 1 {
		t.Fatalf("our own: %v, %v", list, err)
	}
	if err := list[0].Discard(); err != nil {
		t.Error(err)
	}
	if left := records(t, dir); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
	if list, err := Abandoned(filepath.Join(run, "absent")); err != nil || len(list) != 0 {
		t.Errorf("without a directory: %v, %v", list, err)
	}
}
