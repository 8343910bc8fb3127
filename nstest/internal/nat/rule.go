package nat

import (
	"encoding/binary"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// A family is what differs between IPv4 and IPv6.
type family struct {
	table4       nftables.TableFamily
	words        uint32 // of an address, 32 bits each
	source, dest uint32 // their offsets in the header
	kind         nftables.SetDatatype
}

// Offsets in the headers of TCP and UDP, the one of TCP's flags, and flags.
const (
	sourcePort = 0
	destPort   = 2
	flags      = 13

	fin = 1
	syn = 2
	rst = 4
)

// Bits of conntrack.
const (
	stateInvalid = 1
	stateNew     = 8
	statusDNAT   = 1 << 5
)

// reg is the n-th register of 32 bits, of 16.
func reg(n uint32) uint32 { return unix.NFT_REG32_00 + n }

// flat is several lists of expressions as one.
func flat(lists ...[]expr.Any) []expr.Any {
	var out []expr.Any
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

func one(e expr.Any) []expr.Any { return []expr.Any{e} }

// addr loads an address from the header.
func (f family) addr(offset, n uint32) expr.Any {
	return &expr.Payload{DestRegister: reg(n), Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4 * f.words}
}

func port(offset, n uint32) expr.Any {
	return &expr.Payload{DestRegister: reg(n), Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: 2}
}

func loadProtocol(n uint32) expr.Any { return &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg(n)} }

func equal(n uint32, data ...byte) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpEq, Register: reg(n), Data: data}
}

// protocol matches packets of a protocol. Like all that match, it uses register 15.
func protocol(p byte) []expr.Any { return []expr.Any{loadProtocol(15), equal(15, p)} }

// neither matches packets of other protocols.
func neither(a, b byte) []expr.Any {
	return []expr.Any{
		loadProtocol(15),
		&expr.Cmp{Op: expr.CmpOpNeq, Register: reg(15), Data: []byte{a}}, &expr.Cmp{Op: expr.CmpOpNeq, Register: reg(15), Data: []byte{b}},
	}
}

// tcpFlags matches TCP with one of the flags set, or with none of them.
func tcpFlags(mask byte, set bool) []expr.Any {
	op := expr.CmpOpEq
	if set {
		op = expr.CmpOpNeq
	}
	return append(protocol(unix.IPPROTO_TCP),
		&expr.Payload{DestRegister: reg(15), Base: expr.PayloadBaseTransportHeader, Offset: flags, Len: 1},
		&expr.Bitwise{SourceRegister: reg(15), DestRegister: reg(15), Len: 1, Mask: []byte{mask}, Xor: []byte{0}},
		&expr.Cmp{Op: op, Register: reg(15), Data: []byte{0}})
}

// connection matches packets of whose connection the key has one of the bits set, or none.
func connection(key expr.CtKey, mask uint32, set bool) []expr.Any {
	op := expr.CmpOpEq
	if set {
		op = expr.CmpOpNeq
	}
	return []expr.Any{
		&expr.Ct{Key: key, Register: reg(15)},
		&expr.Bitwise{SourceRegister: reg(15), DestRegister: reg(15), Len: 4, Mask: word(mask), Xor: word(0)},
		&expr.Cmp{Op: op, Register: reg(15), Data: word(0)},
	}
}

func word(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

func device(key expr.MetaKey, index int) []expr.Any {
	return []expr.Any{&expr.Meta{Key: key, Register: reg(15)}, equal(15, word(uint32(index))...)}
}

func deviceIn(key expr.MetaKey, set *nftables.Set) []expr.Any {
	return []expr.Any{&expr.Meta{Key: key, Register: reg(15)}, &expr.Lookup{SourceRegister: reg(15), SetName: set.Name, SetID: set.ID}}
}

// to matches packets for an address. It uses the last registers.
func (f family) to(a []byte) []expr.Any {
	return []expr.Any{f.addr(f.dest, 12), equal(12, a...)}
}

// in matches what is in the set.
func in(set *nftables.Set, key uint32) expr.Any {
	return &expr.Lookup{SourceRegister: reg(key), SetName: set.Name, SetID: set.ID}
}

// get loads from a map, and matches if there is something.
func get(m *nftables.Set, key, value uint32) expr.Any {
	return &expr.Lookup{SourceRegister: reg(key), DestRegister: reg(value), IsDestRegSet: true, SetName: m.Name, SetID: m.ID}
}

// Operations of a rule on a set.
const (
	add    = 0 // NFT_DYNSET_OP_ADD: what is there stays as it is
	update = 1 // NFT_DYNSET_OP_UPDATE: what is there stays longer
)

func put(set *nftables.Set, operation, key uint32, limit time.Duration) *expr.Dynset {
	return &expr.Dynset{SrcRegKey: reg(key), SetName: set.Name, SetID: set.ID, Operation: operation, Timeout: limit}
}

func putValue(m *nftables.Set, operation, key, value uint32, limit time.Duration) *expr.Dynset {
	d := put(m, operation, key, limit)
	d.SrcRegData = reg(value)
	return d
}

func verdict(kind expr.VerdictKind) expr.Any { return &expr.Verdict{Kind: kind} }

func jump(chain string) expr.Any { return &expr.Verdict{Kind: expr.VerdictJump, Chain: chain} }
