package pid1

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// The format of a request, in the machine's own byte order. static/init.c has the same structures.
//
//	header  magic kind size nops nreloc nfix uint32, clone flags uint64
//	ops     nr uint64, arg [6]uint64, ref [6]uint8, flags uint8, pad uint8
//	reloc   uint32 each: where the image's own address is added to the uint64 there
//	fix     two uint32 each: where the number of the n-th passed file is written
//	data    strings and arrays
const (
	magic      = 0x6e737431
	headerSize = 32
	opSize     = 64
	maxOps     = 255 // a reference to a result is one byte
	maxFiles   = 30
	maxReturn  = 32 // files that come back
	maxInline  = 60 << 10

	kindRun   = 1
	kindChild = 2
	kindFork  = 3
	kindLarge = 0x100

	flagIgnore = 1
	flagReturn = 2
	flagExec   = 4

	kindReply = 1
	kindExit  = 2

	noChild = 256 // in place of the index of a call that failed: clone(2) did
	noImage = 257 // the program could not be taken
)

// A Program is a list of system calls for an init to execute, with everything that their arguments point to. The zero
// value is an empty program. Errors of building (a NUL in a string, too many calls) are kept and returned when the
// program is sent.
type Program struct {
	ops    []op
	data   []byte
	relocs []int // offsets into data
	files  []*os.File
	wanted int // files that come back
	err    error
}

type op struct {
	name  string
	nr    uintptr
	args  [6]Arg
	flags uint8
}

// An Arg is an argument of a system call.
type Arg struct {
	kind  argKind
	value uint64
}

type argKind uint8

const (
	argInt argKind = iota
	argData
	argFile
	argResult
)

// Int is a plain number.
func Int[T ~int | ~int32 | ~int64 | ~uint | ~uint32 | ~uint64 | ~uintptr](v T) Arg {
	return Arg{value: uint64(v)}
}

// A Result is the place of a call in its program; as an argument it stands for what that call returned.
type Result int

// Arg makes the result an argument of a later call.
func (r Result) Arg() Arg { return Arg{kind: argResult, value: uint64(r) + 1} }

// String is the address of a NUL-terminated copy of s.
func (p *Program) String(s string) Arg {
	if strings.IndexByte(s, 0) >= 0 {
		p.fail(fmt.Errorf("a NUL byte in %q: %w", s, unix.EINVAL))
	}
	return p.Bytes(append([]byte(s), 0))
}

// Bytes is the address of a copy of b.
func (p *Program) Bytes(b []byte) Arg {
	for len(p.data)%8 != 0 {
		p.data = append(p.data, 0)
	}
	at := len(p.data)
	p.data = append(p.data, b...)
	return Arg{kind: argData, value: uint64(at)}
}

// Strings is the address of a NULL-terminated array of C strings, as execve(2) wants it.
func (p *Program) Strings(list []string) Arg {
	addrs := make([]uint64, len(list))
	for i, s := range list {
		addrs[i] = p.String(s).value
	}
	at := p.Bytes(make([]byte, 8*(len(list)+1)))
	for i, a := range addrs {
		off := int(at.value) + 8*i
		binary.NativeEndian.PutUint64(p.data[off:], a)
		p.relocs = append(p.relocs, off)
	}
	return at
}

// Pointers is the address of a structure of 64-bit words, those in addrs being addresses of earlier data.
func (p *Program) Pointers(words []uint64, addrs map[int]Arg) Arg {
	at := p.Bytes(make([]byte, 8*len(words)))
	for i, w := range words {
		binary.NativeEndian.PutUint64(p.data[int(at.value)+8*i:], w)
	}
	for i, a := range addrs {
		off := int(at.value) + 8*i
		binary.NativeEndian.PutUint64(p.data[off:], a.value)
		p.relocs = append(p.relocs, off)
	}
	return at
}

// File is the number that f has in the init while the program runs. The program only borrows f.
func (p *Program) File(f *os.File) Arg {
	for i, have := range p.files {
		if have == f {
			return Arg{kind: argFile, value: uint64(i)}
		}
	}
	if len(p.files) == maxFiles {
		p.fail(fmt.Errorf("more than %d files in one program: %w", maxFiles, unix.E2BIG))
		return Arg{}
	}
	p.files = append(p.files, f)
	return Arg{kind: argFile, value: uint64(len(p.files) - 1)}
}

// Call appends a system call; name is what an error calls it.
func (p *Program) Call(name string, nr uintptr, args ...Arg) Result {
	if len(p.ops) == maxOps {
		p.fail(fmt.Errorf("more than %d calls in one program: %w", maxOps, unix.E2BIG))
		return 0
	}
	o := op{name: name, nr: nr}
	if copy(o.args[:], args) < len(args) {
		p.fail(fmt.Errorf("%s: %d arguments: %w", name, len(args), unix.EINVAL))
	}
	for _, a := range args {
		if a.kind == argResult && (a.value == 0 || a.value > uint64(len(p.ops))) {
			p.fail(fmt.Errorf("%s: an argument is the result of a call that is not before it: %w", name, unix.EINVAL))
		}
	}
	p.ops = append(p.ops, o)
	return Result(len(p.ops) - 1)
}

