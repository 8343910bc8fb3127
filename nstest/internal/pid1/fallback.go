package pid1

import (
	"os"

	"golang.org/x/sys/unix"
)

// IsInit reports whether this process was started to be an init: PID 1, with the control socket.
func IsInit() bool {
	if len(os.Args) != 1 || os.Args[0] != argv0 {
		return false
	}
	typ, err := unix.GetsockoptInt(control, unix.SOL_SOCKET, unix.SO_TYPE)
	return err == nil && typ == unix.SOCK_SEQPACKET
}

const control = 3

// Main is the init's whole life.
func Main() { os.Exit(1) }
