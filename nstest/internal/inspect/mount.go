package inspect

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/hermetic-go/nstest/nstest/internal/record"
	"golang.org/x/sys/unix"
)

// measured are the types of file systems that keep files and answer at once. Others, such as those over a network or of a
// process (FUSE), may never answer.
var measured = []string{"tmpfs", "ramfs", "overlay", "ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "bcachefs", "squashfs", "erofs", "vfat", "hugetlbfs"}

// nominal are the types of those that keep no files and answer at once as well.
var nominal = []string{"proc", "sysfs", "devtmpfs", "devpts", "mqueue", "cgroup", "cgroup2", "bpf", "tracefs", "debugfs", "securityfs", "configfs", "fusectl", "binfmt_misc", "nsfs", "pstore", "efivarfs"}

// slow are those of which no path may even lead through them.
func slow(kind string) bool {
	return strings.HasPrefix(kind, "fuse") && kind != "fusectl" || slices.Contains([]string{"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "afs", "autofs", "virtiofs"}, kind)
}

// Mounts lists what is mounted where in the mount namespace of a process, by its number in /proc.
func Mounts(pid int) ([]record.Mount, []string) {
	f, err := os.Open(procPath(pid, "mountinfo"))
	if err != nil {
		if gone(err) {
			return nil, []string{"mounts: the host's init has ended"}
		}
		return nil, []string{fmt.Sprintf("mounts: %v", record.Pathless(err))}
	}
	defer f.Close()
	var notes []string
	var list []record.Mount
	var ids []uint64
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		m, id, ok := parseMount(s.Text())
		if !ok {
			continue
		}
		if len(list) == mostMounts {
			notes = append(notes, more(mostMounts, "mounts"))
			break
		}
		list, ids = append(list, m), append(ids, id)
	}
	if err := s.Err(); err != nil {
		notes = append(notes, fmt.Sprintf("mounts: %v", err))
	}
	root, err := unix.Open(procPath(pid, "root"), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return clipped(list), append(notes, fmt.Sprintf("sizes of file systems: %v", err))
	}
	defer unix.Close(root)
	visible := list[:0]
	all := slices.Clone(list)
	for i, m := range all {
		if files := slices.Contains(measured, m.Type); (files || slices.Contains(nominal, m.Type)) && !behindSlow(all, m.Target) && !measure(root, &m, ids[i], files) {
			continue
		}
		visible = append(visible, m)
	}
	return clipped(visible), notes
}

func clipped(list []record.Mount) []record.Mount {
	for i := range list {
		m := &list[i]
		m.Target, m.Source, m.Options, m.Type = clip(m.Target), clip(m.Source), clip(m.Options), clip(m.Type)
	}
	return list
}

// parseMount reads a line of mountinfo (proc_pid_mountinfo(5)), and the number of the mount.
func parseMount(line string) (m record.Mount, id uint64, ok bool) {
	f := strings.Fields(line)
	dash := slices.Index(f, "-")
	if dash < 6 || len(f) < dash+3 {
		return m, 0, false
	}
	id, _ = strconv.ParseUint(f[0], 10, 64)
	return record.Mount{Target: unescape.Replace(f[4]), Options: f[5], Type: f[dash+1], Source: unescape.Replace(f[dash+2])}, id, true
}

// unescape undoes what the kernel does to blanks and line breaks.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`, `\043`, "#")

// behindSlow reports whether the way to a target leads through a file system that may not answer.
func behindSlow(list []record.Mount, target string) bool {
	return slices.ContainsFunc(list, func(m record.Mount) bool {
		return slow(m.Type) && (m.Target == "/" || m.Target == target || strings.HasPrefix(target, m.Target+"/"))
	})
}

// measure asks a mount how much room there is, if it keeps files. It reports whether the mount can be seen: there may be another one over it.
func measure(root int, m *record.Mount, id uint64, files bool) (visible bool) {
	fd, err := openMount(root, m.Target)
	switch {
	case err == unix.ENOENT || err == unix.ENOTDIR || err == unix.ELOOP:
		return false
	case err != nil:
		return true // as far as we know
	}
	defer unix.Close(fd)
	var x unix.Statx_t
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_MNT_ID, &x); err != nil || x.Mask&unix.STATX_MNT_ID == 0 { // Linux 5.8
		return true
	}
	var s unix.Statfs_t
	if x.Mnt_id != id || !files || unix.Fstatfs(fd, &s) != nil {
		return x.Mnt_id == id
	}
	m.Size, m.Free = int64(s.Blocks)*s.Bsize, int64(s.Bavail)*s.Bsize
	m.Inodes, m.IFree = int64(s.Files), int64(s.Ffree)
	return true
}

// openMount opens what is at a path of the host's, where nothing inside can lead us elsewhere.
func openMount(root int, target string) (int, error) {
	return unix.Openat2(root, target, &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	})
}