// Try is Call, but the program goes on when the call fails.
func (p *Program) Try(name string, nr uintptr, args ...Arg) Result {
	r := p.Call(name, nr, args...)
	p.mark(r, flagIgnore)
	return r
}

// Return makes the file descriptor that r stands for come back to the sender. It cannot be that of a Try, which may
// have none.
func (p *Program) Return(r Result) {
	if int(r) >= len(p.ops) || p.ops[r].flags&(flagIgnore|flagReturn) != 0 {
		p.fail(fmt.Errorf("return a file: call %d has none to give: %w", r, unix.EINVAL))
		return
	}
	if p.wanted++; p.wanted > maxReturn {
		p.fail(fmt.Errorf("more than %d files to return from one program: %w", maxReturn, unix.E2BIG))
	}
	p.mark(r, flagReturn)
}

func (p *Program) mark(r Result, flag uint8) {
	if int(r) < len(p.ops) {
		p.ops[r].flags |= flag
	}
}

// without is p with calls of these names that do nothing. They keep their places.
func (p *Program) without(names []string) *Program {
	if len(names) == 0 {
		return p
	}
	q := *p
	q.ops = slices.Clone(p.ops)
	for i, o := range q.ops {
		if slices.Contains(names, o.name) {
			q.ops[i] = op{name: o.name, nr: unix.SYS_GETPID, flags: flagIgnore}
		}
	}
	return &q
}

// Len is the number of calls.
func (p *Program) Len() int { return len(p.ops) }

func (p *Program) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

// image is the program as it is sent.
func (p *Program) image(kind uint32, cloneFlags uintptr) ([]byte, error) {
	if p.err != nil {
		return nil, p.err
	}
	var relocs, fixes []uint32
	for i, o := range p.ops {
		for k, a := range o.args {
			at := uint32(headerSize + i*opSize + 8 + 8*k)
			switch a.kind {
			case argData:
				relocs = append(relocs, at)
			case argFile:
				fixes = append(fixes, at, uint32(a.value))
			}
		}
	}
	nreloc := len(relocs) + len(p.relocs)
	base := headerSize + len(p.ops)*opSize + 4*nreloc + 4*len(fixes)
	base = (base + 7) &^ 7
	for _, off := range p.relocs {
		relocs = append(relocs, uint32(base+off))
	}
	size := base + len(p.data)
	b := make([]byte, 0, size)
	ne := binary.NativeEndian
	if size > maxInline {
		kind |= kindLarge
	}
	for _, v := range []uint32{magic, kind, uint32(size), uint32(len(p.ops)), uint32(nreloc), uint32(len(fixes) / 2)} {
		b = ne.AppendUint32(b, v)
	}
	b = ne.AppendUint64(b, uint64(cloneFlags))
	for _, o := range p.ops {
		b = ne.AppendUint64(b, uint64(o.nr))
		var refs [6]byte
		for k, a := range o.args {
			v := a.value
			switch a.kind {
			case argData:
				v += uint64(base)
			case argResult:
				refs[k], v = byte(a.value), 0
			}
			b = ne.AppendUint64(b, v)
		}
		b = append(b, refs[:]...)
		b = append(b, o.flags, 0)
	}
	for _, v := range relocs {
		b = ne.AppendUint32(b, v)
	}
	for _, v := range fixes {
		b = ne.AppendUint32(b, v)
	}
	for len(b) < base {
		b = append(b, 0)
	}
	b = append(b, p.data...)
	for _, off := range p.relocs { // inner addresses are relative to the data until here
		at := base + off
		ne.PutUint64(b[at:], ne.Uint64(b[at:])+uint64(base))
	}
	return b, nil
}

// A CallError is a system call of a program that failed. It unwraps to its errno.
type CallError struct {
	Index int
	Name  string
	Errno unix.Errno
}

func (e *CallError) Error() string { return e.Name + ": " + e.Errno.Error() }

func (e *CallError) Unwrap() error { return e.Errno }

// failure is the error for what an init reports instead of success. The index may be anything.
func (p *Program) failure(i int, errno unix.Errno) error {
	switch {
	case errno == 0 || errno > 4095:
		return errProtocol
	case i == noImage:
		return fmt.Errorf("pass program to the init: %w", errno)
	case i == noChild:
		return fmt.Errorf("start process: %w", errno)
	case i < 0 || i >= len(p.ops):
		return errProtocol
	}
	return &CallError{Index: i, Name: p.ops[i].name, Errno: errno}
}

// memfd is the image as a file, for one that a message cannot hold.
func memfd(image []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("nstest-program", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create program image: %w", err)
	}
	f := os.NewFile(uintptr(fd), "nstest-program")
	if _, err := f.Write(image); err != nil {
		return nil, errors.Join(fmt.Errorf("write program image: %w", err), f.Close())
	}
	return f, nil
}
