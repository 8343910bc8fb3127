package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// detached opens a new file system of the given type with string options, as a mount that is nowhere yet.
func detached(fstype string, attrs int, options ...string) (*os.File, error) {
	fs, err := unix.Fsopen(fstype, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open %s (Linux 5.2 or later is needed): %w", fstype, err)
	}
	defer unix.Close(fs)
	for i := 0; i+1 < len(options); i += 2 {
		if err := unix.FsconfigSetString(fs, options[i], options[i+1]); err != nil {
			return nil, fmt.Errorf("set %s of %s: %w", options[i], fstype, err)
		}
	}
	return create(fs, fstype, attrs)
}

func create(fs int, fstype string, attrs int) (*os.File, error) {
	if err := unix.FsconfigCreate(fs); err != nil {
		return nil, fmt.Errorf("create %s: %w%s", fstype, err, complaint(fs))
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attrs)
	if err != nil {
		return nil, fmt.Errorf("mount %s: %w", fstype, err)
	}
	return os.NewFile(uintptr(fd), fstype), nil
}

// complaint is what the kernel logged for a file system context, in parentheses.
func complaint(fs int) string {
	buf := make([]byte, 1024)
	n, err := unix.Read(fs, buf)
	if err != nil || n < 3 {
		return ""
	}
	return " (" + strings.TrimSpace(string(buf[2:n])) + ")"
}

// A stack is what the overlays of one tree are made of: the layers below, and a tmpfs that holds an upper and a work
// directory for each. An overlay has private copies of them; unattached says why they are kept.
type stack struct {
	tmpfs    *os.File
	lowers   []*os.File
	n        int
	attached []string
}

// unattached are the mounts of the stack that are nowhere. To close one the kernel waits for every processor (an expedited
// RCU grace period), a tenth of a millisecond each: attached in a tree that is unmounted, they go together with it.
func (s *stack) unattached() []*os.File {
	if len(s.attached) > 0 {
		return nil
	}
	return append(s.lowers[:len(s.lowers):len(s.lowers)], s.tmpfs)
}

func newStack() (*stack, error) {
	f, err := detached("tmpfs", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV, "mode", "0755")
	if err != nil {
		return nil, err
	}
	return &stack{tmpfs: f}, nil
}

// dir makes a directory in the stack, owned by uid and gid, and opens it as a path.
func (s *stack) dir(name string, mode uint32, uid, gid int) (*os.File, error) {
	if err := unix.Mkdirat(int(s.tmpfs.Fd()), name, 0o700); err != nil {
		return nil, fmt.Errorf("make layer: %w", err)
	}
	fd, err := unix.Openat(int(s.tmpfs.Fd()), name, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open layer: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if err := unix.Fchmod(fd, mode); err != nil {
		return nil, errors.Join(fmt.Errorf("make layer: %w", err), f.Close())
	}
	if uid != os.Getuid() || gid != os.Getgid() {
		if err := unix.Fchown(fd, uid, gid); err != nil {
			return nil, errors.Join(fmt.Errorf("make layer: %w", err), f.Close())
		}
	}
	return f, nil
}

// overlay is a detached overlay file system over lowers, the first on top, whose root directory has the given mode
// and owner (as the keeper sees ids).
func (s *stack) overlay(lowers []*os.File, mode uint32, uid, gid int, userxattr bool) (*os.File, error) {
	s.n++
	upper, err := s.dir("u"+strconv.Itoa(s.n), mode, uid, gid)
	if err != nil {
		return nil, err
	}
	defer upper.Close()
	work, err := s.dir("w"+strconv.Itoa(s.n), 0o700, os.Getuid(), os.Getgid())
	if err != nil {
		return nil, err
	}
	defer work.Close()
	fs, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open overlay: %w", err)
	}
	defer unix.Close(fs)
	if userxattr {
		if err := unix.FsconfigSetFlag(fs, "userxattr"); err != nil {
			return nil, fmt.Errorf("set userxattr of overlay (Linux 5.11 or later is needed): %w", err)
		}
	}
	if len(lowers) > 1 && !userxattr {
		if err := unix.FsconfigSetString(fs, "redirect_dir", "follow"); err != nil { // for what a cover shows
			return nil, fmt.Errorf("set redirect_dir of overlay: %w", err)
		}
	}
	if layersByFile() {
		for _, l := range lowers {
			if err := unix.FsconfigSetFd(fs, "lowerdir+", int(l.Fd())); err != nil {
				return nil, fmt.Errorf("add layer %s: %w%s", l.Name(), err, complaint(fs))
			}
		}
		if err := errors.Join(unix.FsconfigSetFd(fs, "upperdir", int(upper.Fd())), unix.FsconfigSetFd(fs, "workdir", int(work.Fd()))); err != nil {
			return nil, fmt.Errorf("add upper layer: %w%s", err, complaint(fs))
		}
	} else if err := s.layersByPath(fs, lowers, upper.Name(), work.Name()); err != nil {
		return nil, err
	}
	return create(fs, "overlay", 0)
}

// layersByFile reports whether overlayfs takes detached mounts as layers by file descriptor (Linux 6.15).
var layersByFile = sync.OnceValue(func() bool {
	lower, err := detached("tmpfs", 0, "mode", "0755")
	if err != nil {
		return false
	}
	defer lower.Close()
	fs, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return false
	}
	defer unix.Close(fs)
	return unix.FsconfigSetFd(fs, "lowerdir+", int(lower.Fd())) == nil
})

var layerNumber atomic.Int64

// layersByPath attaches the layers in the workshop, where older kernels find them by name, until the stack is closed.
func (s *stack) layersByPath(fs int, lowers []*os.File, upper, work string) error {
	attach := func(f *os.File) (string, error) {
		at := filepath.Join(layersDir, strconv.FormatInt(layerNumber.Add(1), 10))
		if err := os.Mkdir(at, 0o700); err != nil {
			return "", err
		}
		s.attached = append(s.attached, at)
		return at, unix.MoveMount(int(f.Fd()), "", unix.AT_FDCWD, at, unix.MOVE_MOUNT_F_EMPTY_PATH)
	}
	if len(s.attached) == 0 {
		if _, err := attach(s.tmpfs); err != nil {
			return fmt.Errorf("attach layer: %w", err)
		}
	}
	base := s.attached[0]
	paths := make([]string, len(lowers))
	for i, l := range lowers {
		at, err := attach(l)
		if err != nil {
			return fmt.Errorf("attach layer %s: %w", l.Name(), err)
		}
		paths[i] = at
	}
	options := [][2]string{{"lowerdir", strings.Join(paths, ":")}, {"upperdir", filepath.Join(base, upper)}, {"workdir", filepath.Join(base, work)}}
	if len(options[0][1]) > 255 { // fsconfig(2) takes no longer string: one by one, then (Linux 6.8)
		options = options[1:]
		for _, path := range paths {
			options = append(options, [2]string{"lowerdir+", path})
		}
	}
	for _, o := range options {
		if err := unix.FsconfigSetString(fs, o[0], o[1]); err != nil {
			return fmt.Errorf("set %s of overlay: %w%s", o[0], err, complaint(fs))
		}
	}
	return nil
}

func (s *stack) close() error {
	errs := []error{s.tmpfs.Close()}
	for _, l := range s.lowers {
		errs = append(errs, l.Close())
	}
	for i := len(s.attached) - 1; i >= 0; i-- {
		errs = append(errs, unix.Unmount(s.attached[i], unix.MNT_DETACH), os.Remove(s.attached[i]))
	}
	return errors.Join(errs...)
}
