package lan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/internal/ns"
)

// Pair is two ports, in either order.
type Pair struct{ A, B PortID }

// Remote is a port, and an address of somebody behind another switch of the segment.
type Remote struct {
	Port PortID
	MAC  [6]byte
}

// A Cut is something that frames do not pass.
type Cut struct {
	// Name is what a Drop calls it: at most maxName bytes, of which further ones are left out.
	Name    string
	Pairs   []Pair
	Remotes []Remote
}

const maxName = 127 // NF_LOG_PREFIXLEN, with a zero at the end

// Block drops every frame between the ports of each pair, in both directions, ARP and neighbour discovery included. It
// replaces what was blocked before, at one instant. Of several cuts that a frame does not pass the first one drops it. No cut
// means that nothing is blocked. It needs nftables for bridges (Linux 3.18, CONFIG_NF_TABLES_BRIDGE).
//
// So are, for each remote, frames from the port to the address, and from the address to the port. That is half of what a
// fault between two switches takes: the other switch has to be told the same of its port.
func (s *Switch) Block(cuts ...Cut) error {
	b, done, err := s.use()
	if err != nil {
		return fmt.Errorf("block ports: %w", err)
	}
	defer done()
	for _, c := range cuts {
		for _, p := range c.Pairs {
			if p.A == p.B {
				return fmt.Errorf("block ports: port %d and itself", p.A)
			}
			for _, id := range []PortID{p.A, p.B} {
				if err := s.check(id); err != nil {
					return fmt.Errorf("block ports: %w", err)
				}
			}
		}
		for _, r := range c.Remotes {
			if err := s.check(r.Port); err != nil {
				return fmt.Errorf("block ports: %w", err)
			}
		}
	}
	s.portMu.Lock()
	defer s.portMu.Unlock()
	return s.enforce(b, distinct(cuts))
}

// Unblock lets every frame pass.
func (s *Switch) Unblock() error { return s.Block() }

// distinct leaves out what an earlier cut has, and cuts of which nothing is left.
func distinct(cuts []Cut) (out []Cut) {
	pairs, remotes := map[Pair]bool{}, map[Remote]bool{}
	for _, c := range cuts {
		own := Cut{Name: c.Name[:min(len(c.Name), maxName)]}
		for _, p := range c.Pairs {
			if p = (Pair{min(p.A, p.B), max(p.A, p.B)}); !pairs[p] {
				pairs[p] = true
				own.Pairs = append(own.Pairs, p)
			}
		}
		for _, r := range c.Remotes {
			if !remotes[r] {
				remotes[r] = true
				own.Remotes = append(own.Remotes, r)
			}
		}
		if len(own.Pairs)+len(own.Remotes) > 0 {
			out = append(out, own)
		}
	}
	return out
}

const (
	blockTable       = "nstest"
	elementsAMessage = 1000    // a list of elements is limited to 64 KiB
	filterSendBuffer = 4 << 20 // bytes; a transaction is one sendmsg(2). Limited by net.core.wmem_max for an ordinary user
)

