package network

import (
	"encoding/binary"
	"fmt"
	"os/exec"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// A rule is one of netfilter's, in a table of its own, in the namespace of the thread that has added it.
type rule struct {
	conn  *nftables.Conn
	chain *nftables.Chain
}

// addRule adds a table and a chain to which packets come at a hook, with one rule. The family is the hook's, and device that
// at which packets are seen, for the family netdev.
func addRule(family nftables.TableFamily, hook *nftables.ChainHook, device string, what ...expr.Any) (*rule, error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, err
	}
	r := &rule{conn: conn}
	table := conn.AddTable(&nftables.Table{Family: family, Name: "nstest"})
	r.chain = conn.AddChain(&nftables.Chain{
		Name: "rules", Table: table, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: nftables.ChainPriorityFilter, Device: device,
	})
	conn.AddRule(&nftables.Rule{Table: table, Chain: r.chain, Exprs: what})
	if err := conn.Flush(); err != nil {
		return nil, fmt.Errorf("add rule: %w", err)
	}
	return r, nil
}

// counts are what the rule's counters say, in their order.
func (r *rule) counts() ([]uint64, error) {
	list, err := r.conn.GetRules(r.chain.Table, r.chain)
	if err != nil {
		return nil, fmt.Errorf("read counters: %w", err)
	}
	var counts []uint64
	for _, rule := range list {
		for _, e := range rule.Exprs {
			if c, ok := e.(*expr.Counter); ok {
				counts = append(counts, c.Packets)
			}
		}
	}
	return counts, nil
}

// remove takes the rule away, with its table.
func (r *rule) remove() error {
	r.conn.DelTable(r.chain.Table)
	return r.conn.Flush()
}

// ifUDP goes on with UDP packets to a port.
func ifUDP(port int) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_UDP}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binary.BigEndian.AppendUint16(nil, uint16(port))},
	}
}

// ifOut goes on with packets that leave by another device than lo.
func ifOut() []expr.Any {
	lo := append([]byte("lo"), make([]byte, unix.IFNAMSIZ-2)...)
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: lo},
	}
}

// filterPort9 adds a rule, and is the tables that there are then.
var filterPort9 = nsx.Register("network/filter", func(*nsx.Parent, any) ([]string, error) {
	if _, err := addRule(nftables.TableFamilyIPv4, nftables.ChainHookInput, "", append(ifUDP(9), &expr.Counter{})...); err != nil {
		return nil, err
	}
	return tableNames()
})

// iptables runs the program of that name, and is what iptables -S says then. There are two that are called so: one makes
// nftables tables, the older one its own.
var iptables = nsx.Register("network/iptables", func(_ *nsx.Parent, args []string) (string, error) {
	if len(args) > 0 {
		if out, err := exec.Command("iptables", args...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("iptables: %w: %s", err, out)
		}
	}
	out, err := exec.Command("iptables", "-S", "INPUT").Output()
	return string(out), err
})

func registerNetfilter() {
	property.It("N15", func(ctx SpecContext, c *property.Check) {
		_, noProgram := exec.LookPath("iptables")
		c.Need(noProgram, "install iptables")
		run := func(s nsx.Spec, args ...string) string {
			GinkgoHelper()
			out, err := nsx.Run(ctx, s, iptables, args)
			Expect(err).NotTo(HaveOccurred())
			return out
		}
		drop := func(port string) []string { return []string{"-A", "INPUT", "-p", "udp", "--dport", port, "-j", "DROP"} }

		c.Negative("tables of a namespace are listed there, and not in ours", func() {
			inside, err := nsx.Run(ctx, nsx.Spec{Kinds: nsx.Net}, filterPort9, nil)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("tables inside", inside)
			c.Saw("tables in ours", ours()[tables])
			Expect(inside).To(ContainElement("nstest"))
			Expect(ours()[tables]).NotTo(ContainElement("nstest"))
		})
		c.Negative("and so are iptables' rules", func() {
			inside := run(nsx.Spec{Kinds: nsx.Net}, drop("9")...)
			outside := run(nsx.Spec{})
			c.Saw("inside", inside)
			c.Saw("in ours", outside)
			Expect(inside).To(ContainSubstring("--dport 9 "))
			Expect(outside).NotTo(ContainSubstring("--dport 9 "))
		})
		c.Positive("made in our namespace, both are listed there", func() {
			_, err := nsx.Run(ctx, nsx.Spec{}, filterPort9, nil)
			Expect(err).NotTo(HaveOccurred())
			run(nsx.Spec{}, drop("10")...)
			outside := run(nsx.Spec{})
			c.Saw("tables in ours", ours()[tables])
			c.Saw("iptables in ours", outside)
			Expect(ours()[tables]).To(ContainElement("nstest"))
			Expect(outside).To(ContainSubstring("--dport 10 "))
		})
	})
}
