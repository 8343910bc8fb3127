package firewall

import (
	"encoding/binary"
	"fmt"

	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A transaction is messages that the kernel carries out at one instant, or not at all.
//
// It is not a nftables.Conn, which has the kernel answer each message with an acknowledgement and a copy of what was added:
// those of some hundred rules are more than the receive buffer of an ordinary user holds.
type transaction struct {
	messages []netlink.Message
	sets     map[string]uint32 // by what is in them
	priority int32             // of the chains that filter
	err      error
}

// sendBuffer is in bytes; a transaction is one sendmsg(2). An ordinary user's is limited to twice net.core.wmem_max.
const sendBuffer = 4 << 20

// commit has the kernel carry out what was added.
func (t *transaction) commit(conn *netlink.Conn) error {
	if t.err != nil {
		return t.err
	}
	mark := func(kind uint16) netlink.Message {
		return netlink.Message{
			Header: netlink.Header{Type: netlink.HeaderType(kind), Flags: netlink.Request},
			Data:   binary.BigEndian.AppendUint16([]byte{unix.AF_UNSPEC, unix.NFNETLINK_V0}, unix.NFNL_SUBSYS_NFTABLES),
		}
	}
	// Errors come in the order of the messages, so that the acknowledgement of the last one means that there are none.
	t.messages[len(t.messages)-1].Header.Flags |= netlink.Acknowledge
	batch := append([]netlink.Message{mark(unix.NFNL_MSG_BATCH_BEGIN)}, t.messages...)
	if _, err := conn.SendMessages(append(batch, mark(unix.NFNL_MSG_BATCH_END))); err != nil {
		return err
	}
	_, err := conn.Receive()
	return err
}

func (t *transaction) add(kind int, flags netlink.HeaderFlags, attributes ...netlink.Attribute) {
	t.messages = append(t.messages, netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | kind), Flags: netlink.Request | flags},
		Data:   append([]byte{unix.NFPROTO_INET, unix.NFNETLINK_V0, 0, 0}, t.marshal(attributes...)...),
	})
}

func (t *transaction) marshal(attributes ...netlink.Attribute) []byte {
	b, err := netlink.MarshalAttributes(attributes)
	t.fail(err)
	return b
}

func (t *transaction) fail(err error) {
	if t.err == nil && err != nil {
		t.err = fmt.Errorf("compile firewall: %w", err)
	}
}

func (t *transaction) nest(kind uint16, attributes ...netlink.Attribute) netlink.Attribute {
	return netlink.Attribute{Type: unix.NLA_F_NESTED | kind, Data: t.marshal(attributes...)}
}

func text(kind uint16, s string) netlink.Attribute {
	return netlink.Attribute{Type: kind, Data: append([]byte(s), 0)}
}

func number(kind uint16, n uint32) netlink.Attribute {
	return netlink.Attribute{Type: kind, Data: binary.BigEndian.AppendUint32(nil, n)}
}

// clear removes the table, whether or not there is one.
func (t *transaction) clear() {
	t.table()
	t.add(unix.NFT_MSG_DELTABLE, 0, text(unix.NFTA_TABLE_NAME, table))
}

func (t *transaction) table() {
	t.add(unix.NFT_MSG_NEWTABLE, netlink.Create, text(unix.NFTA_TABLE_NAME, table))
}

// chain adds a chain that others go to.
func (t *transaction) chain(name string) {
	t.add(unix.NFT_MSG_NEWCHAIN, netlink.Create, text(unix.NFTA_CHAIN_TABLE, table), text(unix.NFTA_CHAIN_NAME, name))
}

// base adds a chain to which packets come at a hook. What comes to its end passes.
func (t *transaction) base(name, kind string, hook uint32, priority int32) {
	t.add(unix.NFT_MSG_NEWCHAIN, netlink.Create, text(unix.NFTA_CHAIN_TABLE, table), text(unix.NFTA_CHAIN_NAME, name),
		t.nest(unix.NFTA_CHAIN_HOOK, number(unix.NFTA_HOOK_HOOKNUM, hook), number(unix.NFTA_HOOK_PRIORITY, uint32(priority))),
		text(unix.NFTA_CHAIN_TYPE, kind))
}

// rule adds a rule at the end of a chain.
func (t *transaction) rule(chain string, what ...expr.Any) { t.commented("", chain, what...) }

