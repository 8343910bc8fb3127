// Package pid1 is the init of environments and hosts, and the connection to it.
//
// The init is a static program of three kilobytes without a libc (static/init.c), for the architectures that have one; its
// bytes are checked in, and a test builds them again and compares. It executes programs of raw system calls that it is
// sent (Program), starts processes, forks further inits in new namespaces, reaps, and ends when its connection does.
// All policy is on this side of the connection.
package pid1

import (
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Static returns the init as a file to be executed by its /proc/self/fd path, or nil where no static one exists for
// this architecture. The file belongs to the package and stays open.
var Static = sync.OnceValues(func() (*os.File, error) {
	if len(static) == 0 {
		return nil, nil
	}
	fd, err := unix.MemfdCreate("nstest-init", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("create init image: %w", err)
	}
	w := os.NewFile(uintptr(fd), "nstest-init")
	defer w.Close()
	if _, err := w.Write(static); err != nil {
		return nil, fmt.Errorf("write init image: %w", err)
	}
	if err := w.Chmod(0o555); err != nil {
		return nil, fmt.Errorf("make init image executable: %w", err)
	}
	// A file that is open for writing cannot be executed (ETXTBSY).
	r, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return nil, fmt.Errorf("open init image: %w", err)
	}
	return r, nil
})
