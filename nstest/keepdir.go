package nstest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/hermetic-go/nstest/nstest/internal/record"
	"github.com/hermetic-go/nstest/nstest/internal/twin"
	"golang.org/x/sys/unix"
)

// keepDir is the directory for bundles; "" if there are to be none.
func keepDir() (string, error) {
	dir := os.Getenv("NSTEST_KEEP")
	if dir == "" {
		return "", nil
	}
	if twin.This() != nil {
		if err := os.MkdirAll(record.Inside, 0o700); err != nil {
			return "", nil // an environment may be without such a directory
		}
		return record.Inside, nil
	}
	path, err := filepath.Abs(dir)
	if err == nil {
		err = checkOwners(path) // before anything is made where a link leads to
	}
	if err == nil {
		err = os.MkdirAll(path, 0o700)
	}
	if err == nil {
		err = checkOwners(path)
	}
	if err == nil {
		err = unix.Access(path, unix.W_OK|unix.X_OK)
	}
	if err != nil {
		return "", fmt.Errorf("nstest: NSTEST_KEEP=%s: %w\nWhat to do: name a directory of your own that can be written, or leave NSTEST_KEEP away", dir, err)
	}
	return path, nil
}

// maxLinks is how many symbolic links the kernel follows in a path (path_resolution(7)).
const maxLinks = 40

// checkOwners refuses a path that somebody else could lead elsewhere, or whose directory is theirs, since they have put
// it, or a symbolic link, into a directory that everybody shares: one with the sticky bit, such as /tmp. What is not there yet is ours.
func checkOwners(path string) error {
	links := 0
	for at := "/"; path != ""; {
		var name string
		name, path, _ = strings.Cut(strings.TrimLeft(path, "/"), "/")
		next := filepath.Join(at, name)
		info, err := os.Lstat(next)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) { // whoever makes it will be told that
			return nil
		}
		if err == nil {
			err = checkOwner(at, next, info)
		}
		if err != nil {
			return err
		}
		if info.Mode().Type() != fs.ModeSymlink {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return &fs.PathError{Op: "open", Path: next, Err: unix.ELOOP}
		}
		target, err := os.Readlink(next)
		if err != nil {
			return err
		}
		path = target + "/" + path
		if filepath.IsAbs(target) {
			at = "/"
		}
	}
	return nil
}

// checkOwner refuses what somebody else has put into a directory, if everybody may do that.
func checkOwner(dir, path string, info fs.FileInfo) error {
	parent, err := os.Stat(dir)
	if err != nil || parent.Mode()&fs.ModeSticky == 0 || parent.Mode().Perm()&0o022 == 0 {
		return err
	}
	owner, above := uid(info), uid(parent)
	invoker, err := strconv.Atoi(os.Getenv("SUDO_UID"))
	if owner == os.Geteuid() || owner == 0 || owner == above || err == nil && owner == invoker {
		return nil
	}
	return fmt.Errorf("%s belongs to user %d, and is in %s, where everybody may put something", path, owner, dir)
}

func uid(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }
