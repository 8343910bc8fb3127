package firewall

import (
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// A view is where a packet tells from whom to whom it, or its connection, is.
type view struct {
	from, to func(is4 bool) expr.Any
	port     expr.Any
}

const register = unix.NFT_REG_1

// Directions of a connection, as the kernel counts them.
const (
	original uint32 = iota
	reply
)

// tracked loads a part of what the kernel knows of the connection. It ends the rule for a packet without one.
func tracked(key expr.CtKey, direction uint32) *expr.Ct {
	return &expr.Ct{Key: key, Register: register, Direction: direction}
}

func eitherFamily(e expr.Any) func(bool) expr.Any { return func(bool) expr.Any { return e } }

var (
	// ofConnection is who has opened the packet's connection, and with whom, whichever way the packet goes. It is who answers
	// and not who was asked, so that the destination is the one that a translation has led to.
	ofConnection = view{
		from: eitherFamily(tracked(expr.CtKeySRC, original)),
		to:   eitherFamily(tracked(expr.CtKeySRC, reply)),
		port: tracked(expr.CtKeyPROTOSRC, reply),
	}

	// asFirstAsked is the connection as it was before any translation.
	asFirstAsked = view{
		from: eitherFamily(tracked(expr.CtKeySRC, original)),
		to:   eitherFamily(tracked(expr.CtKeyDST, original)),
		port: tracked(expr.CtKeyPROTODST, original),
	}

	// ofPacket is the packet's own header.
	ofPacket = view{
		from: func(is4 bool) expr.Any {
			if is4 {
				return header(12, 4)
			}
			return header(8, 16)
		},
		to: func(is4 bool) expr.Any {
			if is4 {
				return header(16, 4)
			}
			return header(24, 16)
		},
		port: &expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
	}
)

func header(offset, size uint32) *expr.Payload {
	return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: size}
}
