package gotest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// outputDir is the -test.outputdir of twins: a directory that environments have of their own, whatever is visible, and in
// which everybody may write.
const outputDir = "/tmp"

// copyArtifacts copies a directory for artifacts from inside, whose processes may still run and mean ill: names are
// resolved without symbolic links, nothing is followed to another mount, and nothing is opened but ordinary files and
// directories.
func copyArtifacts(root *os.File, a artifact) error {
	rel, ok := strings.CutPrefix(filepath.Clean(a.inside), outputDir+"/")
	if !ok {
		return fmt.Errorf("it is not in %s", outputDir)
	}
	out, err := openIn(root, strings.TrimPrefix(outputDir, "/"), unix.O_DIRECTORY, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return err
	}
	defer out.Close()
	from, err := openIn(out, rel, unix.O_DIRECTORY, confined)
	if err != nil {
		return err
	}
	to, err := os.OpenRoot(a.outside)
	if err != nil {
		return errors.Join(err, from.Close())
	}
	return errors.Join(copyDir(from, to, "."), to.Close())
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
			err := to.Mkdir(inner, 0o777)
			var dir *os.File
			if err == nil {
				dir, err = openIn(from, e.Name(), unix.O_DIRECTORY, confined)
			}
			if err == nil {
				err = copyDir(dir, to, inner)
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
