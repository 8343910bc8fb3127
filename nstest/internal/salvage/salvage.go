// Package salvage copies files out of an environment, whose processes may still run and mean ill.
package salvage

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Directory copies what is in a directory to another one, which exists. The directory is dir in mount, and that in root.
// Names are resolved without symbolic links; what is on another file system than mount is left out, as it is from outside;
// and nothing is opened but ordinary files and directories, the only ones that are copied. It needs Linux 5.6
// (openat2(2)).
func Directory(root *os.File, mount, dir, to string) error {
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
	return errors.Join(copyDir(from, out, "."), out.Close())
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

// copyDir copies what is in a directory, which it closes.
func copyDir(from *os.File, to *os.Root, path string) error {
	defer from.Close()
	entries, err := from.ReadDir(-1)
	errs := []error{err}
	for _, e := range entries {
		inner := filepath.Join(path, e.Name())
		switch {
		case e.IsDir():
			dir, err := openIn(from, e.Name(), unix.O_DIRECTORY, confined)
			if errors.Is(err, unix.EXDEV) {
				continue
			}
			if err == nil {
				if err = to.Mkdir(inner, 0o777); err == nil {
					err = copyDir(dir, to, inner)
				} else {
					err = errors.Join(err, dir.Close())
				}
			}
			errs = append(errs, err)
		case e.Type().IsRegular():
			errs = append(errs, copyFile(from, e.Name(), to, inner))
		}
	}
	return errors.Join(errs...)
}

func copyFile(dir *os.File, name string, to *os.Root, path string) error {
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
	out, err := to.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(out, from)
	return errors.Join(err, out.Close())
}
