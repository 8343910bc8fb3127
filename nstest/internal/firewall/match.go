package firewall

import (
	"encoding/binary"
	"slices"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// A match is what a packet has to pass for the rest of a rule to happen.
type match []expr.Any

func is(load expr.Any, value ...byte) match {
	return match{load, &expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: value}}
}

func meta(key expr.MetaKey) expr.Any { return &expr.Meta{Key: key, Register: register} }

// bit tells whether a bit of what is loaded is set.
func bit(load expr.Any, mask uint32, set bool) match {
	op := expr.CmpOpEq
	if set {
		op = expr.CmpOpNeq
	}
	return match{load,
		&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: 4, Mask: binary.NativeEndian.AppendUint32(nil, mask), Xor: make([]byte, 4)},
		&expr.Cmp{Op: op, Register: register, Data: make([]byte, 4)}}
}

// among tells whether what is loaded is in one of the spans.
func (t *transaction) among(load expr.Any, spans []span) match {
	switch s := spans[0]; {
	case len(spans) > 1:
		id := t.set(spans)
		return match{load, &expr.Lookup{SourceRegister: register, SetName: setName(id), SetID: id}}
	case slices.Equal(s.first, s.last):
		return is(load, s.first...)
	default:
		return match{load, &expr.Range{Op: expr.CmpOpEq, Register: register, FromData: s.first, ToData: s.last}}
	}
}

// fit is what a packet passes that the rule fits, one match for each rule that the kernel needs for that.
func (t *transaction) fit(r Rule, v view) []match {
	if r.From == nil && r.To == nil && r.Protocol != ICMP && !r.Redirect.IsValid() {
		return []match{t.carries(r, v, false)}
	}
	var out []match
	for _, is4 := range []bool{true, false} {
		from, to := addresses(r.From, is4), addresses(r.To, is4)
		if r.From != nil && from == nil || r.To != nil && to == nil || r.Redirect.IsValid() && r.Redirect.Addr().Is4() != is4 {
			continue
		}
		m := family(is4)
		if from != nil {
			m = append(m, t.among(v.from(is4), from)...)
		}
		if to != nil {
			m = append(m, t.among(v.to(is4), to)...)
		}
		out = append(out, append(m, t.carries(r, v, is4)...))
	}
	return out
}

func family(is4 bool) match {
	if is4 {
		return is(meta(expr.MetaKeyNFPROTO), unix.NFPROTO_IPV4)
	}
	return is(meta(expr.MetaKeyNFPROTO), unix.NFPROTO_IPV6)
}

// carries is the part of a match that is about the protocol and its ports.
func (t *transaction) carries(r Rule, v view, is4 bool) match {
	if r.Protocol == AnyProtocol {
		return nil
	}
	protocol := byte(r.Protocol)
	if r.Protocol == ICMP && !is4 {
		protocol = unix.IPPROTO_ICMPV6
	}
	m := is(meta(expr.MetaKeyL4PROTO), protocol)
	if len(r.Ports) > 0 {
		m = append(m, t.among(v.port, ports(r.Ports))...)
	}
	return m
}
