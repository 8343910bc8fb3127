package lan

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/rtnl"
)

// pair is two cabled switches with a host each.
func pair(t *testing.T, p *Pool) (switches [2]*Switch, trunk *Trunk, hosts [2]*host, ports [2]PortID) {
	t.Helper()
	for i := range switches {
		switches[i] = get(t, p)
		hosts[i] = newHost(t, byte(i+1))
		ports[i] = attach(t, switches[i], hosts[i])[0]
	}
	trunk, err := switches[1].Trunk(within(t, 30*time.Second), switches[0])
	if err != nil {
		t.Fatal(err)
	}
	return switches, trunk, hosts, ports
}

// mac is the address of the host's eth0.
func (h *host) mac(tb testing.TB) (mac [6]byte) {
	tb.Helper()
	l, err := h.conn.Link(2)
	if err != nil {
		tb.Fatal(err)
	}
	copy(mac[:], l.MAC)
	return mac
}

func TestTrunkMakesOneSegment(t *testing.T) {
	p := newPool(t)
	switches, trunk, hosts, _ := pair(t, p)
	a, b := hosts[0].listen(t, hosts[0].v4), hosts[1].listen(t, hosts[1].v4)
	mustReach(t, "across the trunk", a, b)
	if err := trunk.Set(false); err != nil {
		t.Fatal(err)
	}
	if _, err := roundTrip(a, b, 200*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("with the trunk pulled: %v", err)
	}
	if err := trunk.Set(true); err != nil {
		t.Fatal(err)
	}
	mustReach(t, "with the trunk plugged in again", a, b)
	for _, s := range switches {
		p.Put(s)
	}
	if s := p.Stats(); s.Discarded != 2 {
		t.Errorf("after the leases %+v, want both discarded: they cannot be told from used ones", s)
	}
}

func TestBlockAcrossATrunk(t *testing.T) {
	p := newPool(t)
	switches, _, hosts, ports := pair(t, p)
	other := newHost(t, 3)
	attach(t, switches[1], other)
	a, b, c := hosts[0].listen(t, hosts[0].v6), hosts[1].listen(t, hosts[1].v6), other.listen(t, other.v6)
	mustReach(t, "before", a, b)
	for i, s := range switches {
		if err := s.Block(Cut{Remotes: []Remote{{ports[i], hosts[1-i].mac(t)}}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range [][2]*net.UDPConn{{a, b}, {b, a}} {
		if _, err := roundTrip(d[0], d[1], 200*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("blocked: %v", err)
		}
	}
	mustReach(t, "a third host", a, c)
	for _, s := range switches {
		if err := s.Unblock(); err != nil {
			t.Fatal(err)
		}
	}
	mustReach(t, "afterwards", a, b)
}

// One half of a block is enough for either direction of its own.
func TestBlockOfARemoteAtOneSwitch(t *testing.T) {
	p := newPool(t)
	switches, _, hosts, ports := pair(t, p)
	a, b := hosts[0].listen(t, hosts[0].v4), hosts[1].listen(t, hosts[1].v4)
	mustReach(t, "before", a, b) // and now both know each other's address
	if err := switches[0].Block(Cut{Remotes: []Remote{{ports[0], hosts[1].mac(t)}}}); err != nil {
		t.Fatal(err)
	}
	for name, d := range map[string][2]*net.UDPConn{"to the address": {a, b}, "from the address": {b, a}} {
		if err := d[1].SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		to := netip.MustParseAddrPort(d[1].LocalAddr().String())
		if _, err := d[0].WriteToUDPAddrPort([]byte("x"), to); err != nil {
			t.Fatal(err)
		}
		if _, _, err := d[1].ReadFromUDPAddrPort(make([]byte, 9)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSpanBreaksALoop(t *testing.T) {
	p := newPool(t)
	var ring [3]*Switch
	for i := range ring {
		ring[i] = get(t, p)
		if err := ring[i].Span(i + 1); err != nil {
			t.Fatal(err)
		}
	}
	ctx := within(t, 30*time.Second)
	for _, ends := range [][2]int{{1, 0}, {2, 0}, {2, 1}} {
		if _, err := ring[ends[0]].Trunk(ctx, ring[ends[1]]); err != nil {
			t.Fatal(err)
		}
	}
	a, b := newHost(t, 1), newHost(t, 2)
	var wg sync.WaitGroup
	for i, h := range []*host{a, b} {
		wg.Go(func() {
			if _, err := tryAttach(ctx, ring[i+1], h); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	mustReach(t, "around the ring", a.listen(t, a.v4), b.listen(t, b.v4))
	blocking := 0
	for _, s := range ring {
		for port := range s.trunks {
			l, err := s.bridge.route.Link(int(port))
			if err != nil {
				t.Fatal(err)
			}
			if state, ok := l.PortState(); !ok {
				t.Errorf("port %d has no state", port)
			} else if state == rtnl.Blocking {
				blocking++
			}
		}
	}
	if blocking != 1 {
		t.Errorf("%d ports of the ring are blocking, want one", blocking)
	}
}

func TestTrunkRefusals(t *testing.T) {
	p := newPool(t)
	a, b := get(t, p), get(t, p)
	if _, err := a.Trunk(context.Background(), a); err == nil {
		t.Error("a switch was cabled to itself")
	}
	if _, err := a.Trunk(context.Background(), nil); !errors.Is(err, ErrReleased) {
		t.Errorf("a trunk to no switch: %v", err)
	}
	attach(t, a, newHost(t, 1))
	if err := a.Span(1); err == nil {
		t.Error("the spanning tree was set on a switch with a port")
	}
	if err := b.Span(MaxNumber + 1); err == nil {
		t.Error("a switch got a number that is too large")
	}
	p.Put(b)
	if _, err := a.Trunk(context.Background(), b); !errors.Is(err, ErrReleased) {
		t.Errorf("a trunk to a switch that was put back: %v", err)
	}
}
