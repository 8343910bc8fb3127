package pcapfilter

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A parser goes through an expression once. pcap-filter(7) has "and" and "or" bind equally, from left to right.
type parser struct {
	tokens []string
	lookup func(name string) []netip.Addr
	last   *qualifiers // of the primitive before, for an id that stands alone: "port 80 or 443"
	depth  int
}

// scan cuts an expression into words and signs.
func scan(s string) []string {
	var tokens []string
	for s = strings.TrimLeft(s, " \t\n"); s != ""; s = strings.TrimLeft(s, " \t\n") {
		n := 0
		for n < len(s) && !strings.ContainsRune(" \t\n()[]!<>=&|+*/", rune(s[n])) {
			n++
		}
		if n == 0 {
			n = 1
			if len(s) > 1 && slices.Contains([]string{"&&", "||", "!=", "==", "<=", ">=", "<<", ">>"}, s[:2]) {
				n = 2
			}
		}
		if n < len(s) && s[n] == '/' && strings.ContainsAny(s[:n], ".:") { // the length of a prefix
			for n++; n < len(s) && s[n] >= '0' && s[n] <= '9'; n++ {
			}
		}
		tokens = append(tokens, s[:n])
		s = s[n:]
	}
	return tokens
}

// token is what comes next, "" at the end.
func (p *parser) token() string {
	if len(p.tokens) == 0 {
		return ""
	}
	return p.tokens[0]
}

func (p *parser) take() string {
	t := p.token()
	if t != "" {
		p.tokens = p.tokens[1:]
	}
	return t
}

// accept takes the next token if it is one of these.
func (p *parser) accept(wanted ...string) bool {
	if t := p.token(); t != "" && slices.Contains(wanted, t) {
		p.take()
		return true
	}
	return false
}

func (p *parser) expect(token string) error {
	if !p.accept(token) {
		return fmt.Errorf("%q is missing before %q", token, p.token())
	}
	return nil
}

// maxDepth bounds how deep parentheses can be.
const maxDepth = 100

func (p *parser) expression() (match, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, errors.New("too many parentheses")
	}
	defer func() { p.depth-- }()
	left, err := p.factor()
	for err == nil {
		a := left
		var b match
		switch {
		case p.accept("and", "&&"):
			b, err = p.factor()
			left = func(k *packet) bool { return a(k) && b(k) }
		case p.accept("or", "||"):
			b, err = p.factor()
			left = func(k *packet) bool { return a(k) || b(k) }
		default:
			return left, nil
		}
	}
	return nil, err
}

func (p *parser) factor() (match, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, errors.New("too many negations")
	}
	defer func() { p.depth-- }()
	switch {
	case p.accept("not", "!"):
		m, err := p.factor()
		return func(k *packet) bool { return !m(k) }, err
	case p.token() == "(" && !p.arithmetic():
		p.take()
		m, err := p.expression()
		if err == nil {
			err = p.expect(")")
		}
		return m, err
	}
	return p.primitive()
}

// arithmetic reports whether what the next parenthesis encloses is a number to be compared, as in (tcp[0] + 1) = 5.
func (p *parser) arithmetic() bool {
	depth := 0
	for i, t := range p.tokens {
		switch t {
		case "(":
			depth++
		case ")":
			if depth--; depth == 0 {
				return i+1 < len(p.tokens) && operators[p.tokens[i+1]] != nil || i+1 < len(p.tokens) && slices.Contains(comparisons, p.tokens[i+1])
			}
		}
	}
	return false
}

// qualifiers are the words before an id.
type qualifiers struct{ proto, dir, kind string }

var protocols = []string{"ether", "arp", "ip", "ip6", "tcp", "udp", "sctp", "icmp", "icmp6"}

