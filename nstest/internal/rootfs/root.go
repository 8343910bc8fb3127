package rootfs

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"golang.org/x/sys/unix"
)

// Spec describes the root of one environment, or of one of its hosts.
type Spec struct {
	Roots       []string // the directories that become the root, the uppermost first; none are the whole machine
	MachineRoot bool     // no root of its own: the machine's tree as it is, with private directories
	UserNS      *os.File // the environment's user namespace, whose ids files have inside; nil where ids are the keeper's own
	UID, GID    int      // its root, as the keeper sees ids
	Layered     []string // paths that stay visible behind a layer
	ReadOnly    []string // paths that stay visible, read-only
	Shares      []Share
	Devices     []string // device nodes below /dev
	Hostname    string
	Stacked     *os.File // the overlay over Roots, if somebody else has made it already; the root takes it over
	Further     bool     // it is for the init of a further host, which has a copy of the environment's mount namespace
	Uncovered   bool     // nothing is hidden: for a test that this is noticed
	addrs       []netip.Addr
}

// A Share is a directory that is written through.
type Share struct {
	Path, Target string
	ReadOnly     bool
	Owner        *os.File // the user namespace that maps ids on disk to those inside; nil for no mapping
}

// Unfit is the error of a directory or device that was asked for and cannot be shown. Its words say all.
type Unfit struct{ Err error }

func (u *Unfit) Error() string { return u.Err.Error() }
func (u *Unfit) Unwrap() error { return u.Err }

// A Root is the root of one environment or host, ready to be taken on by its init.
type Root struct {
	machineResolv string // what an environment on the machine's network resolves names with
	sharedNet     bool   // the environment is one
	built
	cover   cover // of the tree's own overlay
	spec    Spec
	devices []mounted
}

// NewRoot makes the mounts of spec. The caller closes the root when the init has taken it on, or has failed to.
func (m *Machine) NewRoot(spec Spec) (r *Root, err error) {
	r = &Root{spec: spec, machineResolv: m.resolv}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
			r = nil
		}
	}()
	switch {
	case spec.MachineRoot:
	case spec.alternative():
		if err := m.alternative(r); err != nil {
			return r, err
		}
	case m.spare != nil:
		b := <-m.spare
		if b.err != nil {
			return r, b.err
		}
		r.built = *b
	default:
		places := slices.Clone(m.places)
		switch covered := len(places) > 0 && places[0].cover == coverDir; {
		case covered && spec.Uncovered:
			places[0].cover = ""
		case covered:
			if r.cover, err = m.covering(spec.Layered, spec.ReadOnly); err != nil {
				return r, err
			}
			places[0].cover = r.cover.dir
		}
		b, err := m.build(places, spec.UserNS, spec.UID, spec.GID)
		if err != nil {
			return r, err
		}
		r.built = *b
	}
	if err := m.addVisible(r); err != nil {
		return r, err
	}
	for _, s := range spec.Shares {
		if err := m.addShare(r, s); err != nil {
			return r, err
		}
	}
	for _, d := range spec.Devices {
		if err := m.addDevice(r, d); err != nil {
			return r, err
		}
	}
	return r, nil
}

// addVisible adds the paths that the test itself needs and that the tree does not show.
func (m *Machine) addVisible(r *Root) error {
	var paths []string
	layered := map[string]bool{}
	for _, list := range [][]string{r.spec.Layered, r.spec.ReadOnly} {
		for _, path := range list {
			if _, twice := layered[path]; !twice {
				layered[path] = len(paths) < len(r.spec.Layered)
				paths = append(paths, path)
			}
		}
	}
	sort.Slice(paths, func(i, k int) bool { return len(paths[i]) < len(paths[k]) })
	for _, path := range paths {
		var needless bool
		if r.spec.MachineRoot { // its /tmp and /run alone are new
			needless = path == "/tmp" || path == "/run" || !within(path, "/tmp") && !within(path, "/run")
		} else {
			needless = !r.spec.alternative() && !m.covered(path)
		}
		if path == "/" || needless || m.shows(r, path) {
			continue
		}
		fi, err := m.stat(path)
		if err != nil {
			continue // what does not exist cannot be shown
		}
		if r.spec.MachineRoot {
			f, err := m.bind(path, nil, 0)
			if err != nil {
				return err
			}
			r.add(mounted{file: f, target: path, isFile: !fi.IsDir()})
			continue
		}
		if fi.IsDir() && layered[path] {
			f, err := m.layer(r.stack, place{path: path}, r.spec.UserNS, r.spec.UID, r.spec.GID)
			if err != nil {
				return err
			}
			if err := r.place(mounted{file: f, target: path}); err != nil {
				return err
			}
			continue
		}
		f, err := m.bind(path, r.spec.UserNS, unix.MOUNT_ATTR_RDONLY)
		if err != nil {
			return err
		}
		_, ready := r.cover.points[path]
		if err := r.place(mounted{file: f, target: path, isFile: !fi.IsDir(), ready: ready}); err != nil {
			return err
		}
	}
	return nil
}