// block is one nftables transaction. The table exists only while something is blocked. logged is whether what is dropped is
// logged.
func (b *bridge) block(cuts []Cut, logged bool) error {
	if len(cuts) == 0 && len(b.cuts) == 0 {
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
	if len(b.cuts) > 0 {
		c.DelTable(table)
	}
	var err error
	if len(cuts) > 0 {
		// Both tables are hooked at the moment of the change. The one that goes has to come first: after that moment it lets
		// everything pass, as the new one does before.
		b.blocks++
		err = addBlockTable(c, table, nftables.ChainPriority(b.blocks%maxPriority), cuts, logged)
	}
	if err == nil {
		err = c.Flush()
	}
	if err != nil { // the kernel took nothing of it; answers may be left in the socket
		b.filter = nil
		return errors.Join(fmt.Errorf("block ports: nftables family bridge: %w", err), c.CloseLasting())
	}
	b.cuts, b.logged = cuts, logged && len(cuts) > 0
	return nil
}

const maxPriority = 1 << 20

// addBlockTable adds what nft(8) shows as follows, without the sets and rules that have nothing to do, and without log if
// nothing is logged:
//
//	table bridge nstest {
//		set blocked1 { type iface_index . iface_index; elements = { 3 . 4, 4 . 3 } }
//		set remote1 { type iface_index . ether_addr; elements = { 3 . 02:42:0a:01:00:02 } }
//		chain forward {
//			type filter hook forward priority 1; policy accept
//			meta iif . meta oif @blocked1 log prefix "NAME" group 1 drop
//			meta iif . ether daddr @remote1 log prefix "NAME" group 1 drop
//			meta oif . ether saddr @remote1 log prefix "NAME" group 1 drop
//		}
//	}
func addBlockTable(c *nftables.Conn, table *nftables.Table, priority nftables.ChainPriority, cuts []Cut, logged bool) error {
	c.AddTable(table)
	chain := c.AddChain(&nftables.Chain{
		Name: "forward", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: &priority,
	})
	iif := &expr.Meta{Key: expr.MetaKeyIIF, Register: unix.NFT_REG32_00}
	oif := &expr.Meta{Key: expr.MetaKeyOIF, Register: unix.NFT_REG32_00}
	for i, cut := range cuts {
		id, end := uint32(2*i+1), []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}}
		if logged {
			end = append([]expr.Any{&expr.Log{
				Key: 1<<unix.NFTA_LOG_GROUP | 1<<unix.NFTA_LOG_PREFIX, Group: dropGroup, Data: []byte(cut.Name),
			}}, end...)
		}
		if len(cut.Pairs) > 0 {
			set, err := addBlockSet(c, table, id, fmt.Sprint("blocked", i+1), nftables.TypeIFIndex, pairKeys(cut.Pairs))
			if err != nil {
				return err
			}
			addDrop(c, chain, set, iif, &expr.Meta{Key: expr.MetaKeyOIF, Register: unix.NFT_REG32_01}, end)
		}
		if len(cut.Remotes) > 0 {
			set, err := addBlockSet(c, table, id+1, fmt.Sprint("remote", i+1), nftables.TypeEtherAddr, remoteKeys(cut.Remotes))
			if err != nil {
				return err
			}
			address := func(offset uint32) expr.Any {
				return &expr.Payload{Base: expr.PayloadBaseLLHeader, Offset: offset, Len: 6, DestRegister: unix.NFT_REG32_01}
			}
			addDrop(c, chain, set, iif, address(0), end) // the destination
			addDrop(c, chain, set, oif, address(6), end) // the source
		}
	}
	return nil
}

// addBlockSet adds a set of a port and something else. The id is the transaction's own; one that the library gives out
// comes from a variable that all sockets share.
func addBlockSet(c *nftables.Conn, table *nftables.Table, id uint32, name string, second nftables.SetDatatype, keys map[string]bool) (*nftables.Set, error) {
	key, err := nftables.ConcatSetType(nftables.TypeIFIndex, second)
	if err != nil {
		return nil, err
	}
	set := &nftables.Set{ID: id, Name: name, Table: table, KeyType: key, Concatenation: true}
	if err := c.AddSet(set, nil); err != nil {
		return nil, err
	}
	elements := make([]nftables.SetElement, 0, len(keys))
	for k := range keys {
		elements = append(elements, nftables.SetElement{Key: []byte(k)})
	}
	for chunk := range slices.Chunk(elements, elementsAMessage) {
		if err := c.SetAddElements(set, chunk); err != nil {
			return nil, err
		}
	}
	return set, nil
}

// addDrop adds a rule that does with the frames of which port and other are in the set what end says.
func addDrop(c *nftables.Conn, chain *nftables.Chain, set *nftables.Set, port, other expr.Any, end []expr.Any) {
	c.AddRule(&nftables.Rule{Table: chain.Table, Chain: chain, Exprs: append([]expr.Any{
		port, other,
		&expr.Lookup{SourceRegister: unix.NFT_REG32_00, SetName: set.Name, SetID: set.ID},
	}, end...)})
}

// pairKeys are the pairs in both orders, as the kernel has them in its registers.
func pairKeys(pairs []Pair) map[string]bool {
	keys := make(map[string]bool, 2*len(pairs))
	for _, p := range pairs {
		for _, p := range []Pair{p, {p.B, p.A}} {
			k := make([]byte, 8)
			binary.NativeEndian.PutUint32(k, uint32(p.A))
			binary.NativeEndian.PutUint32(k[4:], uint32(p.B))
			keys[string(k)] = true
		}
	}
	return keys
}

func remoteKeys(remotes []Remote) map[string]bool {
	keys := make(map[string]bool, len(remotes))
	for _, r := range remotes {
		k := make([]byte, 12) // an address takes two registers
		binary.NativeEndian.PutUint32(k, uint32(r.Port))
		copy(k[4:], r.MAC[:])
		keys[string(k)] = true
	}
	return keys
}
