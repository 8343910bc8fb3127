package traffic

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	nethttp "net/http"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// preface is how a client begins to speak HTTP/2 in clear text (RFC 9113, section 3.4).
const preface = http2.ClientPreface

// Limits of what is read of a connection of HTTP/2.
const (
	maxBlock   = 1 << 18 // bytes of headers, as they are sent
	maxList    = 1 << 16 // and of what they say
	maxTable   = 1 << 20 // bytes of a table of HPACK that either side may ask for
	maxStreams = 10_000  // that are open
	frameHead  = 9
	firstTable = 4096 // bytes of the table that each side may use without asking (RFC 9113, section 6.5.2)
)

// maxTables bounds the tables of HPACK of all connections of a capture, in bytes. A variable for the test.
var maxTables = 64 << 20

// speaksHTTP2 reports whether a segment is the first one of a side of a connection of HTTP/2: the preface, or the settings
// with which a server begins.
func speaksHTTP2(b []byte) bool {
	if bytes.HasPrefix(b, []byte(preface)) {
		return true
	}
	if len(b) < frameHead {
		return false
	}
	h := headOf(b)
	return h.Type == http2.FrameSettings && h.Flags == 0 && h.StreamID == 0 && h.Length%6 == 0 && h.Length <= 6*32 && b[5]&0x80 == 0
}

// framed reports whether a segment is nothing but frames of HTTP/2, some of which have a form that hardly anything else has.
func framed(b []byte) bool {
	sure := false
	for len(b) >= frameHead {
		h := headOf(b)
		stream := h.StreamID != 0
		ok := b[5]&0x80 == 0 && h.Length <= 1<<14
		switch h.Type {
		case http2.FrameHeaders, http2.FrameContinuation, http2.FrameData:
			ok = ok && stream && h.Flags&^0x2d == 0
		case http2.FrameWindowUpdate:
			ok = ok && h.Length == 4 && h.Flags == 0
			sure = true
		case http2.FrameRSTStream:
			ok = ok && h.Length == 4 && h.Flags == 0 && stream
			sure = true
		case http2.FramePing:
			ok = ok && h.Length == 8 && h.Flags&^1 == 0 && !stream
			sure = true
		case http2.FrameSettings:
			ok = ok && h.Length%6 == 0 && h.Flags&^1 == 0 && !stream
			sure = true
		default:
			return false
		}
		if !ok || len(b) < frameHead+int(h.Length) {
			return false
		}
		b = b[frameHead+int(h.Length):]
	}
	return sure && len(b) == 0
}

func headOf(b []byte) http2.FrameHeader {
	return http2.FrameHeader{
		Length: uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]), Type: http2.FrameType(b[3]), Flags: http2.Flags(b[4]),
		StreamID: binary.BigEndian.Uint32(b[5:]) & (1<<31 - 1),
	}
}

// An http2Conn is what both sides of a connection say in HTTP/2.
type http2Conn struct {
	sides   [2]http2Side // of the client and of the server
	streams map[uint32]*http2Stream
	room    *int // in bytes, for tables of all connections
}

// An http2Stream is a request and its answer.
type http2Stream struct {
	path     string
	grpc     bool
	answered bool
}

// An http2Side is what one side says. What is not in the capture is passed over where nothing depends on it.
type http2Side struct {
	bytes  bytesInOrder
	server bool

	begun  bool   // the preface is passed
	head   []byte // of the frame that is being read, as far as it has come
	body   []byte // likewise
	want   int    // bytes of the body that are to come
	skip   int    // bytes to be passed over
	broken bool   // nobody knows where a frame begins
	lost   bool   // what HPACK has remembered is not known

	block  []byte // the frames of a list of headers that is not complete
	in     bytes.Buffer
	framer *http2.Framer
	table  int // bytes for its table of HPACK that were taken out of the room for all
}

// newHTTP2 is a connection whose tables of HPACK are taken out of the room for all; nil if there is too little.
func newHTTP2(room *int) *http2Conn {
	c := &http2Conn{streams: map[uint32]*http2Stream{}, room: room}
	if *room < len(c.sides)*firstTable {
		return nil
	}
	for i := range c.sides {
		s := &c.sides[i]
		s.server = i == 1
		s.begun = s.server
		s.framer = http2.NewFramer(nil, &s.in)
		s.framer.SetMaxReadFrameSize(maxBlock)
		s.framer.ReadMetaHeaders = hpack.NewDecoder(firstTable, nil)
		s.table, *room = firstTable, *room-firstTable
		s.framer.MaxHeaderListSize = maxList
	}
	return c
}

