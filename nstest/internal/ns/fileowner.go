package ns

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// AsFileOwner runs f on the calling thread, which must be locked, with the file system ids uid and gid: files that f
// makes belong to them, as far as the thread's capabilities go (setfsuid(2)). Inside an environment whose ids are
// shifted, no file can be made for an id that the environment does not have.
func AsFileOwner(uid, gid int, f func() error) error {
	var caps [2]unix.CapUserData
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capget(&header, &caps[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	oldGID, err := unix.SetfsgidRetGid(gid)
	if err != nil {
		return fmt.Errorf("become owner of files: %w", err)
	}
	defer func() { _ = unix.Setfsgid(oldGID) }() // it cannot fail for an id that we had
	oldUID, err := unix.SetfsuidRetUid(uid)
	if err != nil {
		return fmt.Errorf("become owner of files: %w", err)
	}
	defer func() { _ = unix.Setfsuid(oldUID) }()
	// The kernel has taken the capabilities over files with the id 0: they are still permitted.
	if err := unix.Capset(&header, &caps[0]); err != nil {
		return fmt.Errorf("keep capabilities: %w", err)
	}
	return f()
}
