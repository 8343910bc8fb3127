package pcapfilter

import (
	"fmt"
	"slices"
	"strconv"
)

// A number is what is compared; ok is false where the packet does not have it, and then no comparison holds.
type number func(k *packet) (n int64, ok bool)

var comparisons = []string{"=", "==", "!=", "<", "<=", ">", ">="}

// operators bind equally, but for * and / before the others; write parentheses.
var operators = map[string]func(a, b int64) int64{
	"+":  func(a, b int64) int64 { return a + b },
	"*":  func(a, b int64) int64 { return a * b },
	"&":  func(a, b int64) int64 { return a & b },
	"|":  func(a, b int64) int64 { return a | b },
	"<<": func(a, b int64) int64 { return a << (uint64(b) & 63) },
	">>": func(a, b int64) int64 { return a >> (uint64(b) & 63) },
	"/": func(a, b int64) int64 {
		if b == 0 {
			return 0
		}
		return a / b
	},
}

// named are the names that have a number: where the flags of TCP and the type of ICMP are, and their values.
var named = map[string]int64{
	"tcpflags": 13, "tcp-fin": 1, "tcp-syn": 2, "tcp-rst": 4, "tcp-push": 8, "tcp-ack": 16, "tcp-urg": 32, "tcp-ece": 64, "tcp-cwr": 128,
	"icmptype": 0, "icmpcode": 1, "icmp-echoreply": 0, "icmp-unreach": 3, "icmp-redirect": 5, "icmp-echo": 8, "icmp-timxceed": 11,
	"icmp6type": 0, "icmp6code": 1, "icmp6-packettoobig": 2, "icmp6-echo": 128, "icmp6-echoreply": 129, "icmp6-routersolicit": 133,
	"icmp6-routeradvert": 134, "icmp6-neighborsolicit": 135, "icmp6-neighboradvert": 136,
}

func (p *parser) comparison() (match, error) {
	left, err := p.sum()
	if err != nil {
		return nil, err
	}
	sign := p.take()
	if !slices.Contains(comparisons, sign) {
		return nil, fmt.Errorf("a comparison such as \"!= 0\" is missing before %q", sign)
	}
	right, err := p.sum()
	if err != nil {
		return nil, err
	}
	return func(k *packet) bool {
		a, ok := left(k)
		b, also := right(k)
		if !ok || !also {
			return false
		}
		switch sign {
		case "!=":
			return a != b
		case "<":
			return a < b
		case "<=":
			return a <= b
		case ">":
			return a > b
		case ">=":
			return a >= b
		}
		return a == b
	}, nil
}

func (p *parser) sum() (number, error) {
	left, err := p.product()
	for err == nil && slices.Contains([]string{"+", "&", "|", "<<", ">>"}, p.token()) {
		left, err = p.join(left, p.product)
	}
	return left, err
}

func (p *parser) product() (number, error) {
	left, err := p.operand()
	for err == nil && slices.Contains([]string{"*", "/"}, p.token()) {
		left, err = p.join(left, p.operand)
	}
	return left, err
}

// join takes an operator and what is on its right.
func (p *parser) join(left number, next func() (number, error)) (number, error) {
	f := operators[p.take()]
	right, err := next()
	return func(k *packet) (int64, bool) {
		a, ok := left(k)
		b, also := right(k)
		if !ok || !also {
			return 0, false
		}
		return f(a, b), true
	}, err
}

func (p *parser) operand() (number, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, fmt.Errorf("too many parentheses")
	}
	defer func() { p.depth-- }()
	word := p.take()
	switch {
	case word == "(":
		n, err := p.sum()
		if err == nil {
			err = p.expect(")")
		}
		return n, err
	case word == "len":
		return func(k *packet) (int64, bool) { return int64(k.length), true }, nil
	case slices.Contains(protocols, word):
		return p.field(word)
	}
	n, known := named[word]
	if !known {
		var err error
		if n, err = strconv.ParseInt(word, 0, 64); err != nil {
			return nil, fmt.Errorf("%q is no number", word)
		}
	}
	return func(*packet) (int64, bool) { return n, true }, nil
}

// field is one, two or four bytes of a layer: tcp[13], ip[2:2].
func (p *parser) field(layer string) (number, error) {
	if err := p.expect("["); err != nil {
		return nil, err
	}
	tokens, size := &p.tokens, 1
	if word := p.token(); len(word) > 2 && word[len(word)-2] == ':' { // 2:2 is one word
		switch word[len(word)-1] {
		case '1', '2', '4':
			size = int(word[len(word)-1] - '0')
		default:
			return nil, fmt.Errorf("%s[%s]: 1, 2 or 4 bytes", layer, word)
		}
		(*tokens)[0] = word[:len(word)-2]
	}
	offset, err := p.sum()
	if err == nil {
		err = p.expect("]")
	}
	return func(k *packet) (n int64, ok bool) {
		at, ok := offset(k)
		base := k.base(layer)
		if !ok || base < 0 || at < 0 || at > int64(len(k.frame)) || int64(base)+at+int64(size) > int64(len(k.frame)) {
			return 0, false
		}
		for _, b := range k.frame[base+int(at):][:size] {
			n = n<<8 | int64(b)
		}
		return n, true
	}, err
}

// base is where a layer begins, -1 if the packet does not have it.
func (k *packet) base(layer string) int {
	switch {
	case !protocol(layer)(k):
		return -1
	case layer == "ether":
		return 0
	case layer == "ip" || layer == "ip6" || layer == "arp":
		return k.network
	case k.transport == 0:
		return -1
	}
	return k.transport
}
