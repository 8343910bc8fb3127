// Package pid1 is the init of environments and hosts, and the connection to it.
//
// The init is a static program of three kilobytes without a libc (static/init.c), for the architectures that have one; its
// bytes are checked in, and a test builds them again and compares. It executes programs of raw system calls that it is
// sent (Program), starts processes, forks further inits in new namespaces, reaps, and ends when its connection does.
// All policy is on this side of the connection. Other architectures have the same in Go (fallback.go).
package pid1

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Static returns the init as a file to be executed by its /proc/self/fd path, or nil where no static one exists for
// this architecture. The file belongs to the package and stays open. The error is EACCES where vm.memfd_noexec is 2.
var Static = sync.OnceValues(func() (*os.File, error) {
	if len(static) == 0 {
		return nil, nil
	}
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(argv0, flags|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // MFD_EXEC: Linux 6.3
		fd, err = unix.MemfdCreate(argv0, flags)
	}
	if err != nil {
		return nil, fmt.Errorf("create init image: %w", err)
	}
	w := os.NewFile(uintptr(fd), argv0)
	defer w.Close()
	if _, err := w.Write(static); err != nil {
		return nil, fmt.Errorf("write init image: %w", err)
	}
	if err := w.Chmod(0o555); err != nil {
		return nil, fmt.Errorf("make init image executable: %w", err)
	}
	// Every environment executes the same file, and finds it as /proc/1/exe.
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		return nil, fmt.Errorf("seal init image: %w", err)
	}
	// A file that is open for writing cannot be executed (ETXTBSY).
	r, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return nil, fmt.Errorf("open init image: %w", err)
	}
	return r, nil
})
