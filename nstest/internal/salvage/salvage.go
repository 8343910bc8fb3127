// Package salvage copies files out of an environment, whose processes may still run and mean ill.
package salvage

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Directory copies what is in a directory to another one, which exists. The directory is dir in mount, and that in root.
// Names are resolved without symbolic links; what is on another file system than mount is left out, as it is from outside;
// and nothing is opened but ordinary files and directories, the only ones that are copied. It needs Linux 5.6
// (openat2(2)).
func Directory(root *os.File, mount, dir, to string) error {
	return (&Budget{Left: math.MaxInt64}).Directory(root, mount, dir, to)
}

// A Budget bounds what is copied.
type Budget struct {
	Left      int64    // bytes
	Omitted   []string // the first files for which too little was left
	Uncounted int      // how many more there were

	deep    int    // directories that were left out, of the last one that was copied
	deepest string // the first of them
}

// maxDepth is how deep directories are that are copied: for each level two files are open.
const maxDepth = 200

// The size of a file in a budget is at least this, so that its number is bounded too, in bytes.
const perFile = 4 << 10

// maxOmitted is how many names of files a budget has that were left out.
const maxOmitted = 100

// take takes a file out of the budget, if there is room for it.
func (b *Budget) take(size int64) bool {
	if size = max(size, perFile); size > b.Left {
		return false
	}
	b.Left -= size
	return true
}

func (b *Budget) omit(name string) {
	if len(b.Omitted) == maxOmitted {
		b.Uncounted++
		return
	}
	b.Omitted = append(b.Omitted, name)
}

// Directory is Directory within the budget. What is too large for it is left out, and what is more than 200 directories deep,
// which is an error that comes when the rest was copied.
func (b *Budget) Directory(root *os.File, mount, dir, to string) error {
	top, err := openIn(root, mount, unix.O_DIRECTORY, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return err
	}
	defer top.Close()
	from, err := openIn(top, dir, unix.O_DIRECTORY, confined)
	if err != nil {
		return err
	}
	out, err := os.OpenRoot(to)
	if err != nil {
		return errors.Join(err, from.Close())
	}
	b.deep = 0
	err = b.copyDir(from, out, filepath.Join(mount, dir), 0)
	if b.deep > 0 {
		err = errors.Join(err, fmt.Errorf("directories that are more than %d deep were left out (%d), the first one in %.100s", maxDepth, b.deep, b.deepest))
	}
	return err
}

// Matching copies those ordinary files in a directory of root that are wanted, and says how many. Symbolic links in the path of
// the directory are followed in root. One that is not there has none.
func (b *Budget) Matching(root *os.File, dir, to string, wanted func(name string, changed time.Time) bool) (int, error) {
	from, err := openIn(root, filepath.Join(".", dir)+"/.", unix.O_DIRECTORY, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_MAGICLINKS)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer from.Close()
	out, err := os.OpenRoot(to)
	if err != nil {
		return 0, err
	}
	entries, err := from.ReadDir(-1)
	errs := []error{err}
	copied := 0
	for _, e := range entries {
		var st unix.Stat_t
		if unix.Fstatat(int(from.Fd()), e.Name(), &st, unix.AT_SYMLINK_NOFOLLOW) != nil || !wanted(e.Name(), time.Unix(st.Mtim.Unix())) {
			continue
		}
		if err := b.copyFile(from, e.Name(), out, filepath.Join(dir, e.Name())); err != nil {
			errs = append(errs, err)
			continue
		}
		copied++
	}
	return copied, errors.Join(append(errs, out.Close())...)
}

const confined = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV

func openIn(dir *os.File, name string, flags, resolve uint64) (*os.File, error) {
	how := unix.OpenHow{Flags: flags | unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOFOLLOW | unix.O_NOCTTY | unix.O_CLOEXEC, Resolve: resolve}
	for {
		fd, err := unix.Openat2(int(dir.Fd()), name, &how)
		if err == nil {
			return os.NewFile(uintptr(fd), name), nil
		}
		if err != unix.EINTR && err != unix.EAGAIN {
			return nil, &os.PathError{Op: "open", Path: filepath.Join(dir.Name(), name), Err: err}
		}
	}
}

// Program copies a program, by its path in root, to a file. Nothing else is copied but ordinary files in the format ELF.
func (b *Budget) Program(root *os.File, path, to string) error {
	how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	fd, err := unix.Openat2(int(root.Fd()), path, &how)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	from := os.NewFile(uintptr(fd), path)
	defer from.Close()
	info, err := from.Stat()
	if err != nil {
		return err
	}
	magic := make([]byte, 4)
	if _, err := from.ReadAt(magic, 0); !info.Mode().IsRegular() || err != nil || string(magic) != "\x7fELF" {
		return fmt.Errorf("%s is no program in the format ELF", path)
	}
	if !b.take(info.Size()) {
		b.omit(path)
		return nil
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o700)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, io.LimitReader(from, info.Size()))
	return errors.Join(err, out.Close())
}

// copyDir copies what is in a directory to another one. It closes both. path is where it is, for people.
func (b *Budget) copyDir(from *os.File, to *os.Root, path string, depth int) error {
	entries, err := from.ReadDir(-1)
	errs := []error{err}
	for _, e := range entries {
		inner := filepath.Join(path, e.Name())
		switch {
		case e.IsDir():
			errs = append(errs, b.enter(from, e.Name(), to, inner, depth+1))
		case e.Type().IsRegular():
			errs = append(errs, b.copyFile(from, e.Name(), to, inner))
		}
	}
	return errors.Join(append(errs, to.Close(), from.Close())...)
}

// enter copies a directory that is in another one.
func (b *Budget) enter(from *os.File, name string, to *os.Root, path string, depth int) error {
	if depth > maxDepth {
		if b.deep++; b.deep == 1 {
			b.deepest = path
		}
		return nil
	}
	dir, err := openIn(from, name, unix.O_DIRECTORY, confined)
	if errors.Is(err, unix.EXDEV) {
		return nil
	}
	if err != nil {
		return err
	}
	if !b.take(0) {
		b.omit(path)
		return dir.Close()
	}
	if err := to.Mkdir(name, 0o777); err != nil {
		return errors.Join(err, dir.Close())
	}
	inner, err := to.OpenRoot(name)
	if err != nil {
		return errors.Join(err, dir.Close())
	}
	return b.copyDir(dir, inner, path, depth)
}

func (b *Budget) copyFile(dir *os.File, name string, to *os.Root, path string) error {
	from, err := openIn(dir, name, 0, confined)
	if errors.Is(err, unix.EXDEV) {
		return nil
	}
	if err != nil {
		return err
	}
	defer from.Close()
	info, err := from.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return err // or it is none any more
	}
	if !b.take(info.Size()) {
		b.omit(path)
		return nil
	}
	out, err := to.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(out, io.LimitReader(from, max(info.Size(), perFile))) // it may grow while it is read
	return errors.Join(err, out.Close())
}
