package wire

import (
	"encoding/binary"
	"fmt"
)

// The limits that both sides hold to. A frame outside of them is refused by its sender and ends the connection at its
// receiver.
const (
	MaxBody  = 16 << 20 // bytes of JSON in a frame
	MaxFiles = 16       // files beside a frame
)

type kind uint8

const (
	kindRequest kind = 1 // client → server: requestBody
	kindCancel  kind = 2 // client → server: no body, no files; the request is still answered
	kindReply   kind = 3 // server → client: replyBody
)

const (
	magic      = 0x6e737731 // "nsw1"
	headerSize = 20
)

// header begins every frame: magic u32, kind u8, files u8, zero u16, length u32, id u64, all big endian. The files travel
// with its bytes, the body of that length follows.
type header struct {
	kind   kind
	files  int
	length int
	id     uint64 // chosen by the client, of one request and its reply
}

func (h header) put(b []byte) {
	binary.BigEndian.PutUint32(b[0:], magic)
	b[4], b[5] = byte(h.kind), byte(h.files)
	binary.BigEndian.PutUint16(b[6:], 0)
	binary.BigEndian.PutUint32(b[8:], uint32(h.length))
	binary.BigEndian.PutUint64(b[12:], h.id)
}

func parseHeader(b *[headerSize]byte) (header, error) {
	if m := binary.BigEndian.Uint32(b[0:]); m != magic {
		return header{}, fmt.Errorf("%w: magic %#x", ErrProtocol, m)
	}
	if z := binary.BigEndian.Uint16(b[6:]); z != 0 {
		return header{}, fmt.Errorf("%w: reserved bytes %#x", ErrProtocol, z)
	}
	length := binary.BigEndian.Uint32(b[8:])
	if length > MaxBody {
		return header{}, fmt.Errorf("%w: body of %d bytes, the limit is %d", ErrProtocol, length, MaxBody)
	}
	if b[5] > MaxFiles {
		return header{}, fmt.Errorf("%w: %d files, the limit is %d", ErrProtocol, b[5], MaxFiles)
	}
	h := header{kind: kind(b[4]), files: int(b[5]), length: int(length), id: binary.BigEndian.Uint64(b[12:])}
	switch h.kind {
	case kindRequest, kindReply:
	case kindCancel:
		if h.files != 0 || h.length != 0 {
			return header{}, fmt.Errorf("%w: cancel with %d bytes and %d files", ErrProtocol, h.length, h.files)
		}
	default:
		return header{}, fmt.Errorf("%w: frame of kind %d", ErrProtocol, h.kind)
	}
	return h, nil
}

// What the requests of one connection may hold at a time. A request costs its bytes, but at least a slot, and at least
// a slot for each of its files: so there are at most 256 requests, 256 files and 64 MiB.
const (
	roomTotal = 64 << 20
	roomSlot  = roomTotal / 256
)

func (h header) cost() int64 { return int64(max(h.length, roomSlot*max(1, h.files))) }