// read is what a side says in bytes that come in order, after so many that are not in the capture.
func (c *http2Conn) read(s *http2Side, missing int, b []byte) (out []message) {
	if missing > 0 && !s.broken {
		out = c.miss(s, missing)
	}
	for len(b) > 0 && !s.broken {
		switch {
		case s.skip > 0:
			n := min(s.skip, len(b))
			s.skip, b = s.skip-n, b[n:]
		case !s.begun:
			n := min(len(preface)-len(s.head), len(b))
			s.head, b = append(s.head, b[:n]...), b[n:]
			if !strings.HasPrefix(preface, string(s.head)) {
				return append(out, c.breakOff(s, "it does not begin as such")...)
			}
			if len(s.head) == len(preface) {
				s.begun, s.head = true, s.head[:0]
			}
		case len(s.head) < frameHead:
			n := min(frameHead-len(s.head), len(b))
			s.head, b = append(s.head, b[:n]...), b[n:]
			if len(s.head) == frameHead {
				out = append(out, c.beginFrame(s)...)
			}
		default:
			n := min(s.want-len(s.body), len(b))
			s.body, b = append(s.body, b[:n]...), b[n:]
			if len(s.body) == s.want {
				out = append(out, c.endFrame(s)...)
			}
		}
	}
	return out
}

// beginFrame decides whether what is in a frame is wanted.
func (c *http2Conn) beginFrame(s *http2Side) []message {
	h := headOf(s.head)
	s.want = int(h.Length)
	switch h.Type {
	case http2.FrameHeaders, http2.FrameContinuation, http2.FramePushPromise, http2.FrameRSTStream, http2.FrameGoAway, http2.FrameSettings:
		if s.want > maxBlock {
			return c.breakOff(s, "a frame is too large")
		}
		if s.want == 0 {
			return c.endFrame(s)
		}
	default:
		if h.Type == http2.FrameData && h.Flags.Has(http2.FlagDataEndStream) && s.server {
			delete(c.streams, h.StreamID)
		}
		s.skip, s.head, s.want = s.want, s.head[:0], 0
	}
	return nil
}

// miss passes over what is not in the capture.
func (c *http2Conn) miss(s *http2Side, n int) []message {
	passed := min(n, s.skip)
	s.skip, n = s.skip-passed, n-passed
	if n == 0 {
		return nil
	}
	if len(s.head) < frameHead || n > s.want-len(s.body) {
		return c.breakOff(s, "a part of it is not in the capture")
	}
	h := headOf(s.head)
	s.skip = s.want - len(s.body) - n
	s.head, s.body, s.want = s.head[:0], s.body[:0], 0
	switch h.Type {
	case http2.FrameHeaders, http2.FrameContinuation, http2.FramePushPromise:
		s.block = nil
		out := c.lose(s)
		if h.Type == http2.FrameHeaders {
			out = append(out, c.unreadable(s, h.StreamID))
		}
		return out
	}
	return nil
}

// breakOff ends the reading of a side.
func (c *http2Conn) breakOff(s *http2Side, why string) []message {
	s.broken = true
	clear(c.streams)
	return []message{{kind: HTTP, text: "HTTP/2 that cannot be read from here on: " + why, role: Unknown}}
}

// lose says once that the headers of a side cannot be read any more.
func (c *http2Conn) lose(s *http2Side) []message {
	if s.lost {
		return nil
	}
	s.lost = true
	return []message{{kind: HTTP, text: "HTTP/2 whose headers cannot be read from here on: some are not in the capture, and further ones refer to them"}}
}

// unreadable stands for headers of a stream.
func (c *http2Conn) unreadable(s *http2Side, stream uint32) message {
	if s.server {
		return message{kind: HTTP, text: "HTTP/2 answer, not readable", role: Answers, stream: stream}
	}
	return message{kind: HTTP, text: "HTTP/2 request, not readable", role: Asks, stream: stream}
}

// endFrame reads a frame that is complete.
func (c *http2Conn) endFrame(s *http2Side) []message {
	h := headOf(s.head)
	s.block = append(append(s.block, s.head...), s.body...)
	s.head, s.body, s.want = s.head[:0], s.body[:0], 0
	const endHeaders = http2.FlagHeadersEndHeaders
	switch h.Type {
	case http2.FrameHeaders, http2.FrameContinuation, http2.FramePushPromise:
		if len(s.block) > maxBlock {
			s.block = nil
			return c.breakOff(s, "its headers are too large")
		}
		if h.Flags&endHeaders == 0 {
			return nil
		}
		if s.lost {
			s.block = nil
			if h.Type == http2.FrameHeaders {
				return []message{c.unreadable(s, h.StreamID)}
			}
			return nil
		}
	}
	s.in.Reset()
	s.in.Write(s.block)
	s.block = s.block[:0]
	frame, err := s.framer.ReadFrame()
	var stream http2.StreamError
	switch {
	case err == nil:
	case asStreamError(err, &stream): // of one that is malformed; what HPACK remembers is known
		return []message{c.unreadable(s, stream.StreamID)}
	default:
		return c.breakOff(s, err.Error())
	}
	switch f := frame.(type) {
	case *http2.MetaHeadersFrame:
		return c.headers(s, f)
	case *http2.PushPromiseFrame: // whose headers the framer does not read
		return c.lose(s)
	case *http2.SettingsFrame:
		if n, ok := f.Value(http2.SettingHeaderTableSize); ok && !f.IsAck() {
			c.allow(c.other(s), int(min(n, maxTable)))
		}
	case *http2.RSTStreamFrame:
		return c.reset(s, f)
	case *http2.GoAwayFrame:
		text := strings.TrimSpace(fmt.Sprintf("HTTP/2 GOAWAY %s %s", f.ErrCode, clip(f.DebugData())))
		return []message{{kind: HTTP, text: text, bad: f.ErrCode != http2.ErrCodeNo}}
	}
	return nil
}

