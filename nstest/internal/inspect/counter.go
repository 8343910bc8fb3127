package inspect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/hermetic-go/nstest/nstest/internal/record"
	"golang.org/x/sys/unix"
)

var tableFamilies = map[byte]string{
	unix.NFPROTO_INET: "inet", unix.NFPROTO_IPV4: "ip", unix.NFPROTO_IPV6: "ip6", unix.NFPROTO_ARP: "arp", unix.NFPROTO_BRIDGE: "bridge", unix.NFPROTO_NETDEV: "netdev",
}

// Counters lists the rules of nftables that count, of all tables.
func (n *Net) Counters() ([]record.Counter, []string) {
	if n.filter == nil {
		return nil, nil
	}
	var list []record.Counter
	var last string
	position := 0
	changed, err := n.filter.dump(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_GETRULE, []byte{unix.NFPROTO_UNSPEC, unix.NFNETLINK_V0, 0, 0}, func(p []byte) error {
		if len(p) < 4 {
			return nil
		}
		r := parseRule(p)
		if r.chain != last {
			last, position = r.chain, 0
		}
		position++
		if !r.counts {
			return nil
		}
		where := fmt.Sprintf("%s rule %d", r.chain, position)
		switch {
		case r.ours && r.comment != "": // the words of Firewall, of which the kernel has several rules
			if i := slices.IndexFunc(list, func(c record.Counter) bool { return c.Where == r.comment }); i >= 0 {
				list[i].Packets += r.packets
				list[i].Bytes += r.bytes
				return nil
			}
			where = r.comment
		case r.comment != "":
			where += " (" + r.comment + ")"
		}
		if len(list) == mostCounters {
			return errEnough
		}
		list = append(list, record.Counter{Where: where, Packets: r.packets, Bytes: r.bytes})
		return nil
	})
	switch {
	case errors.Is(err, errEnough):
		return list, []string{more(mostCounters, "counters of nftables")}
	case errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL): // a kernel without nftables
		return nil, nil
	case err != nil:
		return list, []string{fmt.Sprintf("counters of nftables: %v", err)}
	case changed:
		return list, []string{"counters of nftables: the rules changed while they were read, and some may be missing"}
	}
	return list, nil
}

// firewallTable is that of Host.SetFirewall (package firewall).
const firewallTable = "nstest-firewall"

type rule struct {
	chain          string // with its table
	ours           bool
	comment        string
	counts         bool
	packets, bytes uint64
}

func parseRule(p []byte) rule {
	var r rule
	var table, chain string
	eachAttribute(p[4:], func(kind uint16, value []byte) {
		switch kind {
		case unix.NFTA_RULE_TABLE:
			table = clip(unix.ByteSliceToString(value))
		case unix.NFTA_RULE_CHAIN:
			chain = clip(unix.ByteSliceToString(value))
		case unix.NFTA_RULE_USERDATA:
			r.comment = comment(value)
		case unix.NFTA_RULE_EXPRESSIONS:
			eachAttribute(value, func(_ uint16, e []byte) { r.expression(e) })
		}
	})
	if r.ours = p[0] == unix.NFPROTO_INET && table == firewallTable; r.ours && r.comment != "" {
		r.comment = "firewall " + r.comment
	}
	r.chain = fmt.Sprintf("%s %s %s", tableFamilies[p[0]], table, chain)
	return r
}

func (r *rule) expression(p []byte) {
	name, data := "", []byte(nil)
	eachAttribute(p, func(kind uint16, value []byte) {
		switch kind {
		case unix.NFTA_EXPR_NAME:
			name = unix.ByteSliceToString(value)
		case unix.NFTA_EXPR_DATA:
			data = value
		}
	})
	if name != "counter" {
		return
	}
	r.counts = true
	eachAttribute(data, func(kind uint16, value []byte) {
		switch {
		case len(value) < 8:
		case kind == unix.NFTA_COUNTER_PACKETS:
			r.packets = binary.BigEndian.Uint64(value)
		case kind == unix.NFTA_COUNTER_BYTES:
			r.bytes = binary.BigEndian.Uint64(value)
		}
	})
}

// comment is that of a rule's user data: a type, a length, and a value (libnftnl).
func comment(p []byte) string {
	for len(p) >= 2 {
		size := int(p[1])
		if 2+size > len(p) {
			return ""
		}
		if p[0] == 0 {
			return clip(unix.ByteSliceToString(p[2 : 2+size]))
		}
		p = p[2+size:]
	}
	return ""
}
