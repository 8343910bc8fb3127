// Package rootfs builds the file system tree that the processes of an environment see: the machine's own tree behind a
// layer that vanishes, secrets covered, and private /proc, /sys, /dev, /tmp, /var/tmp, /run and /dev/shm.
//
// A keeper prepares its Machine once. For each environment it makes a Tree, detached mounts that belong to no mount
// namespace yet, and a Script tells the environment's init how to put them together and pivot into them.
package rootfs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// workshop is the directory, in the keeper's own mount namespace, over which it mounts a tmpfs to work in.
const workshop = "/run"

// A Machine is the machine's tree as the keeper sees it.
type Machine struct {
	resolv string // the machine's resolv.conf, for environments that share its network
	nested bool   // in a user namespace: overlays keep their marks in user.* attributes, and nothing can be idmapped
	mounts []*mountinfo.Info
	places []place  // what a tree of the whole machine consists of
	homes  []string // of people, which the covers hide
	covers covers
	old    *os.File    // the directory that the workshop covers
	spare  chan *built // trees made ahead, where they do not depend on the environment
}

// Prepare makes the keeper's mount namespace, which must be its own, ready for work: no mount in it propagates, /proc
// is that of its PID namespace, and the workshop exists. nested says that the keeper is not in the initial user
// namespace: environments then have the keeper's own ids, otherwise ids of their own.
func Prepare(nested bool) (*Machine, error) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return nil, fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return nil, fmt.Errorf("mount proc: %w", err)
	}
	mounts, err := mountinfo.GetMounts(nil)
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	resolv, err := os.ReadFile("/etc/resolv.conf") // it may be a link to what the workshop covers
	if err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("read resolv.conf: %w", err)
	}
	m := &Machine{nested: nested, mounts: visible(mounts), resolv: string(resolv)}
	if m.old, err = os.Open(workshop); err != nil {
		return nil, fmt.Errorf("open workshop: %w", err)
	}
	if err := unix.Mount("workshop", workshop, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return nil, fmt.Errorf("mount workshop: %w", err)
	}
	for _, dir := range []string{newRoot, coversDir, coverDir, layersDir, devicesDir} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, fmt.Errorf("set up workshop: %w", err)
		}
	}
	if err := unix.Mount("devices", devicesDir, "tmpfs", unix.MS_NOSUID, "mode=755"); err != nil {
		return nil, fmt.Errorf("mount workshop: %w", err)
	}
	if !nested {
		m.homes = homes()
	}
	if err := m.make(cover{dir: coverDir}); err != nil {
		return nil, err
	}
	m.places = m.survey()
	if nested {
		m.spare = make(chan *built, 2)
		go m.stock()
	}
	return m, nil
}

const (
	newRoot    = workshop + "/new"    // where an init puts its root together
	coversDir  = workshop + "/covers" // the layers that hide secrets
	coverDir   = coversDir + "/plain" // the one that shows nothing of what it hides
	devicesDir = workshop + "/dev"    // device nodes of the keeper's making
	layersDir  = workshop + "/layers" // where layers are attached: for kernels that cannot take them by descriptor, and to be unmounted
)

// visible are the mounts that a path can reach: those hidden by a later mount at the same place or above are left out.
func visible(all []*mountinfo.Info) []*mountinfo.Info {
	kids := map[int][]*mountinfo.Info{}
	var root *mountinfo.Info
	ids := map[int]bool{}
	for _, mi := range all {
		ids[mi.ID] = true
	}
	for _, mi := range all {
		if ids[mi.Parent] && mi.Parent != mi.ID {
			kids[mi.Parent] = append(kids[mi.Parent], mi)
		} else {
			root = mi
		}
	}
	var out []*mountinfo.Info
	var walk func(mi *mountinfo.Info)
	walk = func(mi *mountinfo.Info) {
		for _, k := range kids[mi.ID] {
			if k.Mountpoint == mi.Mountpoint { // stacked on top: the only way on
				walk(k)
				return
			}
		}
		out = append(out, mi)
		for _, k := range kids[mi.ID] {
			hidden := false
			for _, other := range kids[mi.ID] {
				hidden = hidden || other.Mountpoint != k.Mountpoint && within(k.Mountpoint, other.Mountpoint)
			}
			if !hidden {
				walk(k)
			}
		}
	}
	if root != nil {
		walk(root)
	}
	return out
}

