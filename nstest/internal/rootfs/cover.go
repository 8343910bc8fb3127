package rootfs

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Nameserver is the address, inside every host, of the environment's DNS server.
const Nameserver = "127.0.0.53"

// What an environment finds instead of the machine's own files.
const (
	resolvConf = "nameserver " + Nameserver + "\noptions timeout:1 attempts:2\n"
	hostsFile  = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
)

// Hosts is the /etc/hosts of a host: localhost and itself, at its addresses, so that a service which listens on the
// host's own name is reached by others. Other names are the DNS server's work, because resolvers keep the file's contents
// for seconds.
func Hosts(hostname string, addrs []netip.Addr) string {
	if len(addrs) == 0 {
		return hostsFile + "127.0.1.1\t" + hostname + "\n"
	}
	text := hostsFile
	for _, a := range addrs {
		text += a.String() + "\t" + hostname + "\n"
	}
	return text
}

// secrets are files that no environment sees, as patterns.
var secrets = []string{"/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/sudoers", "/etc/sudoers.d",
	"/etc/ssh/ssh_host_*_key", "/etc/security/opasswd"}

// A cover is a layer that lies between the machine's tree and an environment's own layer. It hides the secrets, the homes
// and the private directories, and replaces the files in /etc that are an environment's own.
type cover struct {
	dir    string                 // where it is
	shown  map[string]os.FileMode // directories that it shows although what leads there is hidden, and their permissions
	points map[string]bool        // empty directories (true) and files below hidden directories, to mount on
}

// make fills the directory of c.
func (m *Machine) make(c cover) error {
	if err := os.Chmod(c.dir, 0o755); err != nil {
		return fmt.Errorf("make cover: %w", err)
	}
	etc := filepath.Join(c.dir, "etc")
	if err := os.MkdirAll(etc, 0o755); err != nil {
		return fmt.Errorf("make cover: %w", err)
	}
	for name, content := range map[string]string{"hostname": "self\n", "hosts": hostsFile, "resolv.conf": resolvConf} {
		if err := os.WriteFile(filepath.Join(etc, name), []byte(content), 0o644); err != nil {
			return fmt.Errorf("make cover: %w", err)
		}
	}
	if m.nested {
		return nil // the machine's permissions hold: environments have no rights over what others own
	}
	for _, pattern := range secrets {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return fmt.Errorf("match %s: %w", pattern, err)
		}
		for _, path := range found {
			if err := whiteout(filepath.Join(c.dir, path)); err != nil {
				return fmt.Errorf("cover %s: %w", path, err)
			}
		}
	}
	// What lies below the private directories must not come to light when root inside unmounts them.
	for _, dir := range append(m.homes[:len(m.homes):len(m.homes)], private...) {
		if c.shows(dir) {
			continue
		}
		if err := c.hide(dir); err != nil {
			return fmt.Errorf("cover %s: %w", dir, err)
		}
	}
	for path, perm := range c.shown {
		if err := c.show(path, perm); err != nil {
			return fmt.Errorf("show %s: %w", path, err)
		}
	}
	for path, isDir := range c.points {
		if err := c.point(path, isDir); err != nil {
			return fmt.Errorf("make mount point: %w", err)
		}
	}
	return nil
}

// whiteout hides path of the layers below.
func whiteout(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return unix.Mknod(path, unix.S_IFCHR, 0)
}

// shows reports whether path lies in a directory that c shows.
func (c cover) shows(path string) bool {
	for dir := range c.shown {
		if within(path, dir) {
			return true
		}
	}
	return false
}

// paths are the directories that c shows, in order.
func (c cover) paths() []string { return slices.Sorted(maps.Keys(c.shown)) }

// within reports whether all that c has below hidden directories is in other too.
func (c cover) within(other cover) bool {
	for path, perm := range c.shown {
		if p, ok := other.shown[path]; !ok || p != perm {
			return false
		}
	}
	for path, isDir := range c.points {
		if d, ok := other.points[path]; !ok || d != isDir {
			return false
		}
	}
	return true
}

// size is how much c has below hidden directories.
func (c cover) size() int { return len(c.shown) + len(c.points) }

// hide makes an empty directory in the cover that hides the machine's one at path, and keeps its mode.
func (c cover) hide(path string) error {
	fi, err := os.Lstat(path)
	if err != nil || !fi.IsDir() {
		return nil //nolint:nilerr // a home that passwd names and nobody made
	}
	for dir := filepath.Dir(path); dir != "/"; dir = filepath.Dir(dir) { // keep the modes of what leads there
		if fi, err := os.Stat(dir); err == nil {
			if err := os.MkdirAll(filepath.Join(c.dir, dir), fi.Mode().Perm()); err != nil {
				return err
			}
		}
	}
	hidden := filepath.Join(c.dir, path)
	if err := os.MkdirAll(hidden, 0o755); err != nil {
		return err
	}
	st := fi.Sys().(*syscall.Stat_t)
	return errors.Join(os.Chmod(hidden, fi.Mode().Perm()), os.Lchown(hidden, int(st.Uid), int(st.Gid)),
		unix.Setxattr(hidden, "trusted.overlay.opaque", []byte("y"), 0))
}

// show makes a directory in the cover that shows the machine's one at path although what leads there is hidden: an
// overlay takes it for one that was moved there from elsewhere.
func (c cover) show(path string, perm os.FileMode) error {
	shown := filepath.Join(c.dir, path)
	if err := os.MkdirAll(shown, 0o755); err != nil {
		return err
	}
	return errors.Join(os.Chmod(shown, perm), unix.Setxattr(shown, "trusted.overlay.redirect", []byte(path), 0))
}

// point makes an empty directory or file in the cover.
func (c cover) point(path string, isDir bool) error {
	at := filepath.Join(c.dir, path)
	if isDir {
		return os.MkdirAll(at, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return err
	}
	return os.WriteFile(at, nil, 0o755)
}

// homes are the home directories of people: root, /home as a whole and all in it, and what passwd(5) names for ids from
// 1000 on.
func homes() []string {
	list := []string{"/root", "/home"}
	if entries, err := os.ReadDir("/home"); err == nil {
		for _, e := range entries {
			list = append(list, filepath.Join("/home", e.Name()))
		}
	}
	f, err := os.Open("/etc/passwd")
	if err != nil {
		return list
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for s.Scan() {
		p := strings.Split(s.Text(), ":")
		if len(p) < 7 {
			continue
		}
		uid, err := strconv.Atoi(p[2])
		if err != nil || uid < 1000 || uid >= 65534 {
			continue
		}
		home := filepath.Clean(p[5])
		if strings.Count(home, "/") >= 2 && filepath.IsAbs(home) && !isPrivate(home) && !within(home, "/usr") {
			list = append(list, home)
		}
	}
	return list
}

// covered reports whether path lies in a directory that the machine's tree does not show inside.
func (m *Machine) covered(path string) bool {
	if isPrivate(path) {
		return true
	}
	if m.nested {
		return false
	}
	for _, home := range m.homes {
		if within(path, home) {
			return true
		}
	}
	return false
}
