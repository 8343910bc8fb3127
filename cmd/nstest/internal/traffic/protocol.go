package traffic

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// maxText is how many bytes of a message are shown.
const maxText = 300

var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"}

// http is the request or status line with which a segment begins.
func http(b []byte) []message {
	if bytes.HasPrefix(b, []byte("PRI * HTTP/2.0\r\n")) {
		return []message{{kind: HTTP, text: "HTTP/2"}}
	}
	line, _, whole := bytes.Cut(b[:min(len(b), 8192)], []byte("\r\n"))
	status := bytes.HasPrefix(line, []byte("HTTP/1."))
	method, _, _ := bytes.Cut(line[:min(len(line), 16)], []byte(" "))
	if !status && (!slices.Contains(methods, string(method)) || whole && !bytes.Contains(line, []byte(" HTTP/1."))) {
		return nil
	}
	m := message{kind: HTTP, text: clip(line), role: Asks}
	if status {
		m.role = Answers
		m.bad = len(line) > 9 && (line[9] == '5' || line[9] == '4')
	}
	return []message{m}
}

// clip is a text in UTF-8 of limited length.
func clip(b []byte) string {
	text := strings.ToValidUTF8(string(b[:min(len(b), maxText)]), "\uFFFD")
	if len(b) > maxText {
		text += "…"
	}
	return text
}

// handshake is what the records of TLS say with which a segment begins: hellos, and certificates and alerts that are not encrypted.
func handshake(b []byte) []message {
	var out []message
	for len(b) >= 5 && b[1] == 3 && b[2] <= 4 && len(out) < 8 {
		size := int(binary.BigEndian.Uint16(b[3:]))
		record := b[5:min(5+size, len(b))]
		switch {
		case b[0] == 22 && len(record) > 4 && record[0] == 1:
			out = append(out, message{kind: TLS, text: clientHello(record[4:])})
		case b[0] == 22 && len(record) > 4 && record[0] == 2:
			out = append(out, message{kind: TLS, text: "ServerHello"})
			out = append(out, certificate(behind(record))...)
		case b[0] == 22 && len(record) > 4 && record[0] == 11:
			out = append(out, certificate(record)...)
		case b[0] == 21 && size == 2 && len(record) == 2:
			out = append(out, message{kind: TLS, text: "alert " + strings.ReplaceAll(alert(record[1]), "_", " "), bad: record[1] != 0})
		case b[0] < 20 || b[0] > 23:
			return out
		}
		if len(b) < 5+size {
			break
		}
		b = b[5+size:]
	}
	return out
}

// alerts are those of RFC 8446, and those before that are still seen.
var alerts = map[byte]string{
	0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 21: "decryption_failed", 22: "record_overflow", 40: "handshake_failure",
	41: "no_certificate", 42: "bad_certificate", 43: "unsupported_certificate", 44: "certificate_revoked", 45: "certificate_expired",
	46: "certificate_unknown", 47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied", 50: "decode_error", 51: "decrypt_error",
	70: "protocol_version", 71: "insufficient_security", 80: "internal_error", 86: "inappropriate_fallback", 90: "user_canceled",
	100: "no_renegotiation", 109: "missing_extension", 110: "unsupported_extension", 112: "unrecognized_name",
	113: "bad_certificate_status_response", 115: "unknown_psk_identity", 116: "certificate_required", 120: "no_application_protocol",
}

func alert(code byte) string {
	if name := alerts[code]; name != "" {
		return name
	}
	return fmt.Sprint(code)
}

// A reader takes fields off a message, and is empty once one is missing.
type reader []byte

// take is the next n bytes.
func (r *reader) take(n int) reader {
	if n > len(*r) {
		*r = nil
		return nil
	}
	out := (*r)[:n]
	*r = (*r)[n:]
	return out
}

// vector is the next field that has its length before it, in so many bytes.
func (r *reader) vector(size int) reader {
	n := 0
	for _, b := range r.take(size) {
		n = n<<8 | int(b)
	}
	return r.take(n)
}

// clientHello is a ClientHello (RFC 8446, section 4.1.2) in words: the name of the server and the protocols that are asked for.
func clientHello(b []byte) string {
	r := reader(b)
	r.take(2 + 32)
	r.vector(1)
	r.vector(2)
	r.vector(1)
	text := "ClientHello"
	extensions := r.take(2) // how long they are does not matter, and the record may be cut
	if extensions == nil {
		return text
	}
	for len(r) >= 4 {
		kind := binary.BigEndian.Uint16(r.take(2))
		e := r.vector(2)
		switch kind {
		case 0: // server_name (RFC 6066, section 3)
			names := e.vector(2)
			names.take(1)
			if name := names.vector(2); len(name) > 0 {
				text += " " + clip(name)
			}
		case 16: // application_layer_protocol_negotiation (RFC 7301)
			var list []string
			for protocols := e.vector(2); len(protocols) > 0; {
				list = append(list, clip(protocols.vector(1)))
			}
			text += " (" + clip([]byte(strings.Join(list, ", "))) + ")"
		}
	}
	return text
}

// dns is a query or an answer.
func dns(b []byte) []message {
	var d layers.DNS
	if err := d.DecodeFromBytes(b, gopacket.NilDecodeFeedback); err != nil || len(d.Questions) == 0 {
		return nil
	}
	q := d.Questions[0]
	text := q.Type.String() + " " + clip(q.Name)
	if !d.QR {
		return []message{{kind: DNS, text: text + "?"}}
	}
	var answers []string
	for _, a := range d.Answers {
		if a.IP != nil && len(answers) < 4 {
			answers = append(answers, a.IP.String())
		}
	}
	if d.ResponseCode != layers.DNSResponseCodeNoErr {
		return []message{{kind: DNS, text: text + ": " + rcode(d.ResponseCode), bad: true}}
	}
	return []message{{kind: DNS, text: strings.TrimSpace(text + ": " + strings.Join(answers, " "))}}
}

func rcode(code layers.DNSResponseCode) string {
	switch code {
	case layers.DNSResponseCodeFormErr:
		return "FORMERR"
	case layers.DNSResponseCodeServFail:
		return "SERVFAIL"
	case layers.DNSResponseCodeNXDomain:
		return "NXDOMAIN"
	case layers.DNSResponseCodeNotImp:
		return "NOTIMP"
	case layers.DNSResponseCodeRefused:
		return "REFUSED"
	}
	return fmt.Sprintf("rcode %d", code)
}
