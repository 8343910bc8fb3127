package lan

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/internal/rtnl"
)

// askedAgain is after what time the kernel asks once more for an address, when the first question or answer was lost.
const askedAgain = time.Second

func TestFirstPacket(t *testing.T) {
	p := newPool(t)
	tries := 200
	if testing.Short() {
		tries = 50
	}
	var times [2][]time.Duration
	for range tries {
		s := get(t, p)
		a, b := newHost(t, 1), newHost(t, 2)
		attach(t, s, a, b)
		for i, addr := range []func(*host) netip.Addr{func(h *host) netip.Addr { return h.v4 }, func(h *host) netip.Addr { return h.v6 }} {
			d, err := roundTrip(a.listen(t, addr(a)), b.listen(t, addr(b)), 10*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			times[i] = append(times[i], d)
		}
		a.close()
		b.close()
		p.Put(s)
	}
	for i, family := range []string{"IPv4", "IPv6"} {
		slices.Sort(times[i])
		median, worst := times[i][tries/2], times[i][tries-1]
		t.Logf("%s: median %v, worst %v", family, median, worst)
		if worst >= askedAgain {
			t.Errorf("%s: the first round trip takes %v at worst, as if something were lost", family, worst)
		}
	}
}

func TestAttachNumbersPortsAnewForEveryLease(t *testing.T) {
	p := newPool(t)
	for range 3 {
		s := get(t, p)
		a, b, c := newHost(t, 1), newHost(t, 2), newHost(t, 3)
		ids := append(attach(t, s, a, b), attach(t, s, c)...)
		if !slices.Equal(ids, []PortID{3, 4, 5}) {
			t.Errorf("got ports %v, want 3, 4, 5", ids)
		}
		for _, h := range []*host{a, b, c} {
			h.close()
		}
		p.Put(s)
		eventually(t, "the switch is idle again", func() bool { return p.Stats().Idle > 0 })
	}
	if made := p.Stats().Made; made != 1 {
		t.Errorf("%d switches were made, want one", made)
	}
}

func TestAttachUndoesWhatItBegan(t *testing.T) {
	p := newPool(t)
	s := get(t, p)
	a, b := newHost(t, 1), newHost(t, 2)
	bad := b.port()
	bad.Name = "lo" // exists
	if _, err := s.Attach(context.Background(), a.port(), bad); !errors.Is(err, unix.EEXIST) {
		t.Fatalf("got %v, want EEXIST", err)
	}
	links, err := a.conn.Links()
	if err != nil || len(links) != 1 {
		t.Errorf("the first host has %d links (%v), want lo alone", len(links), err)
	}
	links, err = s.bridge.route.Links()
	if err != nil || len(links) != 2 {
		t.Errorf("the switch has %d links (%v), want lo and br0", len(links), err)
	}
	attach(t, s, a, b) // and it goes on working
}

func TestAttachRefusesBadInput(t *testing.T) {
	p := newPool(t)
	s := get(t, p)
	a := newHost(t, 1)
	for name, change := range map[string]func(*Port){
		"no namespace":         func(p *Port) { p.NetNS = nil },
		"index of lo":          func(p *Port) { p.Index = 1 },
		"no name":              func(p *Port) { p.Name = "" },
		"long name":            func(p *Port) { p.Name = "a-name-of-16-chr" },
		"the switch's address": func(p *Port) { p.MAC = deviceMAC(3) },
		"short address":        func(p *Port) { p.MAC = net.HardwareAddr{2, 0} },
		"negative MTU":         func(p *Port) { p.MTU = -1 },
	} {
		port := a.port()
		change(&port)
		if ids, err := s.Attach(context.Background(), port); err == nil {
			t.Errorf("%s: accepted as %v", name, ids)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Attach(ctx, a.port()); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
	for _, id := range []PortID{0, 2, 3, 100} {
		if err := s.SetPort(id, false); err == nil {
			t.Errorf("SetPort %d: accepted", id)
		}
		if err := s.Block(Cut{Pairs: []Pair{{id, id + 1}}}); err == nil {
			t.Errorf("Block %d: accepted", id)
		}
	}
}

func TestSetPortPullsTheCable(t *testing.T) {
	p := newPool(t)
	s := get(t, p)
	a, b := newHost(t, 1), newHost(t, 2)
	ids := attach(t, s, a, b)
	ca, cb := a.listen(t, a.v4), b.listen(t, b.v4)
	addrs, err := a.conn.Addrs()
	if err != nil {
		t.Fatal(err)
	}
	mustReach(t, "before", ca, cb)
	for range 20 {
		if err := s.SetPort(ids[0], false); err != nil {
			t.Fatal(err)
		}
		eth, err := a.conn.Link(2)
		if err != nil || eth.Flags&unix.IFF_UP == 0 || eth.Flags&unix.IFF_LOWER_UP != 0 {
			t.Errorf("the host's end while pulled: flags %#x (%v), want up without carrier", eth.Flags, err)
		}
		if err := s.SetPort(ids[0], true); err != nil {
			t.Fatal(err)
		}
		if d, err := roundTrip(ca, cb, 5*time.Second); err != nil || d >= askedAgain {
			t.Errorf("the first packet after it was plugged: %v, %v; want less than %v", d, err, askedAgain)
		}
	}
	if now, err := a.conn.Addrs(); err != nil || !slices.Equal(now, addrs) {
		t.Errorf("addresses afterwards: %v, %v; want %v", now, err, addrs)
	}
	if err := s.SetPort(ids[1], false); err != nil {
		t.Fatal(err)
	}
	mustNotReach(t, "while the other's cable is pulled", ca, cb)
	var down rtnl.Batch
	down.LinkDown(2)
	if err := a.conn.Send(&down); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.SetPort(ids[0], false), s.SetPort(ids[0], true)); err != nil {
		t.Errorf("a host that is down itself: %v", err)
	}
}

func TestBlockDropsFramesOfThePairsAlone(t *testing.T) {
	p := newPool(t)
	for _, family := range []string{"IPv4", "IPv6"} {
		t.Run(family, func(t *testing.T) {
			s := get(t, p)
			hosts := []*host{newHost(t, 1), newHost(t, 2), newHost(t, 3)}
			ids := attach(t, s, hosts...)
			var c []*net.UDPConn
			for _, h := range hosts {
				addr := h.v4
				if family == "IPv6" {
					addr = h.v6
				}
				c = append(c, h.listen(t, addr))
			}
			// Before anybody knows anybody's address: ARP and neighbour discovery are cut as well.
			if err := s.Block(Cut{Pairs: []Pair{{ids[0], ids[1]}}}); err != nil {
				t.Fatal(err)
			}
			mustNotReach(t, "0 and 1 while blocked", c[0], c[1])
			neighbours, err := hosts[1].conn.Neighbours()
			if err != nil || slices.ContainsFunc(neighbours, func(n rtnl.Neighbour) bool { return n.Addr == hosts[0].v4 || n.Addr == hosts[0].v6 }) {
				t.Errorf("a blocked host was heard: %v, %v", neighbours, err)
			}
			mustReach(t, "0 and 2", c[0], c[2])
			mustReach(t, "1 and 2", c[1], c[2])

			if err := s.Block(Cut{Pairs: []Pair{{ids[2], ids[0]}, {ids[1], ids[2]}, {ids[2], ids[1]}}}); err != nil {
				t.Fatal(err)
			}
			drain(c...)
			mustReach(t, "0 and 1 after another fault replaced theirs", c[0], c[1])
			mustNotReach(t, "0 to 2 while blocked", c[0], c[2])
			mustNotReach(t, "2 to 1 while blocked", c[2], c[1])

			if err := s.Unblock(); err != nil {
				t.Fatal(err)
			}
			drain(c...)
			mustReach(t, "0 and 2 after the end", c[0], c[2])
			if got := ruleset(t, s.bridge); len(got) != 0 {
				t.Errorf("the ruleset of an unblocked switch: %v", got)
			}
		})
	}
}

// drain reads what arrived late.
func drain(conns ...*net.UDPConn) {
	buf := make([]byte, 16)
	for _, c := range conns {
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		for {
			if _, err := c.Read(buf); err != nil {
				break
			}
		}
	}
}

func TestBlockManyPairs(t *testing.T) {
	p := newPool(t)
	s := get(t, p)
	for i := range PortID(100) { // as if they had been attached
		s.ports[firstPort+i] = true
	}
	var pairs []Pair
	for i := range PortID(50) {
		for j := range PortID(50) {
			pairs = append(pairs, Pair{firstPort + i, firstPort + 50 + j})
		}
	}
	for range 2 {
		if err := s.Block(Cut{Pairs: pairs}); err != nil {
			t.Fatal(err)
		}
	}
	if got := ruleset(t, s.bridge); !slices.Contains(got, fmt.Sprintf("set blocked1: %d elements", 2*len(pairs))) {
		t.Errorf("ruleset: %v", got)
	}
}

func TestReleasedSwitch(t *testing.T) {
	p := newPool(t)
	s := get(t, p)
	a := newHost(t, 1)
	ids, err := s.Attach(context.Background(), a.port()) // its other end stays down
	if err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error, 1)
	go func() { waiting <- s.WaitUp(context.Background(), ids...) }()
	a.close()
	p.Put(s)
	if err := <-waiting; !errors.Is(err, ErrReleased) && !errors.Is(err, unix.ENODEV) {
		t.Errorf("who waited got %v, want ErrReleased", err)
	}
	_, attachErr := s.Attach(context.Background(), a.port())
	_, statsErr := s.Stats()
	for name, err := range map[string]error{
		"Attach": attachErr, "Stats": statsErr, "SetPort": s.SetPort(3, false), "Block": s.Block(), "WaitUp": s.WaitUp(context.Background()),
	} {
		if !errors.Is(err, ErrReleased) {
			t.Errorf("%s: got %v, want ErrReleased", name, err)
		}
	}
	p.Put(s)
	eventually(t, "one idle switch", func() bool { return p.Stats() == PoolStats{Made: 1, Leases: 1, Idle: 1} })
}

func TestSwitchIsSilentWithoutWritableSysctls(t *testing.T) {
	p := newPool(t)
	p.sysctls = t.TempDir()
	s := get(t, p)
	if s.bridge.silent {
		t.Skip("this machine has no IPv6")
	}
	a, b := newHost(t, 1), newHost(t, 2)
	attach(t, s, a, b)
	addrs, err := s.bridge.route.Addrs()
	if err != nil || len(addrs) != 0 {
		t.Errorf("addresses of the switch: %v, %v; want none", addrs, err)
	}
	mustReach(t, "hosts", a.listen(t, a.v6), b.listen(t, b.v6))
}
