// Package confine closes what namespaces leave open: address families and interfaces that no namespace isolates, the
// session keyring, and capabilities that an environment is not to have.
package confine

import (
	"encoding/binary"
	"runtime"

	"github.com/hermetic-go/nstest/nstest/internal/pid1"
	"golang.org/x/sys/unix"
)

// arch is how a filter recognises the system calls of one instruction set (seccomp(2)).
type arch struct {
	audit      uint32
	socket     uint32
	socketpair uint32
	socketcall uint32 // 0 = there is none
	x32        bool   // the same audit number also carries the x32 calls, marked by a bit
}

const ioUringSetup = 425 // the same on every architecture

var arches = map[string][]arch{
	"amd64": {
		{audit: unix.AUDIT_ARCH_X86_64, socket: 41, socketpair: 53, x32: true},
		{audit: unix.AUDIT_ARCH_I386, socket: 359, socketpair: 360, socketcall: 102},
	},
	"arm64": {
		{audit: unix.AUDIT_ARCH_AARCH64, socket: 198, socketpair: 199},
		{audit: unix.AUDIT_ARCH_ARM, socket: 281, socketpair: 288},
	},
	"riscv64": {{audit: unix.AUDIT_ARCH_RISCV64, socket: 198, socketpair: 199}},
	"ppc64le": {{audit: unix.AUDIT_ARCH_PPC64LE, socket: 326, socketpair: 333, socketcall: 102}},
	"s390x":   {{audit: unix.AUDIT_ARCH_S390X, socket: 359, socketpair: 360, socketcall: 102}},
}

// Offsets in struct seccomp_data; the low half of the first argument on a little-endian machine.
const (
	offNr, offArch, offArg0 = 0, 4, 16
)

// filter is a program that answers socket(AF_VSOCK) with EAFNOSUPPORT, because sockets of that family reach the
// hypervisor from any network namespace; io_uring_setup with ENOSYS unless it is allowed, because IORING_OP_SOCKET goes
// past every filter; and socketcall, whose arguments a filter cannot see, with ENOSYS.
func filter(goarch string, allowIOUring bool) []unix.SockFilter {
	arg0 := uint32(offArg0)
	if goarch == "s390x" {
		arg0 += 4
	}
	stmt := func(code uint16, k uint32) unix.SockFilter { return unix.SockFilter{Code: code, K: k} }
	jump := func(code uint16, k uint32, jt, jf uint8) unix.SockFilter {
		return unix.SockFilter{Code: code, K: k, Jt: jt, Jf: jf}
	}
	const (
		load = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		eq   = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		ge   = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
		ret  = unix.BPF_RET | unix.BPF_K
	)
	refuse := func(errno unix.Errno) unix.SockFilter { return stmt(ret, unix.SECCOMP_RET_ERRNO|uint32(errno)) }
	allow := stmt(ret, unix.SECCOMP_RET_ALLOW)

	prog := []unix.SockFilter{stmt(load, offArch)}
	for _, a := range arches[goarch] {
		block := []unix.SockFilter{stmt(load, offNr)}
		if a.x32 {
			block = append(block, jump(ge, 0x40000000, 0, 1), refuse(unix.ENOSYS))
		}
		if !allowIOUring {
			block = append(block, jump(eq, ioUringSetup, 0, 1), refuse(unix.ENOSYS))
		}
		if a.socketcall != 0 {
			block = append(block, jump(eq, a.socketcall, 0, 1), refuse(unix.ENOSYS))
		}
		block = append(block,
			jump(eq, a.socket, 1, 0), jump(eq, a.socketpair, 0, 3),
			stmt(load, arg0), jump(eq, unix.AF_VSOCK, 0, 1), refuse(unix.EAFNOSUPPORT), allow)
		prog = append(prog, jump(eq, a.audit, 0, uint8(len(block))))
		prog = append(prog, block...)
	}
	return append(prog, refuse(unix.ENOSYS))
}

// Seccomp appends to p the installation of the filter, for the calling process and all that descend from it. It needs
// CAP_SYS_ADMIN in the user namespace, and so leaves setuid programs working. On an architecture without a filter
// nothing is appended.
func Seccomp(p *pid1.Program, allowIOUring bool) {
	if len(arches[runtime.GOARCH]) == 0 {
		return
	}
	prog := filter(runtime.GOARCH, allowIOUring)
	code := make([]byte, 0, 8*len(prog))
	for _, i := range prog {
		code = binary.NativeEndian.AppendUint16(code, i.Code)
		code = append(code, i.Jt, i.Jf)
		code = binary.NativeEndian.AppendUint32(code, i.K)
	}
	length := make([]byte, 8) // struct sock_fprog begins with a short
	binary.NativeEndian.PutUint16(length, uint16(len(prog)))
	fprog := p.Pointers([]uint64{binary.NativeEndian.Uint64(length), 0}, map[int]pid1.Arg{1: p.Bytes(code)})
	p.Call("install seccomp filter", unix.SYS_SECCOMP, pid1.Int(unix.SECCOMP_SET_MODE_FILTER), pid1.Int(0), fprog)
}
