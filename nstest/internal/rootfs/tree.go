package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"golang.org/x/sys/unix"
)

// A place is one piece of the machine's tree and how environments see it.
type place struct {
	path   string
	kind   placeKind
	cover  string // kindLayer: the directory, if any, that lies on top of what is at path
	link   string // kindLink: what it says
	source string // kindFile, kindLayer: shown instead of what is at path
	perm   uint32 // of what is made to mount on
}

type placeKind int

const (
	kindLayer placeKind = iota // behind an overlay
	kindBind                   // read-only
	kindFile                   // a single file, read-only
	kindDir                    // an empty directory
	kindLink                   // a symbolic link
)

// pseudo are file system types that are the kernel's or the keeper's own business.
var pseudo = map[string]bool{"proc": true, "sysfs": true, "devtmpfs": true, "devpts": true, "mqueue": true, "cgroup": true,
	"cgroup2": true, "securityfs": true, "debugfs": true, "tracefs": true, "bpf": true, "pstore": true, "efivarfs": true,
	"fusectl": true, "configfs": true, "hugetlbfs": true, "binfmt_misc": true, "autofs": true, "nsfs": true,
	"rpc_pipefs": true, "selinuxfs": true}

// survey finds out what a tree of the whole machine consists of. One overlay over the root file system is enough where
// the kernel lets us have that file system without what is mounted on it; in a user namespace those mounts are locked
// (mount_namespaces(7)), and each directory without a mount below gets an overlay of its own.
func (m *Machine) survey() []place {
	if f, err := m.openTree("/", 0); err == nil {
		f.Close()
		places := []place{{path: "/", kind: kindLayer, cover: coverDir}}
		for _, mi := range m.mounts {
			p := place{path: mi.Mountpoint, kind: kindLayer}
			switch fi, err := m.stat(p.path); {
			case p.path == "/" || pseudo[mi.FSType] || m.covered(p.path) || within(p.path, "/etc") && isEtc(p.path):
				continue
			case err != nil:
				continue
			case !fi.IsDir():
				p.kind = kindFile
			case hasOption(mi.Options, "ro"):
				p.kind = kindBind
			}
			places = append(places, p)
		}
		sort.SliceStable(places, func(i, k int) bool { return len(places[i].path) < len(places[k].path) })
		return places
	}
	return m.split("/")
}

func isEtc(path string) bool {
	return path == "/etc/hostname" || path == "/etc/hosts" || path == "/etc/resolv.conf"
}

func hasOption(options, want string) bool {
	for o := range strings.SplitSeq(options, ",") {
		if o == want {
			return true
		}
	}
	return false
}

// split lists the places that make up dir, which has mounts somewhere below.
func (m *Machine) split(dir string) []place {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var places []place
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		fi, err := e.Info()
		if err != nil {
			continue
		}
		p := place{path: path, perm: uint32(fi.Mode().Perm())}
		switch {
		case isPrivate(path):
			continue
		case isEtc(path): // mounted over, as in a container: the environment's own
			p.kind, p.source = kindFile, filepath.Join(coverDir, path)
		case fi.Mode()&os.ModeSymlink != 0:
			p.kind = kindLink
			if p.link, err = os.Readlink(path); err != nil {
				continue
			}
		case fi.Mode().IsRegular():
			p.kind = kindFile
		case !fi.IsDir():
			continue
		case m.othersHome(path):
			p.kind = kindDir
		case path == "/etc" && m.hasMountBelow(path) && copyTree(path, filepath.Join(coverDir, path)) == nil:
			// Containers mount files over some in /etc: split, it would be one mount for each entry.
			p.source = filepath.Join(coverDir, path)
		default:
			if mi := m.mountAt(path); mi != nil && pseudo[mi.FSType] {
				p.kind = kindDir
				break
			} else if mi != nil && hasOption(mi.Options, "ro") {
				p.kind = kindBind
				break
			}
			inner, err := os.ReadDir(path)
			if err != nil || len(inner) == 0 {
				p.kind = kindDir
			} else if m.hasMountBelow(path) || path == "/home" {
				p.kind = kindDir
				places = append(places, p)
				places = append(places, m.split(path)...)
				continue
			}
			if path == "/etc" {
				p.cover = filepath.Join(coverDir, path)
			}
		}
		places = append(places, p)
	}
	return places
}

// othersHome reports whether path is the home of somebody else.
func (m *Machine) othersHome(path string) bool {
	if filepath.Dir(path) != "/home" && path != "/root" {
		return false
	}
	return unix.Access(path, unix.W_OK) != nil
}

// built is the part of a tree that does not name an environment.
type built struct {
	stack  *stack
	mounts []mounted
	err    error
}

type mounted struct {
	file   *os.File
	target string
	isFile bool
	ready  bool // the tree has something at target to mount on
}

