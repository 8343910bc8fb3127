package nat

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

var families = []family{
	{nftables.TableFamilyIPv4, 1, 12, 16, nftables.TypeIPAddr},
	{nftables.TableFamilyIPv6, 4, 8, 24, nftables.TypeIP6Addr},
}

const (
	tableName = "nstest-nat"

	// elements bounds each map and set. Those that have timed out go within a second.
	elements = 1 << 16

	// attempts is how often a port is guessed for a host whose own is taken.
	attempts = 8

	// opening is how long a mapping of a TCP connection lasts that is not established, or not any more: that of the kernel
	// (nf_conntrack_tcp_timeout_syn_sent, …_fin_wait, …_time_wait).
	opening = 120 * time.Second
)

// The chains come before or after those of a firewall, whose priority is 0.
var (
	beforeDNAT  = nftables.ChainPriorityRef(*nftables.ChainPriorityNATDest - 10)
	afterFilter = nftables.ChainPriorityRef(*nftables.ChainPriorityFilter + 10)
)

// A builder makes one table: that of a family.
type builder struct {
	family
	conn  *nftables.Conn
	table *nftables.Table
	setID uint32 // the transaction's own; one that the library gives out comes from a variable that all sockets share
	err   error

	early, dstnat, forward, input, srcnat *nftables.Chain
}

// table adds to the transaction what makes the family's table, after it has removed the one that there may be. Where
// nothing is translated there is none.
func (f family) table(c *nftables.Conn, specs []Spec, remove bool) error {
	t := &nftables.Table{Name: tableName, Family: f.table4}
	translated := func(s Spec) bool { return s.outside(f).IsValid() }
	if remove {
		c.AddTable(t) // so that there is one to be deleted
		c.DelTable(t)
	}
	if !slices.ContainsFunc(specs, translated) {
		return nil
	}
	c.AddTable(t)
	b := &builder{family: f, conn: c, table: t}
	b.base()
	for i, s := range specs {
		if translated(s) {
			b.translate(i, s, s.outside(f))
		}
	}
	return b.err
}

func (b *builder) base() {
	chain := func(name string, kind nftables.ChainType, hook *nftables.ChainHook, priority *nftables.ChainPriority) *nftables.Chain {
		return b.conn.AddChain(&nftables.Chain{Name: name, Table: b.table, Type: kind, Hooknum: hook, Priority: priority})
	}
	b.early = chain("early", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, beforeDNAT)
	b.dstnat = chain("dstnat", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest)
	b.forward = chain("forward", nftables.ChainTypeFilter, nftables.ChainHookForward, afterFilter)
	b.input = chain("input", nftables.ChainTypeFilter, nftables.ChainHookInput, afterFilter)
	b.srcnat = chain("srcnat", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource)
}

func (b *builder) rule(c *nftables.Chain, exprs ...[]expr.Any) {
	b.conn.AddRule(&nftables.Rule{Table: b.table, Chain: c, Exprs: flat(exprs...)})
}

func (b *builder) chain(name string, i int) *nftables.Chain {
	return b.conn.AddChain(&nftables.Chain{Name: fmt.Sprintf("%s%d", name, i), Table: b.table})
}

// set adds a set of these types, or a map of the first keys of them to the rest.
func (b *builder) set(name string, i int, keys int, dynamic bool, content []nftables.SetElement, types ...nftables.SetDatatype) *nftables.Set {
	b.setID++
	s := &nftables.Set{ID: b.setID, Name: fmt.Sprintf("%s%d", name, i), Table: b.table, Concatenation: keys > 1, Dynamic: dynamic, HasTimeout: dynamic}
	if dynamic {
		s.Size = elements
	}
	s.KeyType = b.concat(types[:keys])
	if keys < len(types) {
		s.IsMap, s.DataType = true, b.concat(types[keys:])
	}
	if err := b.conn.AddSet(s, content); err != nil && b.err == nil {
		b.err = err
	}
	return s
}

func (b *builder) concat(types []nftables.SetDatatype) nftables.SetDatatype {
	if len(types) == 1 {
		return types[0]
	}
	t, err := nftables.ConcatSetType(types...)
	if err != nil && b.err == nil {
		b.err = err
	}
	return t
}

