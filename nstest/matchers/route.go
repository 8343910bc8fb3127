package matchers

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"net/netip"
	"strings"

	"github.com/onsi/gomega/types"
)

// HaveRoute succeeds if actual's network namespace has an IPv4 route to exactly that prefix: "10.1.0.0/16", or "default".
func HaveRoute(prefix string) types.GomegaMatcher {
	if prefix == "default" {
		prefix = "0.0.0.0/0"
	}
	return &entryMatcher{what: "route to " + prefix, list: routes, is: func(e string) bool { return strings.HasPrefix(e, prefix+" ") }}
}

// routes reads /proc/PID/net/route, whose addresses are numbers in the machine's byte order.
func routes(s subject) ([]string, error) {
	text, err := s.read("net/route")
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	var list []string
	for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if i == 0 {
			continue // the heading
		}
		var name string
		var to, via, mask uint32
		var rest int
		if _, err := fmt.Sscanf(line, "%s %x %x %d %d %d %d %x", &name, &to, &via, &rest, &rest, &rest, &rest, &mask); err != nil {
			return nil, fmt.Errorf("list routes: %q: %w", line, err)
		}
		entry := netip.PrefixFrom(address(to), bits.OnesCount32(mask)).String() + " dev " + name
		if via != 0 {
			entry += " via " + address(via).String()
		}
		list = append(list, entry)
	}
	return list, nil
}

func address(n uint32) netip.Addr {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}
