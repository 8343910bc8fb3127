package mount

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/matchers"
	"github.com/hermetic-go/nstest/suites/property"
)

func registerLocked() {
	property.It("M11", func(ctx SpecContext, c *property.Check) {
		// dir/hidden has a file that a mount covers, and dir/fixed is read-only.
		prepared := func() (dir string) {
			dir = ground(alone, "hidden", "fixed", "own")
			do(outside, write(dir+"/hidden/secret", "covered"), tmpfs(dir+"/hidden"), tmpfs(dir+"/fixed"), remount(dir+"/fixed", unix.MS_RDONLY))
			return dir
		}
		c.Positive("in a mount namespace of the same user namespace, root uncovers the file and may write", func() {
			dir := prepared()
			inside := enter(ctx, private)
			do(inside, umount(dir+"/hidden"), remount(dir+"/fixed", 0), write(dir+"/fixed/file", ""))
			secret := do(inside, read(dir+"/hidden/secret"))
			c.Saw("below the mount", secret)
			Expect(secret).To(Equal("covered"))
		})
		dir := prepared()
		inside := enter(ctx, unprivileged(0))
		c.Positive("root of another one likewise, with mounts of its own", func() {
			own := dir + "/own"
			do(inside, tmpfs(own), remount(own, unix.MS_RDONLY))
			c.Saw("writing to a read-only mount", failure(inside, write(own+"/file", "")))
			do(inside, remount(own, 0), write(own+"/file", ""), umount(own))
			c.Saw("after it is unmounted", tags(inside, own))
			Expect(inside).NotTo(matchers.HaveMount(own))
		})
		c.Negative("but not with those that it was given", func() {
			for _, refused := range []struct {
				what string
				deed deed
				by   error
			}{
				{"unmounting", umount(dir + "/hidden"), unix.EINVAL},
				{"detaching", detach(dir + "/hidden"), unix.EINVAL},
				{"moving it away", move(dir+"/hidden", dir+"/own"), unix.EINVAL},
				{"reading what it covers", read(dir + "/hidden/secret"), unix.ENOENT},
				{"making it writable", remount(dir+"/fixed", 0), unix.EPERM},
				{"writing", write(dir+"/fixed/file", ""), unix.EROFS},
			} {
				err := failure(inside, refused.deed)
				c.Saw(refused.what, err)
				Expect(err).To(MatchError(refused.by), refused.what)
			}
		})
	})

	property.It("M12", func(ctx SpecContext, c *property.Check) {
		dir := ground(alone, "tree/hidden", "tree/plain", "to", "layer")
		do(outside, write(dir+"/tree/hidden/secret", "covered"), write(dir+"/tree/plain/file", "text"), tmpfs(dir+"/tree/hidden"))
		overlay := func(lower string) deed {
			return mount("overlay", dir+"/to", "userxattr,lowerdir="+lower+":"+dir+"/layer")
		}
		c.Positive("where the mounts are not locked, a bind without MS_REC shows what they cover", func() {
			same := enter(ctx, private)
			do(same, bind(dir+"/tree", dir+"/to", 0))
			secret := do(same, read(dir+"/to/hidden/secret"))
			c.Saw("the covered file", secret)
			Expect(secret).To(Equal("covered"))
		})
		inside := enter(ctx, unprivileged(0))
		c.Positive("where they are, a bind with MS_REC works and covers it again", func() {
			do(inside, bind(dir+"/tree", dir+"/to", recursive))
			err := failure(inside, read(dir+"/to/hidden/secret"))
			c.Saw("the covered file", err)
			Expect(err).To(MatchError(unix.ENOENT))
			do(inside, detach(dir+"/to"))
		})
		c.Positive("and so does an overlay over a directory without mounts", func() {
			do(inside, overlay(dir+"/tree/plain"))
			text := do(inside, read(dir+"/to/file"))
			c.Saw("a file of it", text)
			Expect(text).To(Equal("text"))
			do(inside, umount(dir+"/to"))
		})
		c.Negative("a bind without it, and an overlay over the whole, are refused", func() {
			for _, refused := range []deed{bind(dir+"/tree", dir+"/to", 0), bind("/", dir+"/to", 0), overlay(dir + "/tree"), overlay("/")} {
				err := failure(inside, refused)
				c.Saw(refused.String(), err)
				Expect(err).To(MatchError(unix.EINVAL), "%v", refused)
			}
		})
	})
}