// A translation is one NAT of one family, with its sets.
type translation struct {
	*builder
	Spec
	own     []byte        // the address outside
	devices *nftables.Set // inside
	out     *nftables.Set // address . protocol . port inside : port outside; nil of a symmetric NAT
	back    *nftables.Set // protocol . port outside : address . port inside; with the forwards
	pairs   *nftables.Set // address . port inside, twice: whoever is in back's element and in the packet is one and the same
	peers   *nftables.Set // protocol . port outside . address [. port] of the other side; nil where nobody is filtered by it
	fixed   *nftables.Set // the forwards, in the form of back
	track   *nftables.Chain
	begin   *nftables.Chain // sets how long a new mapping lasts
}

const (
	proto = 0 // registers: protocol . port outside, the key of back
	outer = 1
	inner = 2 // the first that is free for an address
)

// translate adds the rules of one NAT. As nft(8) shows them they are, for IPv4 and a NAT that filters by address:
//
//	map out0   { ip saddr . l4proto . th sport : port }
//	map back0  { l4proto . port : ip saddr . th sport }
//	set peers0 { l4proto . port . ip daddr }
//
//	chain forward { iif @devices0 oif O jump track0; and then peers0 gets l4proto . out0[…] . ip daddr
//	                iif O oif @devices0 ct state new, not DNAT: drop }
//	chain track0  { if out0 has the sender: out0, back0 last longer; return
//	                for a port to try: back0 gets it for the sender, unless it is another's; if it has it: out0 gets it; return
//	                drop }
//	chain dstnat  { iif O ip daddr A l4proto . th dport . ip saddr @peers0 dnat to back0[l4proto . th dport] }
//	chain srcnat  { iif @devices0 oif O snat to A : out0[ip saddr . l4proto . th sport] }
func (b *builder) translate(i int, s Spec, a netip.Addr) {
	t := &translation{builder: b, Spec: s, own: a.AsSlice()}
	t.addSets(i)
	if t.out != nil {
		t.track, t.begin = b.chain("track", i), b.chain("begin", i)
		t.addTrack()
	}
	outward := flat(deviceIn(expr.MetaKeyIIF, t.devices), device(expr.MetaKeyOIF, s.Outside))
	inward := flat(device(expr.MetaKeyIIF, s.Outside), deviceIn(expr.MetaKeyOIF, t.devices))
	drop := one(verdict(expr.VerdictDrop))

	// What the kernel cannot tell the connection of would be forwarded as it is.
	b.rule(b.forward, outward, connection(expr.CtKeySTATE, stateInvalid, true), drop)
	b.rule(b.forward, inward, connection(expr.CtKeySTATE, stateInvalid, true), drop)
	b.rule(b.forward, inward, connection(expr.CtKeySTATE, stateNew, true), connection(expr.CtKeySTATUS, statusDNAT, false), drop)
	if t.out != nil {
		t.follow(b.forward, outward)
		for _, k := range t.lives() {
			b.rule(b.forward, inward, k.match, t.refresh(b.dest, destPort, update, k.limit))
		}
	}
	hairpin := flat(deviceIn(expr.MetaKeyIIF, t.devices), b.to(t.own))
	if s.Hairpin {
		if t.out != nil {
			t.follow(b.early, hairpin)
		}
		t.admit(hairpin, true)
		t.masquerade(flat(deviceIn(expr.MetaKeyIIF, t.devices), deviceIn(expr.MetaKeyOIF, t.devices), connection(expr.CtKeySTATUS, statusDNAT, true)))
	}
	t.admit(flat(device(expr.MetaKeyIIF, s.Outside), b.to(t.own)), false)
	t.masquerade(outward)
	t.hush(hairpin)
}

