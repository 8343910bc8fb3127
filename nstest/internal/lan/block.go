package lan

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/internal/ns"
)

// Pair is two ports, in either order.
type Pair struct{ A, B PortID }

// Block drops every frame between the ports of each pair, in both directions, ARP and neighbour discovery included. It
// replaces what was blocked before, at one instant; whoever has several faults passes the union of their pairs. No pair
// means that nothing is blocked. It needs nftables for bridges (Linux 3.18, CONFIG_NF_TABLES_BRIDGE).
func (s *Switch) Block(pairs []Pair) error {
	b, done, err := s.use()
	if err != nil {
		return fmt.Errorf("block ports: %w", err)
	}
	defer done()
	for _, p := range pairs {
		if p.A == p.B {
			return fmt.Errorf("block ports: port %d and itself", p.A)
		}
		for _, id := range []PortID{p.A, p.B} {
			if err := s.check(id); err != nil {
				return fmt.Errorf("block ports: %w", err)
			}
		}
	}
	s.portMu.Lock()
	defer s.portMu.Unlock()
	return b.block(pairs)
}

// Unblock lets every frame pass.
func (s *Switch) Unblock() error { return s.Block(nil) }

const (
	blockTable       = "nstest"
	elementsAMessage = 1000    // a list of elements is limited to 64 KiB
	filterSendBuffer = 4 << 20 // bytes; a transaction is one sendmsg(2). Limited by net.core.wmem_max for an ordinary user
)

// block is one nftables transaction. The table exists only while something is blocked.
func (b *bridge) block(pairs []Pair) error {
	if len(pairs) == 0 && !b.blocking {
		return nil
	}
	if b.filter == nil {
		err := ns.InNet(b.net, func() (err error) {
			b.filter, err = nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(c *netlink.Conn) error {
				return c.SetWriteBuffer(filterSendBuffer)
			}))
			return err
		})
		if err != nil {
			return fmt.Errorf("block ports: open nftables: %w", err)
		}
	}
	c := b.filter
	table := &nftables.Table{Name: blockTable, Family: nftables.TableFamilyBridge}
	if b.blocking {
		c.DelTable(table)
	}
	var err error
	if len(pairs) > 0 {
		err = addBlockTable(c, table, pairs)
	}
	if err == nil {
		err = c.Flush()
	}
	if err != nil { // the kernel took nothing of it; answers may be left in the socket
		b.filter = nil
		return errors.Join(fmt.Errorf("block ports: nftables family bridge: %w", err), c.CloseLasting())
	}
	b.blocking = len(pairs) > 0
	return nil
}

// addBlockTable adds what nft(8) shows as:
//
//	table bridge nstest {
//		set blocked { type iface_index . iface_index; elements = { 3 . 4, 4 . 3 } }
//		chain forward { type filter hook forward priority filter; policy accept; meta iif . meta oif @blocked drop }
//	}
func addBlockTable(c *nftables.Conn, table *nftables.Table, pairs []Pair) error {
	key, err := nftables.ConcatSetType(nftables.TypeIFIndex, nftables.TypeIFIndex)
	if err != nil {
		return err
	}
	c.AddTable(table)
	chain := c.AddChain(&nftables.Chain{
		Name: "forward", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter,
	})
	// The ID is the transaction's own; one that the library gives out comes from a variable that all sockets share.
	set := &nftables.Set{ID: 1, Name: "blocked", Table: table, KeyType: key, Concatenation: true}
	if err := c.AddSet(set, nil); err != nil {
		return err
	}
	seen := make(map[Pair]bool, 2*len(pairs))
	var elements []nftables.SetElement
	for _, p := range pairs {
		for _, p := range []Pair{p, {p.B, p.A}} {
			if !seen[p] {
				seen[p] = true
				elements = append(elements, nftables.SetElement{Key: pairKey(p)})
			}
		}
	}
	for len(elements) > 0 {
		n := min(len(elements), elementsAMessage)
		if err := c.SetAddElements(set, elements[:n]); err != nil {
			return err
		}
		elements = elements[n:]
	}
	c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIF, Register: unix.NFT_REG32_00},
		&expr.Meta{Key: expr.MetaKeyOIF, Register: unix.NFT_REG32_01},
		&expr.Lookup{SourceRegister: unix.NFT_REG32_00, SetName: set.Name, SetID: set.ID},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}})
	return nil
}

func pairKey(p Pair) []byte {
	k := make([]byte, 8)
	binary.NativeEndian.PutUint32(k, uint32(p.A))
	binary.NativeEndian.PutUint32(k[4:], uint32(p.B))
	return k
}
