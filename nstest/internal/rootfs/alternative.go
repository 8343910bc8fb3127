package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// alternative reports whether something else than the machine's own tree becomes the root.
func (s Spec) alternative() bool { return len(s.Roots) > 0 }

// alternative puts an overlay over the root directories of the spec into r.
func (m *Machine) alternative(r *Root) error {
	f := r.spec.Stacked
	if f != nil {
		r.add(mounted{file: f, target: "/"})
	}
	s, err := newStack()
	if err != nil {
		return err
	}
	r.stack = s
	if f == nil {
		dirs, err := apart(r.spec.Roots, m.checked)
		if err != nil {
			return err
		}
		if f, err = m.stacked(s, dirs, r.spec); err != nil {
			return err
		}
		r.add(mounted{file: f, target: "/"})
	}
	for _, dir := range append([]string{"/etc"}, private...) {
		if dir == "/var/tmp" { // it is the tree's own
			continue
		}
		if at, err := r.resolve(dir); err != nil {
			return err
		} else if at != dir {
			return &Unfit{fmt.Errorf("%s: its %s is a symbolic link, and has to be a directory of its own, or missing: %w", directory(r.spec.Roots), dir, unix.ELOOP)}
		}
	}
	return nil
}

// apart are root directories as checked has them, none of which is below another.
func apart(roots []string, checked func(string) (string, error)) ([]string, error) {
	var dirs []string
	for _, dir := range roots {
		path, err := checked(dir)
		if err != nil {
			return nil, &Unfit{fmt.Errorf("%s: %w", directory(roots), err)}
		}
		for _, other := range dirs { // overlayfs says no more than ELOOP
			if within(path, other) || within(other, path) {
				return nil, &Unfit{fmt.Errorf("layers %s and %s are one in the other: %w", other, path, unix.ELOOP)}
			}
		}
		dirs = append(dirs, path)
	}
	return dirs, nil
}

// directory is what messages call one of the root directories.
func directory(roots []string) string {
	if len(roots) > 1 {
		return "layer"
	}
	return "root directory"
}

// stacked is an overlay over dirs, the uppermost first.
func (m *Machine) stacked(s *stack, dirs []string, spec Spec) (*os.File, error) {
	if len(dirs) == 1 {
		return m.layer(s, place{path: dirs[0]}, spec.UserNS, spec.UID, spec.GID)
	}
	var lowers []*os.File
	for _, dir := range dirs {
		l, err := m.lower(s, dir, spec.UserNS)
		if err != nil {
			return nil, err
		}
		lowers = append(lowers, l)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(lowers[0].Fd()), &st); err != nil {
		return nil, fmt.Errorf("stat %s: %w", dirs[0], err)
	}
	f, err := s.overlay(lowers, st.Mode&0o7777, spec.UID, spec.GID, m.nested)
	if errors.Is(err, unix.EINVAL) {
		err = &Unfit{fmt.Errorf("stack %d layers (their file system cannot be below two overlays, or the kernel takes fewer: unpack them into one directory and make it the Root): %w", len(dirs), err)}
	}
	return f, err
}

// place adds a mount at its target, or where links of an alternative root lead from there.
func (r *Root) place(mt mounted) error {
	if r.spec.alternative() {
		target, err := r.resolve(mt.target)
		if err != nil {
			return errors.Join(err, mt.file.Close())
		}
		mt.target = target
	}
	r.add(mt)
	return nil
}

// resolve is where path leads in an alternative root, without symbolic links: what follows them before the root is the
// init's own would come out in the machine's tree. What does not exist there is as it is.
func (r *Root) resolve(path string) (string, error) {
	root := int(r.mounts[0].file.Fd())
	at, rest, links := "/", strings.Split(strings.Trim(path, "/"), "/"), 0
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			at = filepath.Dir(at)
			continue
		}
		next := filepath.Join(at, name)
		target, err := readlinkIn(root, next)
		switch {
		case errors.Is(err, unix.EINVAL): // no link
			at = next
			continue
		case errors.Is(err, unix.ENOENT):
			at = filepath.Join(append([]string{next}, rest...)...)
			return at, nil
		case err != nil:
			return "", &Unfit{fmt.Errorf("make a place for %s in the root: look at its %s: %w", path, next, err)}
		}
		if links++; links > 40 {
			return "", &Unfit{fmt.Errorf("follow %s in the root: %w", path, unix.ELOOP)}
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return at, nil
}

// readlinkIn reads the symbolic link at path, no other part of which is one, in the tree root.
func readlinkIn(root int, path string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(root, strings.TrimPrefix(path, "/"), buf)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}