// addSets adds the maps and sets that the kind of NAT needs.
func (t *translation) addSets(i int) {
	var devices, forwards []nftables.SetElement
	for _, index := range t.Inside {
		devices = append(devices, nftables.SetElement{Key: word(uint32(index))})
	}
	for _, f := range t.Forwards {
		if f.To.Addr().Is4() == (t.words == 1) {
			forwards = append(forwards, nftables.SetElement{
				Key: append([]byte{f.Protocol, 0, 0, 0}, portBytes(f.Port)...),
				Val: append(f.To.Addr().AsSlice(), portBytes(f.To.Port())...),
			})
		}
	}
	protocol, port := nftables.TypeInetProto, nftables.TypeInetService
	t.devices = t.set("devices", i, 1, false, devices, nftables.TypeIFIndex)
	t.fixed = t.set("forwards", i, 2, false, forwards, protocol, port, t.kind, port)
	if t.Kind == Symmetric {
		return
	}
	t.out = t.set("out", i, 3, true, nil, t.kind, protocol, port, port)
	t.back = t.set("back", i, 2, true, forwards, protocol, port, t.kind, port)
	t.pairs = t.set("pairs", i, 4, true, nil, t.kind, port, t.kind, port)
	switch {
	case t.Kind == AddressRestricted:
		t.peers = t.set("peers", i, 3, true, nil, protocol, port, t.kind)
	case t.Kind == PortRestricted && t.Hairpin:
		t.peers = t.set("peers", i, 4, true, nil, protocol, port, t.kind, port)
	}
}

// portBytes is a port as it stands in a register.
func portBytes(p uint16) []byte { return append(binary.BigEndian.AppendUint16(nil, p), 0, 0) }

// A life is how long the packets of one sort keep a mapping alive.
type life struct {
	match []expr.Any
	limit time.Duration
}

func (t *translation) lives() []life {
	return []life{
		{protocol(unix.IPPROTO_UDP), t.UDP},
		{tcpFlags(fin|rst, true), opening},
		{tcpFlags(syn|fin|rst, false), t.TCP},
	}
}

// follow has packets from inside enter the maps and sets.
func (t *translation) follow(c *nftables.Chain, match []expr.Any) {
	t.rule(c, match, one(jump(t.track.Name)))
	if t.peers == nil {
		return
	}
	for _, k := range []life{
		{protocol(unix.IPPROTO_UDP), t.UDP}, {tcpFlags(syn|fin|rst, true), opening}, {tcpFlags(syn|fin|rst, false), t.TCP},
	} {
		key := uint32(inner) // of out; that of peers comes to be in its place
		t.rule(c, match, k.match, []expr.Any{
			t.addr(t.source, key), loadProtocol(key + t.words), port(sourcePort, key+t.words+1), get(t.out, key, outer),
			loadProtocol(proto), t.addr(t.dest, inner), port(destPort, inner+t.words),
			put(t.peers, update, proto, k.limit),
		})
	}
}

// refresh keeps the mapping of a host inside, and matches if it has one.
func (t *translation) refresh(address, portOffset, operation uint32, limit time.Duration) []expr.Any {
	key := uint32(inner)
	return []expr.Any{
		t.addr(address, key), loadProtocol(key + t.words), port(portOffset, key+t.words+1),
		get(t.out, key, outer),
		putValue(t.out, operation, key, outer, limit),
		loadProtocol(proto), port(portOffset, key+t.words), // so that what was the key begins with address . port
		putValue(t.back, operation, proto, key, limit),
	}
}

// addTrack fills the chain that gives the sender of a packet a port outside.
func (t *translation) addTrack() {
	done := one(verdict(expr.VerdictReturn))
	for _, k := range t.lives() {
		t.rule(t.track, k.match, t.refresh(t.source, sourcePort, update, k.limit), done)
	}
	t.rule(t.track, tcpFlags(syn, true), t.refresh(t.source, sourcePort, add, opening), done)
	t.rule(t.track, connection(expr.CtKeySTATE, stateNew, false), done)
	t.rule(t.track, neither(unix.IPPROTO_UDP, unix.IPPROTO_TCP), done)
	for n := range attempts {
		candidate := one(port(sourcePort, outer))
		if n > 0 {
			candidate = guess(outer)
		}
		t.rule(t.track, candidate, t.allot(), one(&expr.Verdict{Kind: expr.VerdictGoto, Chain: t.begin.Name}))
	}
	t.rule(t.track, one(verdict(expr.VerdictDrop)))
	t.rule(t.begin, protocol(unix.IPPROTO_UDP), t.refresh(t.source, sourcePort, update, t.UDP))
}

// guess loads a port of 1024 or more, and does not match if it is less.
func guess(n uint32) []expr.Any {
	return []expr.Any{
		&expr.Numgen{Register: reg(n), Type: unix.NFT_NG_RANDOM, Modulus: 0xffffffff},
		&expr.Bitwise{SourceRegister: reg(n), DestRegister: reg(n), Len: 4, Mask: []byte{0xff, 0xff, 0, 0}, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpGte, Register: reg(n), Data: []byte{1024 >> 8, 0}},
	}
}

