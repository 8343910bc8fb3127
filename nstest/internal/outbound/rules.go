package outbound

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// rulePorts are the ports of the transparent sockets, by family and protocol; 0 where there is none.
type rulePorts struct{ tcp4, udp4, tcp6, udp6 uint16 }

func (r *rulePorts) set(family string, tcp, udp uint16) {
	if family == "4" {
		r.tcp4, r.udp4 = tcp, udp
	} else {
		r.tcp6, r.udp6 = tcp, udp
	}
}

// rules are the nftables of the namespace.
type rules struct {
	conn  *nftables.Conn
	table *nftables.Table
}

const tableName = "nstest-outbound"

// Mark is on packets for which the proxy has a socket.
const Mark = 0x6e73

// install adds, in the namespace that the thread is in, what nft(8) shows as:
//
//	table inet nstest-outbound {
//		chain prerouting {
//			type filter hook prerouting priority mangle
//			fib daddr type local accept
//			fib daddr type broadcast accept
//			fib daddr type anycast accept
//			fib daddr type multicast accept
//			fib daddr oif exists accept
//			meta nfproto ipv4 meta l4proto tcp tproxy ip to :P1 meta mark set 0x6e73
//			…
//		}
//	}
func install(ports rulePorts) (*rules, error) {
	c, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return nil, fmt.Errorf("open nftables: %w", err)
	}
	r := &rules{conn: c, table: c.AddTable(&nftables.Table{Name: tableName, Family: nftables.TableFamilyINet})}
	chain := c.AddChain(&nftables.Chain{
		Name: "prerouting", Table: r.table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityMangle,
	})
	accept := &expr.Verdict{Kind: expr.VerdictAccept}
	for _, ours := range []uint32{unix.RTN_LOCAL, unix.RTN_BROADCAST, unix.RTN_ANYCAST, unix.RTN_MULTICAST} {
		r.rule(chain,
			&expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(ours)}, accept)
	}
	r.rule(chain,
		&expr.Fib{Register: 1, FlagDADDR: true, FlagPRESENT: true, ResultOIF: true},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{1}}, accept)
	for _, to := range []struct {
		family nftables.TableFamily
		proto  byte
		port   uint16
	}{
		{nftables.TableFamilyIPv4, unix.IPPROTO_TCP, ports.tcp4}, {nftables.TableFamilyIPv4, unix.IPPROTO_UDP, ports.udp4},
		{nftables.TableFamilyIPv6, unix.IPPROTO_TCP, ports.tcp6}, {nftables.TableFamilyIPv6, unix.IPPROTO_UDP, ports.udp6},
	} {
		if to.port == 0 {
			continue
		}
		r.rule(chain,
			&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{byte(to.family)}},
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{to.proto}},
			&expr.Immediate{Register: 1, Data: binary.BigEndian.AppendUint16(nil, to.port)},
			&expr.TProxy{Family: byte(to.family), TableFamily: byte(nftables.TableFamilyINet), RegPort: 1},
			&expr.Immediate{Register: 1, Data: binaryutil.NativeEndian.PutUint32(Mark)},
			&expr.Meta{Key: expr.MetaKeyMARK, Register: 1, SourceRegister: true})
	}
	if err := c.Flush(); err != nil {
		return nil, errors.Join(fmt.Errorf("nftables with tproxy and fib (CONFIG_NFT_TPROXY, CONFIG_NFT_FIB_INET): %w", err), c.CloseLasting())
	}
	return r, nil
}

func (r *rules) rule(chain *nftables.Chain, exprs ...expr.Any) {
	r.conn.AddRule(&nftables.Rule{Table: r.table, Chain: chain, Exprs: exprs})
}

func (r *rules) remove() error {
	r.conn.DelTable(r.table)
	return errors.Join(r.conn.Flush(), r.conn.CloseLasting())
}
