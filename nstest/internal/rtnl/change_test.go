package rtnl

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMoveToAnotherBridge(t *testing.T) {
	first, firstNS := newNet(t)
	second, secondNS := newNet(t)
	host, hostNS := newNet(t)
	for _, c := range []*Conn{first, second} {
		send(t, c, func(b *Batch) {
			b.Bridge(BridgeSpec{Name: "br0", Index: 2, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}})
			b.LinkUp(2)
		})
	}
	send(t, first, func(b *Batch) {
		b.NSID(firstNS, 0)
		b.Veth(VethSpec{Name: "p3", Index: 3, Master: 2, Up: true, Peer: VethPeer{Name: "eth0", Index: 5, NetNS: hostNS}})
	})
	send(t, host, func(b *Batch) { b.LinkUp(5) })
	ctx := timeout(t, 30*time.Second)
	if err := errors.Join(first.WaitUp(ctx, 3), host.WaitUp(ctx, 5)); err != nil {
		t.Fatal(err)
	}
	send(t, first, func(b *Batch) { b.LinkDown(3) })
	if err := first.WaitCarrierLoss(ctx, 3); err != nil {
		t.Fatal(err)
	}
	if eth, err := host.Link(5); err != nil || eth.OperState == Up {
		t.Errorf("the host's end is %s, %v", eth.OperState, err)
	}
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 9}
	send(t, first, func(b *Batch) { b.Move(3, MoveSpec{NetNS: secondNS, Name: "p9", Index: 9, Master: 2, MAC: mac}) })
	if _, err := first.Link(3); !errors.Is(err, unix.ENODEV) {
		t.Errorf("in the namespace that was left: %v", err)
	}
	port, err := second.Link(9)
	if err != nil || port.Name != "p9" || port.Master != 2 || port.MAC.String() != mac.String() || port.Flags&unix.IFF_UP != 0 {
		t.Errorf("port: %+v, %v", port, err)
	}
	send(t, second, func(b *Batch) {
		b.Learning(9, false)
		b.LinkUp(9)
	})
	if err := errors.Join(second.WaitUp(ctx, 9), host.WaitUp(ctx, 5)); err != nil {
		t.Error(err)
	}
}

func TestAddressesComeAndGo(t *testing.T) {
	c, _ := newNet(t)
	send(t, c, func(b *Batch) { b.Bridge(BridgeSpec{Name: "br0", Index: 2}); b.LinkUp(2) })
	for _, addr := range []netip.Prefix{netip.MustParsePrefix("10.1.2.3/24"), netip.MustParsePrefix("fd00::3/64")} {
		has := func() bool {
			t.Helper()
			list, err := c.Addrs()
			if err != nil {
				t.Fatal(err)
			}
			return slices.ContainsFunc(list, func(a Addr) bool { return a.Prefix == addr })
		}
		send(t, c, func(b *Batch) { b.AddAddr(2, addr) })
		if !has() {
			t.Errorf("%s was not added", addr)
		}
		send(t, c, func(b *Batch) { b.DelAddr(2, addr) })
		if has() {
			t.Errorf("%s was not deleted", addr)
		}
		var again Batch
		again.DelAddr(2, addr)
		if err := c.Send(&again); !errors.Is(err, unix.EADDRNOTAVAIL) {
			t.Errorf("deleting %s again: %v", addr, err)
		}
	}
}

func TestChangesRefuseBadInput(t *testing.T) {
	c, ns := newNet(t)
	for name, add := range map[string]func(*Batch){
		"move of nothing": func(b *Batch) { b.Move(0, MoveSpec{NetNS: ns, Name: "p3", Index: 3}) },
		"move to nowhere": func(b *Batch) { b.Move(3, MoveSpec{Name: "p3", Index: 3}) },
		"move to index 0": func(b *Batch) { b.Move(3, MoveSpec{NetNS: ns, Name: "p3"}) },
		"move to a group MAC": func(b *Batch) {
			b.Move(3, MoveSpec{NetNS: ns, Name: "p3", Index: 3, MAC: net.HardwareAddr{1, 0, 0, 0, 0, 0}})
		},
		"learning of nothing": func(b *Batch) { b.Learning(-1, true) },
		"no address":          func(b *Batch) { b.DelAddr(2, netip.Prefix{}) },
	} {
		var b Batch
		add(&b)
		if err := c.Send(&b); err == nil || b.Len() != 0 {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
