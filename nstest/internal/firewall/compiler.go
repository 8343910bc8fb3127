package firewall

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Names of chains. Those that hold the rules are one for each direction, and one more of packets that belong to no connection.
var (
	connections = [...]string{In: "in", Out: "out", Through: "through"}
	packets     = [...]string{In: "in-packets", Out: "out-packets", Through: "through-packets"}
	redirects   = [...]string{In: "in-redirect", Out: "out-redirect", Through: "through-redirect"}
)

const refusal = "reject"

// Priorities. A portal comes before what else translates on a host, so that its rules decide.
const (
	firstPriority       = -90 // of the chains that filter; each firewall comes after the one that it replaces
	lastPriority        = 40
	destinationPriority = -110
	sourcePriority      = 90
)

// compile makes the transaction that replaces whatever firewall there is by f, whose chains have a priority.
func compile(f Firewall, priority int32) *transaction {
	t := &transaction{priority: priority}
	t.clear()
	t.table()
	t.refusal()
	if f.Stateless {
		t.packets(f)
		t.stateless()
		return t
	}
	t.packets(f)
	t.connections(f)
	t.stateful()
	if slices.ContainsFunc(f.Rules, func(r Rule) bool { return r.Redirect.IsValid() }) {
		t.portal(f)
	}
	return t
}

func (r Rule) has(d Direction) bool {
	return len(r.Directions) == 0 || slices.Contains(r.Directions, d)
}

// refusal adds the chain that tells the sender.
func (t *transaction) refusal() {
	t.chain(refusal)
	t.rule(refusal, append(is(meta(expr.MetaKeyL4PROTO), unix.IPPROTO_TCP), &expr.Reject{Type: unix.NFT_REJECT_TCP_RST})...)
	t.rule(refusal, &expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED})
}

var (
	accept = &expr.Verdict{Kind: expr.VerdictAccept}
	drop   = &expr.Verdict{Kind: expr.VerdictDrop}
)

func goTo(chain string) expr.Any { return &expr.Verdict{Kind: expr.VerdictGoto, Chain: chain} }

func (v Verdict) expression() expr.Any {
	switch v {
	case Drop:
		return drop
	case Reject:
		return goTo(refusal)
	}
	return accept
}

// packets adds the chains in which a packet's header decides.
func (t *transaction) packets(f Firewall) {
	for d, chain := range packets {
		t.chain(chain)
		for i, r := range f.Rules {
			if !r.has(Direction(d)) || r.Redirect.IsValid() {
				continue
			}
			for _, m := range t.fit(r, ofPacket) {
				t.decide(chain, m, r.Verdict, ruleName(i), Direction(d))
			}
		}
		t.decide(chain, nil, f.Default, "default", Direction(d))
	}
}

// connections adds the chains in which it decides who has opened the connection that a packet belongs to, and with whom.
func (t *transaction) connections(f Firewall) {
	for d, chain := range connections {
		t.chain(chain)
		for i, r := range f.Rules {
			if r.Redirect.IsValid() {
				t.redirected(r, Direction(d))
			} else if r.has(Direction(d)) {
				for _, m := range t.fit(r, ofConnection) {
					t.decide(chain, m, r.Verdict, ruleName(i), Direction(d))
				}
			}
		}
		t.decide(chain, nil, f.Default, "default", Direction(d))
	}
}

// ruleName is what a comment calls a rule.
func ruleName(i int) string { return "rule " + strconv.Itoa(i+1) }

// Words of comments.
var (
	verdicts   = [...]string{Drop: "drop", Reject: "reject"}
	directions = [...]string{In: "in", Out: "out", Through: "forward"}
)

// decide adds a rule with a verdict. One that lets nothing through counts what it stops, and has a comment that says which it
// is, for those who look at the host's counters: "rule 3: drop in".
func (t *transaction) decide(chain string, fits match, v Verdict, name string, d Direction) {
	if v == Allow {
		t.rule(chain, append(fits, accept)...)
		return
	}
	t.commented(fmt.Sprintf("%s: %s %s", name, verdicts[v], directions[d]), chain, append(fits, &expr.Counter{}, v.expression())...)
}

