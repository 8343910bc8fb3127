package firewall

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"testing"

	"github.com/hermetic-go/nstest/nstest/internal/ns"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

func newNet(t *testing.T) *os.File {
	t.Helper()
	netns, err := ns.InNewNet(func() error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { netns.Close() })
	return netns
}

func open(t *testing.T, netns *os.File) *Filter {
	t.Helper()
	f, err := Open(netns)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// chains are how many rules each chain of the namespace has.
func chains(t *testing.T, netns *os.File) map[string]int {
	t.Helper()
	var conn *netlink.Conn
	err := ns.InNet(netns, func() (err error) {
		conn, err = netlink.Dial(unix.NETLINK_NETFILTER, nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// name is the value of the attribute of this kind in each object of the namespace.
	names := func(get int, kind uint16) (list []string) {
		replies, err := conn.Execute(netlink.Message{
			Header: netlink.Header{Type: netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | get), Flags: netlink.Request | netlink.Dump},
			Data:   make([]byte, 4),
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range replies {
			attributes, err := netlink.UnmarshalAttributes(m.Data[4:])
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range attributes {
				if a.Type == kind {
					list = append(list, string(bytes.TrimRight(a.Data, "\x00")))
				}
			}
		}
		return list
	}
	count := map[string]int{}
	for _, name := range names(unix.NFT_MSG_GETTABLE, unix.NFTA_TABLE_NAME) {
		count["table "+name] = 1
	}
	for _, name := range names(unix.NFT_MSG_GETCHAIN, unix.NFTA_CHAIN_NAME) {
		count[name] = 0
	}
	for _, name := range names(unix.NFT_MSG_GETRULE, unix.NFTA_RULE_CHAIN) {
		count[name]++
	}
	return count
}

var (
	web  = []netip.Prefix{netip.MustParsePrefix("10.1.0.2/32"), netip.MustParsePrefix("fd00::2/128")}
	lans = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("10.2.0.0/16"), netip.MustParsePrefix("fd00::/64")}
	all  = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
)

func TestSetAndRemove(t *testing.T) {
	netns := newNet(t)
	filter := open(t, netns)
	if err := filter.Set(Firewall{Rules: []Rule{{From: web, Protocol: TCP, Ports: []Ports{{80, 80}}, Directions: []Direction{In}}}, Default: Drop}); err != nil {
		t.Fatal(err)
	}
	got := chains(t, netns)
	// One rule for each family, and the default.
	for chain, want := range map[string]int{"table " + table: 1, "in": 3, "out": 1, "through": 1, "in-packets": 3, "out-packets": 1, "reject": 2} {
		if n := got[chain]; n != want {
			t.Errorf("%s: %d, want %d", chain, n, want)
		}
	}
	if err := filter.Set(Firewall{Default: Reject, Stateless: true}); err != nil {
		t.Fatal(err)
	}
	got = chains(t, netns)
	if n, ok := got["in"]; ok || got["in-packets"] != 1 {
		t.Errorf("got %v (%d): want the new firewall alone", got, n)
	}
	for range 2 { // the second time there is none
		if err := filter.Remove(); err != nil {
			t.Fatal(err)
		}
		if got := chains(t, netns); len(got) != 0 {
			t.Errorf("got %v: want nothing", got)
		}
	}
}

// A firewall that the kernel refuses leaves the one before in force, whole.
func TestRefusedSetChangesNothing(t *testing.T) {
	netns := newNet(t)
	filter := open(t, netns)
	if err := filter.Set(Firewall{Rules: []Rule{{From: web}}, Default: Drop}); err != nil {
		t.Fatal(err)
	}
	before := chains(t, netns)
	bad := compile(Firewall{Default: Allow}, firstPriority)
	bad.rule("no-such-chain", accept)
	bad.table()
	if err := filter.load(bad); !errors.Is(err, unix.ENOENT) {
		t.Errorf("got %v, want ENOENT", err)
	}
	if after := chains(t, netns); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("got %v, want %v", after, before)
	}
}

func (t *transaction) size() (bytes int) {
	for _, m := range t.messages {
		bytes += unix.NLMSG_HDRLEN + len(m.Data)
	}
	return bytes
}

// The largest firewall goes into one message of root, and as many usual rules into one of an ordinary user.
func TestLargest(t *testing.T) {
	var largest, usual Firewall
	for i := range MostRules {
		var ports []Ports
		for k := range MostPorts {
			ports = append(ports, Ports{uint16(i + 300*k + 1), uint16(i + 300*k + 2)})
		}
		own := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
		largest.Rules = append(largest.Rules, Rule{Verdict: Reject, From: append([]netip.Prefix{netip.PrefixFrom(own, 32)}, lans...), To: lans, Protocol: TCP, Ports: ports})
		usual.Rules = append(usual.Rules, Rule{Verdict: Drop, Directions: []Direction{In}, From: []netip.Prefix{netip.PrefixFrom(own, 32), web[1]}, Protocol: TCP, Ports: ports[:1]})
	}
	if size := compile(largest, firstPriority).size(); size > sendBuffer {
		t.Errorf("the largest firewall needs %d bytes, more than the %d of the send buffer", size, sendBuffer)
	}
	const stock = 2 * 212992 // net.core.wmem_max
	if size := compile(usual, firstPriority).size(); size > stock {
		t.Errorf("%d usual rules need %d bytes, more than the %d that an ordinary user may send", MostRules, size, stock)
	}
	netns := newNet(t)
	filter := open(t, netns)
	if err := filter.Set(usual); err != nil {
		t.Error(err)
	}
	switch err := filter.Set(largest); {
	case errors.Is(err, unix.EMSGSIZE):
		t.Logf("this user cannot send it: %v", err)
	case err != nil:
		t.Error(err)
	}
}

// The kernel takes whatever rules there can be.
func TestRandom(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	netns := newNet(t)
	filter := open(t, netns)
	for i := range 100 {
		f := random(r)
		if err := filter.Set(f); err != nil {
			t.Fatalf("round %d: %v\n%+v", i, err, f)
		}
	}
}

func random(r *rand.Rand) Firewall {
	f := Firewall{Default: Verdict(r.IntN(3)), Stateless: r.IntN(4) == 0}
	prefixes := func() []netip.Prefix {
		switch r.IntN(4) {
		case 0:
			return nil
		case 1:
			return []netip.Prefix{}
		}
		list := append([]netip.Prefix{}, [][]netip.Prefix{web, lans, all}[r.IntN(3)]...)
		r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		return list[:1+r.IntN(len(list))]
	}
	for range r.IntN(8) {
		rule := Rule{Verdict: Verdict(r.IntN(3)), From: prefixes(), To: prefixes(), Protocol: []Protocol{AnyProtocol, ICMP, TCP, UDP}[r.IntN(4)]}
		for d := range 3 {
			if r.IntN(2) == 0 {
				rule.Directions = append(rule.Directions, Direction(d))
			}
		}
		if rule.Protocol == TCP || rule.Protocol == UDP {
			for range r.IntN(4) {
				first := 1 + r.IntN(65535)
				rule.Ports = append(rule.Ports, Ports{uint16(first), uint16(first + r.IntN(65536-first))})
			}
		}
		if rule.Protocol == TCP && !f.Stateless && r.IntN(3) == 0 {
			p := web[r.IntN(2)]
			rule.Verdict, rule.Redirect = Allow, netip.AddrPortFrom(p.Addr(), 8080)
			if r.IntN(2) == 0 {
				rule.Segment = p
			}
		}
		f.Rules = append(f.Rules, rule)
	}
	return f
}
