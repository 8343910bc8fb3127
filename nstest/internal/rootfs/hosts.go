package rootfs

import (
	"net/netip"

	"github.com/hermetic-go/nstest/nstest/internal/pid1"
	"golang.org/x/sys/unix"
)

// RewriteHosts appends to p what makes the /etc/hosts of a running host say that it has other addresses. A host that has
// done away with the file is left alone.
func RewriteHosts(p *pid1.Program, hostname string, addrs []netip.Addr) {
	const path = filesDir + "/hosts"
	text := []byte(Hosts(hostname, addrs))
	// Whatever a process of the host has put there, the init does not wait for it.
	flags := unix.O_WRONLY | unix.O_TRUNC | unix.O_CLOEXEC | unix.O_NOFOLLOW | unix.O_NONBLOCK
	f := p.Try("open "+path, unix.SYS_OPENAT, pid1.Int(unix.AT_FDCWD), p.String(path), pid1.Int(flags), pid1.Int(0))
	p.Try("write "+path, unix.SYS_WRITE, f.Arg(), p.Bytes(text), pid1.Int(len(text)))
	p.Try("close "+path, unix.SYS_CLOSE, f.Arg())
}