const statusDNAT = 1 << 5 // IPS_DST_NAT

// redirected lets through what the rule has led to its portal, and cuts what is older than the rule. What was for the host may
// lead through it then, and the other way round.
func (t *transaction) redirected(r Rule, d Direction) {
	chain := connections[d]
	if r.has(d) || d != Out && (r.has(In) || r.has(Through)) {
		for _, m := range t.fit(r, asFirstAsked) {
			t.rule(chain, slices.Concat(m, t.ledTo(r.Redirect), match{accept})...)
		}
	}
	if r.has(d) {
		for _, m := range t.fit(r, ofConnection) {
			t.rule(chain, slices.Concat(m, bit(tracked(expr.CtKeySTATUS, original), statusDNAT, false), match{goTo(refusal)})...)
		}
	}
}

func (t *transaction) ledTo(to netip.AddrPort) match {
	return slices.Concat(
		bit(tracked(expr.CtKeySTATUS, original), statusDNAT, true),
		is(tracked(expr.CtKeySRC, reply), to.Addr().AsSlice()...),
		is(tracked(expr.CtKeyPROTOSRC, reply), binary.BigEndian.AppendUint16(nil, to.Port())...))
}

// State bits of a packet, as nft_ct(4) has them.
const stateRelated = 1 << 2

// stateful adds the chains at the hooks. An answer belongs to the direction in which its connection was opened. Errors about
// connections pass, and with them the answers of reject.
func (t *transaction) stateful() {
	t.base("input", "filter", unix.NF_INET_LOCAL_IN, t.priority)
	t.base("output", "filter", unix.NF_INET_LOCAL_OUT, t.priority)
	t.base("forward", "filter", unix.NF_INET_FORWARD, t.priority)
	t.vital()
	for _, chain := range []string{"input", "output", "forward"} {
		t.rule(chain, append(bit(tracked(expr.CtKeySTATE, original), stateRelated, true), accept)...)
	}
	way := func(chain string, direction uint32, to string) {
		t.rule(chain, append(is(tracked(expr.CtKeyDIRECTION, original), byte(direction)), goTo(to))...)
	}
	way("input", original, connections[In])
	way("input", reply, connections[Out])
	way("output", original, connections[Out])
	way("output", reply, connections[In])
	way("forward", original, connections[Through])
	way("forward", reply, connections[Through])
	t.rule("input", goTo(packets[In]))
	t.rule("output", goTo(packets[Out]))
	t.rule("forward", goTo(packets[Through]))
}

// stateless adds the chains at the hooks where the kernel tracks nothing.
func (t *transaction) stateless() {
	t.base("input", "filter", unix.NF_INET_LOCAL_IN, t.priority)
	t.base("output", "filter", unix.NF_INET_LOCAL_OUT, t.priority)
	t.base("forward", "filter", unix.NF_INET_FORWARD, t.priority)
	t.vital()
	t.rule("input", goTo(packets[In]))
	t.rule("forward", goTo(packets[Through]))

	// What the kernel itself refuses by has no socket of a process, so that the first rule does not fit.
	t.rule("output", meta(expr.MetaKeySKUID), goTo(packets[Out]))
	const rst = 1 << 2
	flags := &expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: 13, Len: 1}
	t.rule("output", append(is(meta(expr.MetaKeyL4PROTO), unix.IPPROTO_TCP), flags,
		&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: 1, Mask: []byte{rst}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: []byte{0}}, accept)...)
	t.rule("output", slices.Concat(icmp(unix.IPPROTO_ICMP, 3, 3), match{accept})...)   // destination unreachable
	t.rule("output", slices.Concat(icmp(unix.IPPROTO_ICMP, 11, 12), match{accept})...) // time exceeded, parameter problem
	t.rule("output", slices.Concat(icmp(unix.IPPROTO_ICMPV6, 1, 4), match{accept})...) // these, and packet too big
	t.rule("output", goTo(packets[Out]))
}