// within reports whether path is dir or below it.
func within(path, dir string) bool {
	return path == dir || dir == "/" || strings.HasPrefix(path, dir+"/")
}

// private are the directories that every environment has of its own; nothing of the machine shows through.
var private = []string{"/proc", "/sys", "/dev", "/tmp", "/run", "/var/tmp"}

func isPrivate(path string) bool {
	for _, dir := range private {
		if within(path, dir) {
			return true
		}
	}
	return false
}

// hasMountBelow reports whether a mount hangs strictly below path.
func (m *Machine) hasMountBelow(path string) bool {
	for _, mi := range m.mounts {
		if mi.Mountpoint != path && within(mi.Mountpoint, path) {
			return true
		}
	}
	return false
}

// mountAt is the mount whose root is path, if any.
func (m *Machine) mountAt(path string) *mountinfo.Info {
	for _, mi := range m.mounts {
		if mi.Mountpoint == path {
			return mi
		}
	}
	return nil
}

// inRoot reports whether path, which no symbolic link leads to, lies in the root file system.
func (m *Machine) inRoot(path string) bool {
	for ; path != "/"; path = filepath.Dir(path) {
		if m.mountAt(path) != nil {
			return false
		}
	}
	return true
}

// openTree is a detached private copy of the mount at path, which the workshop may cover.
func (m *Machine) openTree(path string, flags uint) (*os.File, error) {
	dir := unix.AT_FDCWD
	if rel, ok := strings.CutPrefix(path, workshop+"/"); ok && !within(path, coversDir) {
		dir, path = int(m.old.Fd()), rel
	}
	fd, err := unix.OpenTree(dir, path, flags|unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return nil, fmt.Errorf("open tree %s: %w", path, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

// idmap makes the ids of the detached mount f those of the user namespace ns: id 0 on disk is id 0 inside
// (mount_setattr(2), Linux 5.12).
func idmap(f, ns *os.File) error {
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(ns.Fd())}
	if err := unix.MountSetattr(int(f.Fd()), "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return fmt.Errorf("idmap %s: %w", f.Name(), err)
	}
	return nil
}

// protect makes the detached mount f read-only, or at least free of setuid programs and devices.
func protect(f *os.File, attrs uint64) error {
	if err := unix.MountSetattr(int(f.Fd()), "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: attrs}); err != nil {
		return fmt.Errorf("protect %s: %w", f.Name(), err)
	}
	return nil
}

// Identify names what is at each of these paths now: another file or directory at one of them, or none, has another name.
func (m *Machine) Identify(paths []string) string {
	var b strings.Builder
	for _, path := range paths {
		fi, err := m.stat(path)
		if err != nil {
			fmt.Fprintf(&b, "%s: %v\n", path, err)
			continue
		}
		st := fi.Sys().(*syscall.Stat_t)
		fmt.Fprintf(&b, "%s: %d %d %o %d %d\n", path, st.Dev, st.Ino, st.Mode, st.Uid, st.Gid)
	}
	return b.String()
}

// stat reports what is at path in the machine, following no final link.
func (m *Machine) stat(path string) (os.FileInfo, error) {
	if rel, ok := strings.CutPrefix(path, workshop+"/"); ok {
		var st unix.Stat_t
		if err := unix.Fstatat(int(m.old.Fd()), rel, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return nil, &os.PathError{Op: "stat", Path: path, Err: err}
		}
		return os.Lstat(fmt.Sprintf("/proc/self/fd/%d/%s", m.old.Fd(), rel))
	}
	return os.Lstat(path)
}
