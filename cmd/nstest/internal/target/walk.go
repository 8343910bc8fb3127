package target

import (
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// walk visits what is below a directory, as far as that can be entered, but for other file systems: entering one may mount
// it. Nothing below a directory is visited for which visit returns fs.SkipDir.
func walk(dir string, visit func(path string, d fs.DirEntry) error) error {
	var top unix.Stat_t
	if err := unix.Lstat(dir, &top); err != nil {
		return &fs.PathError{Op: "lstat", Path: dir, Err: err}
	}
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil && path == dir:
			return err
		case err != nil:
			return nil // it cannot be entered
		case path == dir:
			return nil
		case d.IsDir():
			var here unix.Stat_t
			if err := unix.Lstat(path, &here); err != nil || here.Dev != top.Dev {
				return fs.SkipDir
			}
		}
		return visit(path, d)
	})
}

// writable lists the ordinary files below a directory that could be opened for writing, going by what the kernel says
// about permission.
func writable(dir string, skip func(path string) bool) (list []string, err error) {
	err = walk(dir, func(path string, d fs.DirEntry) error {
		switch {
		case skip(path) && d.IsDir():
			return fs.SkipDir
		case !skip(path) && d.Type().IsRegular() && mayWrite(path):
			list = append(list, path)
		}
		return nil
	})
	return list, err
}

// mayWrite reports whether a file may be opened for writing. Root may open what has nobody's permission, which for files
// of the kernel means that there is nothing to be written.
func mayWrite(path string) bool {
	var stat unix.Stat_t
	return unix.Lstat(path, &stat) == nil && stat.Mode&0o222 != 0 && unix.Faccessat(unix.AT_FDCWD, path, unix.W_OK, unix.AT_EACCESS) == nil
}
