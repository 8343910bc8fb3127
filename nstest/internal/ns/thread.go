package ns

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// UnshareThread takes the calling thread, which must be locked, out of namespaces that it shares.
func UnshareThread(kinds Kinds) error {
	if err := unix.Unshare(int(kinds)); err != nil {
		return fmt.Errorf("unshare %s: %w", kinds.name(), err)
	}
	return nil
}

// JoinThread takes the calling thread, which must be locked, into a namespace.
func JoinThread(f *os.File) error {
	kind, err := KindOf(f)
	if err != nil {
		return fmt.Errorf("setns %s: %w", f.Name(), err)
	}
	if err := unix.Setns(int(f.Fd()), int(kind)); err != nil {
		return fmt.Errorf("setns %s: %w", kind.name(), err)
	}
	return nil
}
