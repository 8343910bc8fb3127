package lan

import (
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/internal/rtnl"
)

// move moves a host's cable, and waits until frames can pass.
func move(t *testing.T, from *Switch, id PortID, to *Switch) PortID {
	t.Helper()
	moved, err := from.Move(within(t, 30*time.Second), id, to)
	if err == nil {
		err = to.SetPort(moved, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	return moved
}

func TestMoveLeavesTheHostsDeviceAsItIs(t *testing.T) {
	p := newPool(t)
	first, second := get(t, p), get(t, p)
	a, b, c := newHost(t, 1), newHost(t, 2), newHost(t, 3)
	ids := attach(t, first, a, b)
	attach(t, second, c)
	inA, inB, inC := a.listen(t, a.v4), b.listen(t, b.v4), c.listen(t, c.v4)
	mustReach(t, "before, on the same switch", inA, inB)
	mustNotReach(t, "before, on the other switch", inA, inC)
	before, err := a.conn.Link(2)
	if err != nil {
		t.Fatal(err)
	}

	moved := move(t, first, ids[0], second)
	mustReach(t, "afterwards, on the new switch", inA, inC)
	mustNotReach(t, "afterwards, on the switch that was left", inA, inB)
	after, err := a.conn.Link(2)
	if err != nil {
		t.Fatal(err)
	}
	if after.Name != before.Name || after.MAC.String() != before.MAC.String() || after.OperState != rtnl.Up {
		t.Errorf("the host's device was %s %s and is %s %s %s", before.Name, before.MAC, after.Name, after.MAC, after.OperState)
	}
	if err := first.SetPort(ids[0], true); err == nil {
		t.Error("the switch that was left still knows the port")
	}
	if back := move(t, second, moved, first); back == ids[0] {
		t.Errorf("port %d has its old number again", back)
	}
	mustReach(t, "on the first switch again", inA, inB)
}

func TestMoveTellsTheHost(t *testing.T) {
	p := newPool(t)
	first, second := get(t, p), get(t, p)
	a := newHost(t, 1)
	ids := attach(t, first, a)
	const downs = unix.IFLA_CARRIER_DOWN_COUNT
	count := func() string {
		l, err := a.conn.Link(2)
		if err != nil {
			t.Fatal(err)
		}
		return string(l.Attributes[downs])
	}
	before := count()
	if count() != before {
		t.Fatal("the counter moves on its own")
	}
	move(t, first, ids[0], second)
	if count() == before {
		t.Error("the host's carrier did not go")
	}
}

func TestSwitchThatAPortWasMovedFromIsNotUsedAgain(t *testing.T) {
	p := newPool(t)
	first, second := get(t, p), get(t, p)
	a := newHost(t, 1)
	b := first.bridge
	ids := attach(t, first, a)
	before, err := b.route.NSIDs()
	if err != nil {
		t.Fatal(err)
	}
	move(t, first, ids[0], second)
	after, err := b.route.NSIDs()
	if err != nil {
		t.Fatal(err)
	}
	if len(after) <= len(before) {
		t.Errorf("the switch has numbers %v, and had %v: it could be used again", after, before)
	}
	discarded := p.Stats().Discarded
	p.Put(first)
	if got := p.Stats().Discarded - discarded; got != 1 {
		t.Errorf("%d switches were discarded, want the one", got)
	}
	p.Put(second)
}

func TestSwitchThatAPortWasMovedToIsLikeANewOne(t *testing.T) {
	p := newPool(t)
	fresh, other, used := get(t, p), get(t, p), get(t, p)
	b := used.bridge
	want := state(t, fresh.bridge)
	a, c := newHost(t, 1), newHost(t, 2)
	small := c.port()
	small.MTU = 1280
	idsA := attach(t, other, a)
	idsC, err := other.Attach(within(t, 30*time.Second), small)
	if err != nil {
		t.Fatal(err)
	}
	move(t, other, idsA[0], used)
	move(t, other, idsC[0], used)
	if worn := strings.Join(diff(want, state(t, b)), "\n"); !strings.Contains(worn, "+ link p3") || !strings.Contains(worn, "+ link p4") {
		t.Errorf("in use it has no ports p3 and p4:\n%s", worn)
	}
	a.close()
	c.close()
	p.Put(used)
	eventually(t, "the switch is idle again", func() bool { return p.Stats().Draining == 0 })
	if d := diff(want, state(t, b)); len(d) > 0 {
		t.Errorf("the used switch differs from a fresh one:\n%s", strings.Join(d, "\n"))
	}
}

func TestDetachLeavesACleanSwitch(t *testing.T) {
	p := newPool(t)
	fresh, s := get(t, p), get(t, p)
	want := state(t, fresh.bridge)
	a, b := newHost(t, 1), newHost(t, 2)
	ids := attach(t, s, a, b)
	mustReach(t, "before", a.listen(t, a.v4), b.listen(t, b.v4))
	if err := s.SetMTU(ids[0], 1280); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if err := s.Detach(id); err != nil {
			t.Fatal(err)
		}
	}
	for _, h := range []*host{a, b} {
		if links, err := h.conn.Links(); err != nil || len(links) != 1 {
			t.Errorf("the host has %d links (%v), want lo alone", len(links), err)
		}
	}
	if err := s.Detach(ids[0]); err == nil {
		t.Error("a port was detached twice")
	}
	// The numbers of the hosts' namespaces stay until these end.
	d := slices.DeleteFunc(diff(want, state(t, s.bridge)), func(l string) bool { return strings.Contains(l, "numbers of namespaces") })
	if len(d) > 0 {
		t.Errorf("the used switch differs from a fresh one:\n%s", strings.Join(d, "\n"))
	}
}

func TestMoveRefusesBadInput(t *testing.T) {
	p := newPool(t)
	first, second := get(t, p), get(t, p)
	a := newHost(t, 1)
	ids := attach(t, first, a)
	ctx := within(t, 30*time.Second)
	if _, err := first.Move(ctx, ids[0], first); !errors.Is(err, unix.EINVAL) {
		t.Errorf("to the same switch: %v", err)
	}
	if _, err := first.Move(ctx, 99, second); err == nil {
		t.Error("a port that does not exist was moved")
	}
	if err := first.SetPort(ids[0], true); err != nil {
		t.Errorf("the port afterwards: %v", err)
	}
	p.Put(second)
	if _, err := first.Move(ctx, ids[0], second); !errors.Is(err, ErrReleased) {
		t.Errorf("to a switch that was put back: %v", err)
	}
}

func TestHubSendsToAll(t *testing.T) {
	p := newPool(t)
	for name, hub := range map[string]bool{"hub": true, "switch": false} {
		s := get(t, p)
		if hub {
			s.SetHub()
		}
		a, b, c := newHost(t, 1), newHost(t, 2), newHost(t, 3)
		attach(t, s, a, b, c)
		inA, inB := a.listen(t, a.v4), b.listen(t, b.v4)
		mustReach(t, name, inA, inB) // by now a switch knows both
		before := received(t, c)
		const rounds = 20
		for range rounds {
			mustReach(t, name, inA, inB)
		}
		got := received(t, c) - before
		if saw := got >= 2*rounds; saw != hub {
			t.Errorf("%s: the third host has got %d frames in %d round trips of others", name, got, rounds)
		}
	}
}

// received is how many frames have come to the host.
func received(t *testing.T, h *host) int {
	t.Helper()
	l, err := h.conn.Link(2)
	if err != nil {
		t.Fatal(err)
	}
	return int(l.Stats.RxPackets)
}

func TestReserved(t *testing.T) {
	for text, want := range map[string]bool{"02:6e:73:00:00:01": true, "02:6e:74:00:00:01": false, "02:42:0a:01:00:02": false} {
		mac, err := net.ParseMAC(text)
		if err != nil {
			t.Fatal(err)
		}
		if Reserved(mac) != want {
			t.Errorf("%s: got %v", text, !want)
		}
	}
}
