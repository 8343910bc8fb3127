package translate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Names of nftables tables.
const (
	tableNAT64 = "nstest-nat64"
	tableNPT   = "nstest-npt"
)

// Mark is that of packets which are led to the device for NPT, on their way to it.
const Mark = 0x6e707436

// Masquerade has the router's own address on the device outside stand for the pool, and lets in through the translator's
// device what belongs to a connection from there. It is for the network namespace of the calling thread, as the rest of the
// functions here, and once for each, until Unmasquerade. What it makes is:
//
//	table ip nstest-nat64 {
//		chain postrouting { type nat hook postrouting priority srcnat; ip saddr 240.0.0.0/20 oif OUTSIDE masquerade }
//		chain forward {
//			type filter hook forward priority filter;
//			ip saddr 240.0.0.0/20 oif != OUTSIDE reject with icmp admin-prohibited
//			oif DEVICE ct state invalid,new drop
//		}
//	}
func Masquerade(outside, device int) error {
	return add(nftables.TableFamilyIPv4, tableNAT64, func(c *nftables.Conn, t *nftables.Table) {
		post := c.AddChain(&nftables.Chain{Name: "postrouting", Table: t, Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource})
		forward := c.AddChain(&nftables.Chain{Name: "forward", Table: t, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter})
		rule := func(chain *nftables.Chain, parts ...[]expr.Any) { c.AddRule(ruleOf(t, chain, parts...)) }
		rule(post, from(Pool), by(expr.MetaKeyOIF, expr.CmpOpEq, outside), []expr.Any{&expr.Masq{}})
		rule(forward, from(Pool), by(expr.MetaKeyOIF, expr.CmpOpNeq, outside), []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_ICMP_UNREACH, Code: 13}})
		rule(forward, by(expr.MetaKeyOIF, expr.CmpOpEq, device), []expr.Any{
			&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
			&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(expr.CtStateBitINVALID | expr.CtStateBitNEW), Xor: make([]byte, 4)},
			&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
			&expr.Verdict{Kind: expr.VerdictDrop},
		})
	})
}

// A Lead says which packets are for NPT on their way out.
type Lead struct {
	Inside  []int // devices that they come by
	From    netip.Prefix
	Outside int // the device that they would leave by
}

// LeadOut marks packets, until LeadNothing. What it makes is, for each lead and device:
//
//	table ip6 nstest-npt {
//		chain prerouting {
//			type filter hook prerouting priority mangle;
//			iif INSIDE ip6 saddr FROM fib daddr oif OUTSIDE meta mark set MARK
//		}
//	}
func LeadOut(leads []Lead) error {
	return add(nftables.TableFamilyIPv6, tableNPT, func(c *nftables.Conn, t *nftables.Table) {
		pre := c.AddChain(&nftables.Chain{Name: "prerouting", Table: t, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityMangle})
		for _, l := range leads {
			for _, in := range l.Inside {
				c.AddRule(ruleOf(t, pre, by(expr.MetaKeyIIF, expr.CmpOpEq, in), from(l.From), []expr.Any{
					&expr.Fib{Register: 1, FlagDADDR: true, ResultOIF: true},
					&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(uint32(l.Outside))},
					&expr.Immediate{Register: 1, Data: binaryutil.NativeEndian.PutUint32(Mark)},
					&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: 1},
				}))
			}
		}
	})
}

// Unmasquerade takes away what Masquerade has made, if anything.
func Unmasquerade() error { return remove(nftables.TableFamilyIPv4, tableNAT64) }

// LeadNothing takes away what LeadOut has made, if anything.
func LeadNothing() error { return remove(nftables.TableFamilyIPv6, tableNPT) }

// add makes a table that is not there, in one transaction. One that deletes an earlier table as well takes 10 ms more, in
// which the kernel waits for packets that may still see it.
func add(family nftables.TableFamily, name string, fill func(*nftables.Conn, *nftables.Table)) error {
	return transact(func(c *nftables.Conn) {
		fill(c, c.AddTable(&nftables.Table{Name: name, Family: family}))
	})
}

func remove(family nftables.TableFamily, name string) error {
	return transact(func(c *nftables.Conn) {
		c.DelTable(c.AddTable(&nftables.Table{Name: name, Family: family})) // so that there is one
	})
}

func transact(do func(*nftables.Conn)) (err error) {
	c, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	defer func() { err = errors.Join(err, c.CloseLasting()) }()
	do(c)
	if err := c.Flush(); err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	return nil
}

func ruleOf(t *nftables.Table, chain *nftables.Chain, parts ...[]expr.Any) *nftables.Rule {
	r := &nftables.Rule{Table: t, Chain: chain}
	for _, p := range parts {
		r.Exprs = append(r.Exprs, p...)
	}
	return r
}

// by matches the index of a device.
func by(key expr.MetaKey, op expr.CmpOp, index int) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: key, Register: 1},
		&expr.Cmp{Op: op, Register: 1, Data: binary.NativeEndian.AppendUint32(nil, uint32(index))},
	}
}

// from matches the source address.
func from(p netip.Prefix) []expr.Any {
	offset, n := uint32(12), 4
	if p.Addr().Is6() {
		offset, n = 8, 16
	}
	mask := make([]byte, n)
	for i := range p.Bits() {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(n)},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: uint32(n), Mask: mask, Xor: make([]byte, n)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: p.Masked().Addr().AsSlice()},
	}
}