func (b *built) close() error {
	var errs []error
	for _, mt := range b.mounts {
		errs = append(errs, mt.file.Close())
	}
	if b.stack != nil {
		errs = append(errs, b.stack.close())
	}
	return errors.Join(errs...)
}

func (b *built) add(mt mounted) { b.mounts = append(b.mounts, mt) }

// stock keeps a few trees ready, where they are the same for every environment.
func (m *Machine) stock() {
	for {
		b, err := m.build(m.places, nil, 0, 0)
		if err != nil {
			b = &built{err: err}
		}
		m.spare <- b
	}
}

// build makes the mounts of places. ns is the user namespace whose ids files have inside; uid and gid are its root's,
// as the keeper sees them.
func (m *Machine) build(places []place, ns *os.File, uid, gid int) (b *built, err error) {
	b = &built{}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
			b = nil
		}
	}()
	if b.stack, err = newStack(); err != nil {
		return b, err
	}
	var base *os.File
	if len(places) > 0 && places[0].path != "/" {
		if base, err = detached("tmpfs", 0, "mode", "0755"); err != nil {
			return b, err
		}
		b.add(mounted{file: base, target: "/"})
	}
	for _, p := range places {
		rel := strings.TrimPrefix(p.path, "/")
		if base != nil {
			if err := p.make(int(base.Fd()), rel); err != nil {
				return b, err
			}
		}
		switch p.kind {
		case kindLayer:
			f, err := m.layer(b.stack, p, ns, uid, gid)
			if err != nil {
				return b, err
			}
			b.add(mounted{file: f, target: p.path, ready: true})
		case kindBind, kindFile:
			source := p.path
			if p.source != "" {
				source = p.source
			}
			f, err := m.bind(source, ns, unix.MOUNT_ATTR_RDONLY)
			if err != nil {
				return b, err
			}
			b.add(mounted{file: f, target: p.path, isFile: p.kind == kindFile, ready: true})
		}
	}
	return b, nil
}

// make makes what p is mounted on, or p itself.
func (p place) make(base int, rel string) error {
	var err error
	switch p.kind {
	case kindLink:
		err = unix.Symlinkat(p.link, base, rel)
	case kindFile:
		var fd int
		if fd, err = unix.Openat(base, rel, unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o444); err == nil {
			err = unix.Close(fd)
		}
	default:
		err = unix.Mkdirat(base, rel, p.perm|0o700)
	}
	if err != nil {
		return fmt.Errorf("make %s in the new root: %w", p.path, err)
	}
	return nil
}

// layer is an overlay over what is at p, or, where the kernel refuses one (more than two stacked, or a file system
// that cannot be below one), a read-only view.
func (m *Machine) layer(s *stack, p place, ns *os.File, uid, gid int) (*os.File, error) {
	source := p.path
	if p.source != "" {
		source = p.source
	}
	var sources []string
	if p.cover != "" {
		sources = append(sources, p.cover)
	}
	var lowers []*os.File
	for _, source := range append(sources, source) {
		l, err := m.lower(s, source, ns)
		if err != nil {
			return nil, err
		}
		lowers = append(lowers, l)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(lowers[len(lowers)-1].Fd()), &st); err != nil {
		return nil, fmt.Errorf("stat %s: %w", p.path, err)
	}
	f, err := s.overlay(lowers, st.Mode&0o7777, uid, gid, m.nested)
	if err == nil || !errors.Is(err, unix.EINVAL) {
		return f, err
	}
	view, verr := m.bind(p.path, ns, unix.MOUNT_ATTR_RDONLY)
	if verr != nil {
		return nil, errors.Join(err, verr)
	}
	return view, nil
}

// lower is a layer of the stack: a private copy of what is at path, with the ids of the user namespace ns.
func (m *Machine) lower(s *stack, path string, ns *os.File) (*os.File, error) {
	l, err := m.openTree(path, 0)
	if err != nil {
		return nil, err
	}
	s.lowers = append(s.lowers, l)
	if ns != nil {
		if err := idmap(l, ns); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EPERM) {
			return nil, err
		} // else a file system that cannot be idmapped: its files belong to nobody inside
	}
	return l, nil
}

// bind is what is at path, with attributes such as unix.MOUNT_ATTR_RDONLY.
func (m *Machine) bind(path string, ns *os.File, attrs uint64) (*os.File, error) {
	f, err := m.openTree(path, 0)
	if errors.Is(err, unix.EINVAL) { // mounts below are locked: with them, then
		f, err = m.openTree(path, unix.AT_RECURSIVE)
	}
	if err != nil {
		return nil, err
	}
	if ns != nil {
		if err := idmap(f, ns); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EPERM) {
			return nil, errors.Join(err, f.Close())
		}
	}
	if attrs != 0 {
		if err := protect(f, attrs); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return f, nil
}