func (p *parser) primitive() (match, error) {
	if t := p.token(); t == "len" || isNumber(t) && len(p.tokens) > 1 && (operators[p.tokens[1]] != nil || slices.Contains(comparisons, p.tokens[1])) ||
		t == "(" || slices.Contains(protocols, t) && len(p.tokens) > 1 && p.tokens[1] == "[" {
		return p.comparison()
	}
	var q qualifiers
	if slices.Contains(protocols, p.token()) {
		q.proto = p.take()
	}
	switch {
	case q.proto == "" && p.accept("greater"), q.proto == "" && p.accept("less"):
		return nil, errors.New(`write "len >= N" or "len <= N" for greater and less`)
	case p.accept("broadcast"):
		return p.destined(q, func(mac []byte) bool { return bytes.Equal(mac, []byte{255, 255, 255, 255, 255, 255}) })
	case p.accept("multicast"):
		return p.destined(q, func(mac []byte) bool { return mac[0]&1 != 0 })
	case (q.proto == "ip" || q.proto == "ip6") && p.accept("proto"):
		return p.protocol(q.proto)
	}
	switch {
	case p.accept("src"):
		q.dir = "src"
		if p.accept("or") {
			q.dir = ""
		} else if p.accept("and") {
			q.dir = "both"
		}
		if q.dir != "src" {
			if err := p.expect("dst"); err != nil {
				return nil, err
			}
		}
	case p.accept("dst"):
		q.dir = "dst"
		if p.accept("or") {
			q.dir = ""
		} else if p.accept("and") {
			q.dir = "both"
		}
		if q.dir != "dst" {
			if err := p.expect("src"); err != nil {
				return nil, err
			}
		}
	}
	directed := q.dir != ""
	if t := p.token(); slices.Contains([]string{"host", "net", "port", "portrange"}, t) {
		q.kind = p.take()
	}
	if q == (qualifiers{}) {
		if p.last == nil || p.token() == "" {
			return nil, fmt.Errorf("a primitive such as \"host 10.1.0.2\" or \"tcp port 80\" is missing before %q", p.token())
		}
		return p.id(*p.last)
	}
	if q.kind == "" && !directed {
		return protocol(q.proto), nil
	}
	if q.kind == "" {
		q.kind = "host"
	}
	p.last = &q
	return p.id(q)
}

// destined is what a frame's destination is asked.
func (p *parser) destined(q qualifiers, f func(mac []byte) bool) (match, error) {
	if q.proto != "" && q.proto != "ether" {
		return nil, fmt.Errorf("broadcast and multicast of %s are not known, those of ether are", q.proto)
	}
	return func(k *packet) bool { return len(k.frame) >= 14 && f(k.frame[:6]) }, nil
}

