package pid1

import (
	"encoding/binary"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An image is a program as the init in Go has received it, its addresses and files in place.
type image struct {
	kind  uint32
	flags uintptr // of clone(2)
	data  []byte
	ops   []rawOp // in data
	files []int
}

// rawOp is a call as it is in an image.
type rawOp struct {
	nr    uint64
	args  [6]uint64
	refs  [6]uint8
	flags uint8
	_     uint8
}

// aligned is a copy of b that begins at a multiple of eight.
func aligned(b []byte) []byte {
	words := make([]uint64, (len(b)+7)/8+1)
	out := unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), 8*len(words))
	return out[:copy(out, b)]
}

// load makes b, an aligned image, ready to run. Its memory must stay where it is while it does, and alive. The error is
// an unix.Errno.
func load(b []byte, files []int) (*image, error) {
	ne := binary.NativeEndian
	if len(b) < headerSize || ne.Uint32(b) != magic {
		return nil, unix.EBADMSG
	}
	kind, size := ne.Uint32(b[4:]), int(ne.Uint32(b[8:]))
	if kind&kindLarge != 0 { // the image is in a memfd, the first file
		if len(files) == 0 {
			return nil, unix.EBADMSG
		}
		b = aligned(make([]byte, size))
		for n := 0; n < size; {
			m, err := unix.Pread(files[0], b[n:], int64(n))
			if err == unix.EINTR {
				continue
			}
			if err != nil || m == 0 {
				return nil, unix.EBADMSG
			}
			n += m
		}
		files = files[1:]
	}
	nops, nreloc, nfix := int(ne.Uint32(b[12:])), int(ne.Uint32(b[16:])), int(ne.Uint32(b[20:]))
	tables := headerSize + nops*opSize
	if len(b) != size || nops > maxOps || tables+4*nreloc+8*nfix > size {
		return nil, unix.EBADMSG
	}
	im := &image{kind: kind & 0xff, flags: uintptr(ne.Uint64(b[24:])), data: b, files: files}
	if nops > 0 {
		im.ops = unsafe.Slice((*rawOp)(unsafe.Pointer(&b[headerSize])), nops)
	}
	base := uint64(uintptr(unsafe.Pointer(&b[0])))
	for i := range nreloc {
		at := int(ne.Uint32(b[tables+4*i:]))
		if at+8 > size {
			return nil, unix.EBADMSG
		}
		ne.PutUint64(b[at:], ne.Uint64(b[at:])+base)
	}
	for i := range nfix {
		at, n := int(ne.Uint32(b[tables+4*nreloc+8*i:])), int(ne.Uint32(b[tables+4*nreloc+8*i+4:]))
		if at+8 > size || n >= len(files) {
			return nil, unix.EBADMSG
		}
		ne.PutUint64(b[at:], uint64(files[n]))
	}
	return im, nil
}

// execute runs the calls one by one, as the function of the same name in static/init.c does. It returns the index of
// the one that failed, with its errno, or -1.
func (im *image) execute(res []int64) (failed int, errno unix.Errno) {
	for i := range im.ops {
		o := &im.ops[i]
		var a [6]uintptr
		for k := range a {
			if a[k] = uintptr(o.args[k]); o.refs[k] != 0 {
				a[k] = uintptr(res[o.refs[k]-1])
			}
		}
		for {
			r, err := im.call(uintptr(o.nr), a)
			if err == unix.EINTR {
				continue
			}
			if res[i] = int64(r); err != 0 {
				res[i] = -int64(err)
			}
			if err != 0 && o.flags&flagIgnore == 0 {
				return i, err
			}
			break
		}
	}
	return -1, 0
}

// call makes one system call, on all threads where this one's alone would not do.
func (im *image) call(nr uintptr, a [6]uintptr) (uintptr, unix.Errno) {
	id := func(i int) int { return int(int32(a[i])) }
	switch nr {
	case unix.SYS_SETGROUPS:
		groups, ok := im.groups(a[1], id(0))
		if !ok {
			return 0, unix.EFAULT
		}
		return 0, errnoOf(syscall.Setgroups(groups))
	case unix.SYS_SETRESGID:
		return 0, errnoOf(syscall.Setresgid(id(0), id(1), id(2)))
	case unix.SYS_SETRESUID:
		return 0, errnoOf(syscall.Setresuid(id(0), id(1), id(2)))
	case unix.SYS_SECCOMP:
		if a[0] != unix.SECCOMP_SET_MODE_FILTER {
			break
		}
		a[1] |= unix.SECCOMP_FILTER_FLAG_TSYNC
		r, _, errno := syscall.Syscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
		if errno == 0 && r != 0 { // the id of a thread with a filter that is not an ancestor of this one's
			errno = unix.ESRCH
		}
		return 0, errno
	}
	r, _, errno := syscall.Syscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
	return r, errno
}

// groups reads the argument of setgroups(2), which lies in the image.
func (im *image) groups(addr uintptr, n int) ([]int, bool) {
	at := int(addr - uintptr(unsafe.Pointer(&im.data[0])))
	if n == 0 {
		return nil, true
	}
	if n < 0 || n > 65536 || at < 0 || at+4*n > len(im.data) {
		return nil, false
	}
	groups := make([]int, n)
	for i := range groups {
		groups[i] = int(int32(binary.NativeEndian.Uint32(im.data[at+4*i:])))
	}
	return groups, true
}

func errnoOf(err error) unix.Errno {
	if err == nil {
		return 0
	}
	if errno, ok := err.(syscall.Errno); ok {
		return errno
	}
	return unix.EPERM
}

// abandon closes what a program that failed at index end has opened, as the function of the same name in static/init.c
// does.
func (im *image) abandon(end int, res []int64) {
	for i, o := range im.ops {
		opened := i
		if i >= end {
			if opened = int(o.refs[0]) - 1; o.nr != unix.SYS_CLOSE || opened < 0 || opened >= end {
				continue
			}
		} else if o.flags&flagReturn == 0 {
			continue
		}
		if res[opened] >= 0 {
			unix.Close(int(res[opened]))
		}
	}
}