// shows reports whether the tree's own overlay or one of the mounts that were added to the tree shows path. Those of the
// tree itself do not: the private directory that path lies in hides them.
func (m *Machine) shows(r *Root, path string) bool {
	if r.cover.shows(path) {
		return true
	}
	for _, mt := range r.mounts {
		added := mt.target != "/" && (r.spec.alternative() || m.covered(mt.target))
		if added && !mt.isFile && within(path, mt.target) {
			return true
		}
	}
	return false
}

// checked is the absolute path of an existing directory that no symbolic link leads to.
func (m *Machine) checked(path string) (string, error) {
	if !filepath.IsAbs(path) {
		return "", fmt.Errorf("%s is not absolute: %w", path, unix.EINVAL)
	}
	path = filepath.Clean(path)
	for dir := path; dir != "/"; dir = filepath.Dir(dir) {
		fi, err := m.stat(dir)
		if err != nil {
			return "", err
		}
		if fi.Mode()&os.ModeSymlink != 0 {
			return "", fmt.Errorf("%s is a symbolic link: name the directory that it leads to: %w", dir, unix.ELOOP)
		}
		if !fi.IsDir() {
			return "", fmt.Errorf("%s: %w", dir, unix.ENOTDIR)
		}
	}
	return path, nil
}

func (m *Machine) addShare(r *Root, s Share) error {
	path, err := m.checked(s.Path)
	if err != nil {
		return &Unfit{fmt.Errorf("shared directory: %w", err)}
	}
	target := s.Target
	if target == "" {
		target = path
	}
	if !filepath.IsAbs(target) || filepath.Clean(target) == "/" {
		return &Unfit{fmt.Errorf("shared directory: the target %q is not an absolute path below /: %w", s.Target, unix.EINVAL)}
	}
	f, err := m.openTree(path, unix.AT_RECURSIVE)
	if err != nil {
		return fmt.Errorf("shared directory: %w", err)
	}
	if err := r.place(mounted{file: f, target: filepath.Clean(target)}); err != nil {
		return err
	}
	if s.Owner != nil {
		if err := idmap(f, s.Owner); err != nil {
			return fmt.Errorf("shared directory %s (its file system cannot be idmapped; share it read-only or set AllowHostRoot): %w", path, err)
		}
	}
	attrs := uint64(unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV)
	if s.ReadOnly {
		attrs |= unix.MOUNT_ATTR_RDONLY
	}
	return protect(f, attrs)
}

// addDevice shows a device node of the machine. As root it is a node of the keeper's making that everybody inside may
// open; an ordinary user gets the machine's own, with its permissions.
func (m *Machine) addDevice(r *Root, path string) error {
	path = filepath.Clean(path)
	if !strings.HasPrefix(path, "/dev/") {
		return &Unfit{fmt.Errorf("device %s is not below /dev: %w", path, unix.EINVAL)}
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return &Unfit{fmt.Errorf("device %s: %w", path, err)}
	}
	if kind := st.Mode & unix.S_IFMT; kind != unix.S_IFCHR && kind != unix.S_IFBLK {
		return &Unfit{fmt.Errorf("device %s is not a device node: %w", path, unix.ENODEV)}
	}
	f, err := m.device(path, &st)
	if err != nil {
		return fmt.Errorf("device %s: %w", path, err)
	}
	r.devices = append(r.devices, mounted{file: f, target: path, isFile: true})
	return nil
}

func (m *Machine) device(path string, st *unix.Stat_t) (*os.File, error) {
	if m.nested {
		fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		return os.NewFile(uintptr(fd), path), err
	}
	node := filepath.Join(devicesDir, strings.ReplaceAll(strings.TrimPrefix(path, "/dev/"), "/", "!"))
	if err := unix.Mknod(node, st.Mode&unix.S_IFMT|0o666, int(st.Rdev)); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, err
	}
	if err := os.Chmod(node, 0o666); err != nil {
		return nil, err
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, node, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	return os.NewFile(uintptr(fd), path), err
}

// Close drops the keeper's hold on the mounts; those that an init has attached live on in its mount namespace.
func (r *Root) Close() error {
	errs := []error{r.close()}
	for _, d := range r.devices {
		errs = append(errs, d.file.Close())
	}
	return errors.Join(errs...)
}