// protocol is a protocol by its number within IP.
func (p *parser) protocol(family string) (match, error) {
	names := map[string]int{"icmp": protoICMP, "icmp6": protoICMPv6, "tcp": protoTCP, "udp": protoUDP, "sctp": protoSCTP}
	word := strings.TrimPrefix(p.take(), `\`)
	n, known := names[word]
	if !known {
		var err error
		if n, err = strconv.Atoi(word); err != nil || n < 0 || n > 255 {
			return nil, fmt.Errorf("%q is no protocol of IP: 0 to 255", word)
		}
	}
	within := protocol(family)
	return func(k *packet) bool { return within(k) && k.proto == n }, nil
}

// protocol is a protocol by its name. Those above IP are such of either version; icmp is of IPv4, as icmp6 is of IPv6.
func protocol(name string) match {
	switch name {
	case "arp":
		return func(k *packet) bool { return k.etherType == etherARP }
	case "ip":
		return func(k *packet) bool { return k.etherType == etherIPv4 }
	case "ip6":
		return func(k *packet) bool { return k.etherType == etherIPv6 }
	case "tcp":
		return func(k *packet) bool { return k.proto == protoTCP }
	case "udp":
		return func(k *packet) bool { return k.proto == protoUDP }
	case "sctp":
		return func(k *packet) bool { return k.proto == protoSCTP }
	case "icmp":
		return func(k *packet) bool { return k.etherType == etherIPv4 && k.proto == protoICMP }
	case "icmp6":
		return func(k *packet) bool { return k.etherType == etherIPv6 && k.proto == protoICMPv6 }
	}
	return func(*packet) bool { return true } // ether
}

// id is a primitive whose qualifiers were read.
func (p *parser) id(q qualifiers) (match, error) {
	word := p.take()
	if word == "" {
		return nil, fmt.Errorf("%s of what?", q.kind)
	}
	switch q.kind {
	case "host":
		if q.proto == "ether" {
			return station(q, word)
		}
		return p.host(q, word)
	case "net":
		prefix, err := parsePrefix(word)
		if err != nil {
			return nil, err
		}
		return addressed(q, prefix.Contains)
	}
	return port(q, word)
}

// either joins what is asked of a packet's source and of its destination.
func either[T any](dir string, src, dst T, ask func(T) bool) bool {
	switch dir {
	case "src":
		return ask(src)
	case "dst":
		return ask(dst)
	case "both":
		return ask(src) && ask(dst)
	}
	return ask(src) || ask(dst)
}

func station(q qualifiers, word string) (match, error) {
	mac, err := net.ParseMAC(word)
	if err != nil || len(mac) != 6 {
		return nil, fmt.Errorf("%q is no address of Ethernet, such as 02:42:0a:01:00:02", word)
	}
	return func(k *packet) bool {
		return len(k.frame) >= 14 && either(q.dir, k.frame[6:12], k.frame[:6], func(b []byte) bool { return bytes.Equal(b, mac) })
	}, nil
}

func (p *parser) host(q qualifiers, word string) (match, error) {
	addrs := []netip.Addr{}
	if a, err := netip.ParseAddr(word); err == nil {
		addrs = append(addrs, a.Unmap())
	} else if p.lookup != nil {
		addrs = p.lookup(word)
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("%q is neither an address nor the name of a host", word)
	}
	return addressed(q, func(a netip.Addr) bool { return slices.Contains(addrs, a) })
}

func addressed(q qualifiers, ask func(netip.Addr) bool) (match, error) {
	if q.proto == "tcp" || q.proto == "udp" || q.proto == "sctp" || q.proto == "icmp" || q.proto == "icmp6" || q.proto == "ether" {
		return nil, fmt.Errorf(`write "%s and %s …" instead of "%s %s …"`, q.proto, q.kind, q.proto, q.kind)
	}
	within := protocol(q.proto)
	return func(k *packet) bool { return within(k) && k.src.IsValid() && either(q.dir, k.src, k.dst, ask) }, nil
}

// parsePrefix reads 10.1.0.0/16, and 10.1 for that.
func parsePrefix(word string) (netip.Prefix, error) {
	if prefix, err := netip.ParsePrefix(word); err == nil {
		if prefix.Masked() != prefix {
			return prefix, fmt.Errorf("%s has bits outside its mask: write %s", word, prefix.Masked())
		}
		return prefix, nil
	}
	if a, err := netip.ParseAddr(word); err == nil && a.Is6() {
		return netip.PrefixFrom(a, 128), nil
	}
	parts := strings.Split(word, ".")
	bits := 8 * len(parts)
	for len(parts) < 4 {
		parts = append(parts, "0")
	}
	a, err := netip.ParseAddr(strings.Join(parts, "."))
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is no network, such as 10.1.0.0/16", word)
	}
	return netip.PrefixFrom(a, bits), nil
}

// services are the names of ports that are read.
var services = map[string]int{"ssh": 22, "smtp": 25, "domain": 53, "http": 80, "https": 443, "postgresql": 5432, "ntp": 123}

func port(q qualifiers, word string) (match, error) {
	if q.proto != "" && q.proto != "tcp" && q.proto != "udp" && q.proto != "sctp" {
		if q.proto != "ip" && q.proto != "ip6" {
			return nil, fmt.Errorf("%s has no ports", q.proto)
		}
	}
	first, last := word, word
	if q.kind == "portrange" {
		var found bool
		if first, last, found = strings.Cut(word, "-"); !found {
			return nil, fmt.Errorf("%q is no range of ports, such as 8000-8010", word)
		}
	}
	low, err := portNumber(first)
	if err != nil {
		return nil, err
	}
	high, err := portNumber(last)
	if err != nil {
		return nil, err
	}
	within := protocol(q.proto)
	return func(k *packet) bool {
		src, dst, ok := k.ports()
		return ok && within(k) && either(q.dir, src, dst, func(n int) bool { return low <= n && n <= high })
	}, nil
}

func portNumber(word string) (int, error) {
	if n, known := services[word]; known {
		return n, nil
	}
	n, err := strconv.Atoi(word)
	if err != nil || n < 0 || n > 65535 {
		return 0, fmt.Errorf("%q is no port: 0 to 65535", word)
	}
	return n, nil
}

func isNumber(word string) bool {
	_, err := strconv.ParseInt(word, 0, 64)
	return err == nil
}
