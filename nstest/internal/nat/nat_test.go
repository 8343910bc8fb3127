package nat

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/internal/ns"
)

func newNet(t *testing.T) *os.File {
	t.Helper()
	f, err := ns.InNewNet(func() error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func spec(kind Kind) Spec {
	return Spec{
		Outside: 2, Inside: []int{3, 4}, Addr4: netip.MustParseAddr("192.0.2.1"), Addr6: netip.MustParseAddr("2001:db8::1"), Kind: kind, Hairpin: true,
		Forwards: []Forward{
			{unix.IPPROTO_TCP, 80, netip.MustParseAddrPort("10.0.0.2:8080")},
			{unix.IPPROTO_UDP, 53, netip.MustParseAddrPort("[fd00::2]:53")},
		},
		Timeouts: Timeouts{UDP: 5 * time.Second, TCP: 7 * time.Second},
	}
}

// tables are the names of the tables in a network namespace, with the number of their rules.
func tables(t *testing.T, netns *os.File) string {
	t.Helper()
	var out []string
	err := ns.InNet(netns, func() error {
		c, err := nftables.New()
		if err != nil {
			return err
		}
		all, err := c.ListTables()
		for _, table := range all {
			rules := 0
			chains, err := c.ListChainsOfTableFamily(table.Family)
			if err != nil {
				return err
			}
			for _, chain := range chains {
				list, err := c.GetRules(table, chain)
				if err != nil {
					return err
				}
				rules += len(list)
			}
			out = append(out, fmt.Sprintf("%d %s with rules: %t", table.Family, table.Name, rules > 0))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, ", ")
}

func TestTheKernelTakesEveryKind(t *testing.T) {
	netns := newNet(t)
	for i, kind := range []Kind{PortRestricted, AddressRestricted, FullCone, Symmetric} {
		for k, hairpin := range []bool{true, false} {
			s := spec(kind)
			s.Hairpin = hairpin
			if err := set(netns, []Spec{s}, i+k > 0); err != nil {
				t.Errorf("kind %d, hairpin %t: %v", kind, hairpin, err)
			}
			if got, want := tables(t, netns), "2 nstest-nat with rules: true, 10 nstest-nat with rules: true"; got != want {
				t.Errorf("kind %d: tables are %q, want %q", kind, got, want)
			}
		}
	}
	if err := Replace(netns, nil); err != nil {
		t.Error(err)
	}
	if got := tables(t, netns); got != "" {
		t.Errorf("without NAT there are still %q", got)
	}
}