// icmp tells whether a packet is an ICMP message of a type from first to last.
func icmp(protocol, first, last byte) match {
	return append(is(meta(expr.MetaKeyL4PROTO), protocol),
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 1},
		&expr.Range{Op: expr.CmpOpEq, Register: register, FromData: []byte{first}, ToData: []byte{last}})
}

// vital lets through what a host cannot do without: what it says to itself, and how IPv6 finds neighbours and routers and who
// listens to multicast (RFC 4890, section 4.4.1).
func (t *transaction) vital() {
	lo := binary.NativeEndian.AppendUint32(nil, 1) // the index of the loopback device in every namespace
	t.rule("input", append(is(meta(expr.MetaKeyIIF), lo...), accept)...)
	t.rule("output", append(is(meta(expr.MetaKeyOIF), lo...), accept)...)
	for _, chain := range []string{"input", "output"} {
		for _, types := range [][2]byte{{130, 137}, {143, 143}} {
			t.rule(chain, append(icmp(unix.IPPROTO_ICMPV6, types[0], types[1]), accept)...)
		}
	}
}

// portal adds the chains that lead connections elsewhere.
func (t *transaction) portal(f Firewall) {
	for d, chain := range redirects {
		t.chain(chain)
		for _, r := range f.Rules {
			if r.has(Direction(d)) {
				for _, m := range t.fit(r, ofConnection) {
					t.rule(chain, append(m, lead(r)...)...)
				}
			}
		}
	}
	lo := binary.NativeEndian.AppendUint32(nil, 1)
	t.base("prerouting", "nat", unix.NF_INET_PRE_ROUTING, destinationPriority)
	t.rule("prerouting", append(is(meta(expr.MetaKeyIIF), lo...), accept)...)
	local := binary.NativeEndian.AppendUint32(nil, unix.RTN_LOCAL)
	t.rule("prerouting", append(is(&expr.Fib{Register: register, ResultADDRTYPE: true, FlagDADDR: true}, local...), goTo(redirects[In]))...)
	t.rule("prerouting", goTo(redirects[Through]))
	t.base("translate-output", "nat", unix.NF_INET_LOCAL_OUT, destinationPriority)
	t.rule("translate-output", append(is(meta(expr.MetaKeyOIF), lo...), accept)...)
	t.rule("translate-output", goTo(redirects[Out]))

	// A portal beside those who are led to it would answer them directly, by an address that they have not asked.
	t.base("postrouting", "nat", unix.NF_INET_POST_ROUTING, sourcePriority)
	for _, r := range f.Rules {
		if r.Redirect.IsValid() && r.Segment.IsValid() {
			from := t.among(tracked(expr.CtKeySRC, original), addresses([]netip.Prefix{r.Segment}, r.Redirect.Addr().Is4()))
			t.rule("postrouting", slices.Concat(family(r.Redirect.Addr().Is4()), from, t.ledTo(r.Redirect), match{&expr.Masq{}})...)
		}
	}
}

// lead is where a rule leads: nowhere unless it says so.
func lead(r Rule) match {
	if !r.Redirect.IsValid() {
		return match{accept}
	}
	const port = unix.NFT_REG_2
	pf := uint32(unix.NFPROTO_IPV6)
	if r.Redirect.Addr().Is4() {
		pf = unix.NFPROTO_IPV4
	}
	return match{
		&expr.Immediate{Register: register, Data: r.Redirect.Addr().AsSlice()},
		&expr.Immediate{Register: port, Data: binary.BigEndian.AppendUint16(nil, r.Redirect.Port())},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: pf, RegAddrMin: register, RegProtoMin: port, Specified: true},
	}
}
