package mount

import (
	"errors"
	"os"
	"strconv"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// layer has a process mount a fresh upper layer over a directory, at dir/merged; dir has the empty directories merged and
// layer.
func layer(p process, lower, dir string) {
	GinkgoHelper()
	up := dir + "/layer"
	do(p, tmpfs(up), mkdir(up+"/upper"), mkdir(up+"/work"),
		mount("overlay", dir+"/merged", "userxattr,lowerdir="+lower+",upperdir="+up+"/upper,workdir="+up+"/work"))
}

// ids is how many user ids there are in the spec's user namespace.
func ids() (n int) {
	GinkgoHelper()
	text, err := os.ReadFile("/proc/self/uid_map")
	Expect(err).NotTo(HaveOccurred())
	for line := range strings.Lines(string(text)) {
		count, err := strconv.Atoi(strings.Fields(line)[2])
		Expect(err).NotTo(HaveOccurred())
		n += count
	}
	return n
}

// idmap shows a directory at another path with its ids shifted, as the user namespace of a process maps them.
func idmap(source, path string, pid int) error {
	tree, err := unix.OpenTree(unix.AT_FDCWD, source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("open_tree", err)
	}
	defer unix.Close(tree)
	users, err := nsx.Open(pid, nsx.User)
	if err != nil {
		return err
	}
	defer users.Close()
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(users.Fd())}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return os.NewSyscallError("mount_setattr", err)
	}
	return os.NewSyscallError("move_mount", unix.MoveMount(tree, "", unix.AT_FDCWD, path, unix.MOVE_MOUNT_F_EMPTY_PATH))
}

func registerOverlays() {
	property.It("M20", func(ctx SpecContext, c *property.Check) {
		dir := ground(alone, "lower", "merged", "layer", "bound")
		do(outside, write(dir+"/lower/file", "old"))
		inside := enter(ctx, unprivileged(0))
		c.Negative("what is written through an overlay is read there and never reaches the directory below", func() {
			layer(inside, dir+"/lower", dir)
			do(inside, write(dir+"/merged/file", "new"), write(dir+"/merged/another", ""))
			there, here := do(inside, read(dir+"/merged/file")), do(outside, read(dir+"/lower/file"))
			names := do(outside, list(dir+"/lower"))
			c.Saw("the file in the overlay", there)
			c.Saw("the file below", here)
			c.Saw("the directory below", names)
			Expect(there).To(Equal("new"))
			Expect(here).To(Equal("old"))
			Expect(names).To(Equal("file"))
		})
		c.Positive("through a bind mount it does", func() {
			do(inside, bind(dir+"/lower", dir+"/bound", 0), write(dir+"/bound/file", "new"))
			here := do(outside, read(dir+"/lower/file"))
			c.Saw("the file bound", here)
			Expect(here).To(Equal("new"))
		})
	})

	property.It("M21", func(ctx SpecContext, c *property.Check) {
		if n := ids(); n < 2 {
			c.Skip("the environment has one user id, and none to shift it to", "run the suite as root, or install newuidmap and give the user subordinate ids")
		}
		dir := ground(alone, "lower", "shifted", "merged", "layer")
		do(outside, write(dir+"/lower/file", "old"))
		// Root inside is somebody else outside.
		shift := []nsx.IDMap{{Inside: 0, Outside: 1, Count: 1}}
		root := 0
		s := nsx.Spec{Kinds: nsx.User | nsx.Mount, UIDMaps: shift, GIDMaps: shift, UID: &root, GID: &root}
		c.Positive("without an idmapped mount, root inside has no right to a file of root outside", func() {
			inside := enter(ctx, s)
			layer(inside, dir+"/lower", dir)
			err := failure(inside, write(dir+"/merged/file", "new"))
			c.Saw("error", err)
			Expect(err).To(Or(MatchError(unix.EACCES), MatchError(unix.EOVERFLOW)))
		})
		c.Negative("with one below the overlay it writes, and the file outside is what it was", func() {
			err := idmap(dir+"/lower", dir+"/shifted", enter(ctx, s).PID())
			if errors.Is(err, unix.EINVAL) {
				c.Skip("this kernel has no idmapped mounts of tmpfs: "+err.Error(), "run it on Linux 6.3 or later")
			}
			Expect(err).NotTo(HaveOccurred())
			inside := enter(ctx, s)
			layer(inside, dir+"/shifted", dir)
			do(inside, write(dir+"/merged/file", "new"))
			there, here := do(inside, read(dir+"/merged/file")), do(outside, read(dir+"/lower/file"))
			c.Saw("the file in the overlay", there)
			c.Saw("the file below", here)
			Expect(there).To(Equal("new"))
			Expect(here).To(Equal("old"))
		})
	})
}