// commented is rule for one with a comment, if that is not empty.
func (t *transaction) commented(comment, chain string, what ...expr.Any) {
	var list []netlink.Attribute
	for _, e := range what {
		switch e := e.(type) {
		case *expr.Ct:
			list = append(list, t.ct(e))
			continue
		case *expr.Counter: // which begins at 0 without being told, and there are many
			list = append(list, t.nest(unix.NFTA_LIST_ELEM, text(unix.NFTA_EXPR_NAME, "counter")))
			continue
		}
		b, err := expr.Marshal(unix.NFPROTO_INET, e)
		t.fail(err)
		list = append(list, netlink.Attribute{Type: unix.NLA_F_NESTED | unix.NFTA_LIST_ELEM, Data: b})
	}
	attributes := []netlink.Attribute{text(unix.NFTA_RULE_TABLE, table), text(unix.NFTA_RULE_CHAIN, chain), t.nest(unix.NFTA_RULE_EXPRESSIONS, list...)}
	if comment != "" {
		data := append([]byte{0, byte(len(comment) + 1)}, comment...) // NFTNL_UDATA_RULE_COMMENT of libnftnl, which nft(8) shows
		attributes = append(attributes, netlink.Attribute{Type: unix.NFTA_RULE_USERDATA, Data: append(data, 0)})
	}
	t.add(unix.NFT_MSG_NEWRULE, netlink.Create|netlink.Append, attributes...)
}

// ct is what package expr would make of e, which writes the direction as four bytes where the kernel reads the first (v0.3.0).
func (t *transaction) ct(e *expr.Ct) netlink.Attribute {
	data := []netlink.Attribute{number(unix.NFTA_CT_KEY, uint32(e.Key)), number(unix.NFTA_CT_DREG, e.Register)}
	switch e.Key {
	case expr.CtKeySRC, expr.CtKeyDST, expr.CtKeyPROTOSRC, expr.CtKeyPROTODST:
		data = append(data, netlink.Attribute{Type: unix.NFTA_CT_DIRECTION, Data: []byte{byte(e.Direction)}})
	}
	return t.nest(unix.NFTA_LIST_ELEM, text(unix.NFTA_EXPR_NAME, "ct"), t.nest(unix.NFTA_EXPR_DATA, data...))
}

// set is the number of the set that holds spans, which it adds unless there is one.
func (t *transaction) set(spans []span) uint32 {
	var content []byte
	for _, s := range spans {
		content = append(append(content, s.first...), s.last...)
	}
	size := len(spans[0].first)
	content = append(content, byte(size))
	if id, ok := t.sets[string(content)]; ok {
		return id
	}
	if t.sets == nil {
		t.sets = map[string]uint32{}
	}
	id := uint32(len(t.sets) + 1)
	t.sets[string(content)] = id
	t.add(unix.NFT_MSG_NEWSET, netlink.Create, text(unix.NFTA_SET_TABLE, table), text(unix.NFTA_SET_NAME, setName(id)),
		number(unix.NFTA_SET_FLAGS, unix.NFT_SET_CONSTANT|unix.NFT_SET_INTERVAL),
		number(unix.NFTA_SET_KEY_TYPE, keyType(size)), number(unix.NFTA_SET_KEY_LEN, uint32(size)), number(unix.NFTA_SET_ID, id))
	var elements []netlink.Attribute
	element := func(key []byte, flags uint32) {
		e := []netlink.Attribute{t.nest(unix.NFTA_SET_ELEM_KEY, netlink.Attribute{Type: unix.NFTA_DATA_VALUE, Data: key})}
		if flags != 0 {
			e = append(e, number(unix.NFTA_SET_ELEM_FLAGS, flags))
		}
		elements = append(elements, t.nest(unix.NFTA_LIST_ELEM, e...))
	}
	for _, s := range spans {
		element(s.first, 0)
		if after, ok := next(s.last); ok { // the last of all needs no end
			element(after, unix.NFT_SET_ELEM_INTERVAL_END)
		}
	}
	t.add(unix.NFT_MSG_NEWSETELEM, netlink.Create, text(unix.NFTA_SET_ELEM_LIST_TABLE, table), text(unix.NFTA_SET_ELEM_LIST_SET, setName(id)),
		number(unix.NFTA_SET_ELEM_LIST_SET_ID, id), t.nest(unix.NFTA_SET_ELEM_LIST_ELEMENTS, elements...))
	return id
}

func setName(id uint32) string { return fmt.Sprintf("set%d", id) }

// keyType is by what name nft(8) shows keys of a size.
func keyType(size int) uint32 {
	switch size {
	case 4:
		return 7 // ipv4_addr
	case 16:
		return 8 // ipv6_addr
	}
	return 13 // inet_service
}