func asStreamError(err error, target *http2.StreamError) bool {
	e, ok := err.(http2.StreamError)
	*target = e
	return ok
}

func (c *http2Conn) other(s *http2Side) *http2Side {
	if s.server {
		return &c.sides[0]
	}
	return &c.sides[1]
}

// allow has a side use a table of HPACK of so many bytes, as far as there is room. One that uses more cannot be read.
func (c *http2Conn) allow(s *http2Side, n int) {
	if more := min(n-s.table, *c.room); more > 0 {
		s.table, *c.room = s.table+more, *c.room-more
	}
	s.framer.ReadMetaHeaders.SetAllowedMaxDynamicTableSize(uint32(min(n, s.table)))
}

// end gives back the room for tables. Nothing is read any more.
func (c *http2Conn) end() {
	for i := range c.sides {
		*c.room += c.sides[i].table
	}
}

// headers is a request, an answer, or what comes behind either.
func (c *http2Conn) headers(s *http2Side, f *http2.MetaHeadersFrame) []message {
	if s.server {
		return c.answer(f)
	}
	method := f.PseudoValue("method")
	if method == "" || len(c.streams) >= maxStreams {
		return nil // trailers
	}
	stream := &http2Stream{path: f.PseudoValue("path"), grpc: strings.HasPrefix(field(f, "content-type"), "application/grpc")}
	c.streams[f.StreamID] = stream
	text := method + " " + stream.path + " HTTP/2"
	if stream.grpc {
		text = "gRPC " + stream.path
	}
	return []message{{kind: HTTP, text: clip([]byte(text)), role: Asks, stream: f.StreamID}}
}

// answer is headers that a server sends, or trailers.
func (c *http2Conn) answer(f *http2.MetaHeadersFrame) (out []message) {
	stream := cmp.Or(c.streams[f.StreamID], &http2Stream{})
	if f.StreamEnded() {
		delete(c.streams, f.StreamID)
	}
	if status := f.PseudoValue("status"); status != "" {
		code, _ := strconv.Atoi(status)
		m := message{kind: HTTP, text: clip([]byte(strings.TrimSpace("HTTP/2 " + status + " " + nethttp.StatusText(code)))), stream: f.StreamID, bad: code >= 400}
		if code >= 200 && !stream.answered {
			stream.answered, m.role = true, Answers
		}
		out = append(out, m)
	}
	status := field(f, "grpc-status")
	if status == "" {
		return out
	}
	code, err := strconv.Atoi(status)
	text := "gRPC " + status
	if err == nil && code >= 0 && code < len(grpcCodes) {
		text = "gRPC " + grpcCodes[code]
	}
	if said := field(f, "grpc-message"); said != "" {
		if plain, err := url.PathUnescape(said); err == nil {
			said = plain
		}
		text += ": " + said
	}
	if stream.path != "" {
		text += " (" + stream.path + ")"
	}
	return append(out, message{kind: HTTP, text: clip([]byte(text)), stream: f.StreamID, bad: status != "0"})
}

// reset is a stream that either side ends at once.
func (c *http2Conn) reset(s *http2Side, f *http2.RSTStreamFrame) []message {
	stream := c.streams[f.StreamID]
	delete(c.streams, f.StreamID)
	usual := f.ErrCode == http2.ErrCodeNo || f.ErrCode == http2.ErrCodeCancel // who does not want the rest says so
	m := message{kind: HTTP, text: "HTTP/2 RST_STREAM " + f.ErrCode.String(), stream: f.StreamID, bad: !usual}
	if stream != nil {
		m.text = clip([]byte(m.text + " (" + stream.path + ")"))
		switch {
		case stream.answered:
		case s.server:
			m.role, m.bad = Answers, true
		default:
			m.role, m.bad = GivesUp, true
		}
	}
	return []message{m}
}

func field(f *http2.MetaHeadersFrame, name string) string {
	for _, h := range f.RegularFields() {
		if h.Name == name {
			return h.Value
		}
	}
	return ""
}

// grpcCodes are the names of status codes of gRPC.
var grpcCodes = [...]string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
	"RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
	"UNAUTHENTICATED",
}
