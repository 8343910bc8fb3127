// Package pcapfilter chooses packets by the expressions of pcap-filter(7), without libpcap. It knows the primitives that are
// about Ethernet, ARP, IPv4, IPv6, TCP, UDP, SCTP and ICMP, and comparisons of a packet's bytes. Those of a transport, such as
// tcp[13], are found over IPv6 too, and behind extension headers.
package pcapfilter

import (
	"fmt"
	"net/netip"
)

// A Filter is a compiled expression. It may be used by any goroutines.
type Filter struct {
	text  string
	match match
}

// match reports whether a packet is chosen.
type match func(p *packet) bool

// maxLength bounds an expression, and with it how deep the calls are that match it.
const maxLength = 1 << 15

// Parse compiles an expression. The empty one chooses every packet. lookup finds the addresses of a host by its name, none if it
// knows of none; it may be nil.
func Parse(expression string, lookup func(name string) []netip.Addr) (*Filter, error) {
	if len(expression) > maxLength {
		return nil, fmt.Errorf("a filter of %d bytes: %d are possible", len(expression), maxLength)
	}
	p := &parser{tokens: scan(expression), lookup: lookup}
	if len(p.tokens) == 0 {
		return &Filter{match: func(*packet) bool { return true }}, nil
	}
	m, err := p.expression()
	if err == nil && p.token() != "" {
		err = fmt.Errorf("what is %q here?", p.token())
	}
	if err != nil {
		return nil, fmt.Errorf("filter %q: %w (see pcap-filter(7))", expression, err)
	}
	return &Filter{expression, m}, nil
}

// String is the expression.
func (f *Filter) String() string { return f.text }

// Match reports whether an Ethernet frame, of which the beginning may be all that there is, is one that the expression
// chooses. length is that of the whole frame.
func (f *Filter) Match(frame []byte, length int) bool {
	p := dissect(frame)
	p.length = length
	return f.match(&p)
}
