package nsx

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// DropCapability takes a capability, unix.CAP_NET_ADMIN and the like, from the calling thread for good. It is for probes,
// whose thread is theirs; goroutines that a probe starts are not on it. A program that user 0 executes has it again.
func DropCapability(capability int) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return fmt.Errorf("drop capability %d: %w", capability, err)
	}
	set, bit := &sets[capability/32], uint32(1)<<(capability%32)
	set.Effective &^= bit
	set.Permitted &^= bit
	set.Inheritable &^= bit
	if err := unix.Capset(&header, &sets[0]); err != nil {
		return fmt.Errorf("drop capability %d: %w", capability, err)
	}
	return nil
}