// allot gives the port in register outer to the sender, and matches if it is now the sender's. Of two senders that want it
// at one moment the kernel lets one enter back; both then see who it was.
func (t *translation) allot() []expr.Any {
	first, second := uint32(inner), inner+t.words+1
	return []expr.Any{
		loadProtocol(proto),
		t.addr(t.source, first), port(sourcePort, first+t.words),
		t.addr(t.source, second), port(sourcePort, second+t.words),
		put(t.pairs, update, first, opening),
		putValue(t.back, add, proto, second, opening),
		get(t.back, proto, first),
		in(t.pairs, first),
		t.addr(t.source, inner), loadProtocol(inner + t.words), port(sourcePort, inner+t.words+1),
		putValue(t.out, update, inner, outer, opening),
	}
}

// admit leads packets for the outside to those inside whom they are for, and whom they may reach. They come from inside if
// it is a hairpin.
func (t *translation) admit(match []expr.Any, hairpin bool) {
	lead := func(m *nftables.Set, filter ...expr.Any) {
		t.rule(t.dstnat, match, filter, []expr.Any{
			loadProtocol(proto), port(destPort, outer), get(m, proto, inner),
			&expr.NAT{Type: expr.NATTypeDestNAT, Family: uint32(t.table.Family), RegAddrMin: reg(inner), RegProtoMin: reg(inner + t.words)},
		})
	}
	lead(t.fixed)
	sender := t.addr(t.source, inner)
	if hairpin { // it is to look as if it came from outside
		sender = &expr.Immediate{Register: reg(inner), Data: t.own}
	}
	switch {
	case t.Kind == FullCone:
		lead(t.back)
	case t.Kind == AddressRestricted:
		lead(t.back, loadProtocol(proto), port(destPort, outer), sender, in(t.peers, proto))
	case t.Kind == PortRestricted && hairpin:
		key, at := uint32(inner), inner+t.words
		lead(t.back,
			t.addr(t.source, key), loadProtocol(key+t.words), port(sourcePort, key+t.words+1), get(t.out, key, at),
			loadProtocol(proto), port(destPort, outer), sender, in(t.peers, proto))
	}
}

// masquerade has the outside address stand for the sender.
func (t *translation) masquerade(match []expr.Any) {
	address := []expr.Any{&expr.Immediate{Register: reg(0), Data: t.own}}
	source := expr.NAT{Type: expr.NATTypeSourceNAT, Family: uint32(t.table.Family), RegAddrMin: reg(0)}
	if t.out != nil {
		const key, at = 4, 10
		mapped := source
		mapped.RegProtoMin = reg(at)
		t.rule(t.srcnat, match, address, []expr.Any{
			t.addr(t.source, key), loadProtocol(key + t.words), port(sourcePort, key+t.words+1), get(t.out, key, at), &mapped,
		})
	}
	source.FullyRandom = t.Kind == Symmetric
	t.rule(t.srcnat, match, address, one(&source))
}

// hush drops what is for nobody, for those inside whom it may not reach, or for a port that has no socket. A refusal would
// be noticed by those who send before the other side does, to make a hole (RFC 5382, REQ-4). And a connection that the kernel
// remembers, of somebody outside with a port of the router's, would be in the way of a mapping that gets this port.
func (t *translation) hush(hairpin []expr.Any) {
	drop := one(verdict(expr.VerdictDrop))
	fresh := connection(expr.CtKeySTATE, stateNew, true)
	outside := device(expr.MetaKeyIIF, t.Outside)
	if t.back != nil {
		mapped := []expr.Any{loadProtocol(proto), port(destPort, outer), get(t.back, proto, inner)}
		t.rule(t.input, outside, fresh, mapped, drop)
		if t.Hairpin {
			t.rule(t.input, hairpin, fresh, mapped, drop)
		}
	}
	for _, p := range []byte{unix.IPPROTO_UDP, unix.IPPROTO_TCP} {
		some := one(&expr.Socket{Key: expr.SocketKeyTransparent, Register: reg(0)}) // matches if there is one, whatever it is
		t.rule(t.input, outside, fresh, protocol(p), some, one(verdict(expr.VerdictAccept)))
		t.rule(t.input, outside, fresh, protocol(p), drop)
	}
}
