package rtnl

import (
	"bytes"
	"syscall"

	"golang.org/x/sys/unix"
)

// Error is the kernel's refusal of one message. It unwraps to Errno.
type Error struct {
	What   string // verb and object: "create veth p3"
	Errno  syscall.Errno
	Detail string // the kernel's own words; may be empty
}

// Error is "What: errno", followed by the kernel's words in parentheses.
func (e *Error) Error() string {
	s := e.What + ": " + e.Errno.Error()
	if e.Detail != "" {
		s += " (" + e.Detail + ")"
	}
	return s
}

// Unwrap returns the errno.
func (e *Error) Unwrap() error { return e.Errno }

// parseError reads an NLMSG_ERROR message, or the payload of the NLMSG_DONE that ends a dump. The errno is 0 for an
// acknowledgement.
func parseError(m message) (errno syscall.Errno, detail string) {
	if len(m.payload) < 4 {
		return 0, ""
	}
	errno = syscall.Errno(-int32(native.Uint32(m.payload)))
	if errno == 0 || m.flags&unix.NLM_F_ACK_TLVS == 0 {
		return errno, ""
	}
	rest := m.payload[4:]
	if m.kind == unix.NLMSG_ERROR { // the header of the request follows, and its body unless it was capped
		if len(rest) < unix.NLMSG_HDRLEN {
			return errno, ""
		}
		skip := unix.NLMSG_HDRLEN
		if m.flags&unix.NLM_F_CAPPED == 0 {
			skip = int(native.Uint32(rest))
		}
		if skip > len(rest) {
			return errno, ""
		}
		rest = rest[skip:]
	}
	if text := attributes(rest)[unix.NLMSGERR_ATTR_MSG]; text != nil {
		detail = string(bytes.TrimRight(text, "\x00"))
	}
	return errno, detail
}
