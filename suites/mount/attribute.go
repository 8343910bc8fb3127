package mount

import (
	"os"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// fix makes the mount of the probe's first file read-only by mount_setattr(2).
var fix = nsx.Register("mount/fix", func(parent *nsx.Parent, _ any) (any, error) {
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	return nil, unix.MountSetattr(int(parent.Files[0].Fd()), "", unix.AT_EMPTY_PATH, &attr)
})

func registerAttributes() {
	property.It("M18", func(ctx SpecContext, c *property.Check) {
		dir := ground(alone)
		opened := func() *os.File {
			GinkgoHelper()
			f, err := os.OpenFile(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(f.Close)
			return f
		}
		attempt := func(s nsx.Spec) error {
			GinkgoHelper()
			s.Files = []*os.File{opened()}
			_, err := nsx.Run(ctx, s, fix, nil)
			at := mountsAt(outside, dir)
			Expect(at).To(HaveLen(1))
			c.Saw("error", err)
			c.Saw("options of the mount", at[0].Options)
			if err != nil {
				Expect(at[0].Options).To(HavePrefix("rw,"), "it is what it was")
			} else {
				Expect(at[0].Options).To(HavePrefix("ro,"))
			}
			return err
		}
		c.Negative("the mount of another mount namespace, known by an open file, cannot be changed", func() {
			Expect(attempt(private)).To(MatchError(unix.EINVAL))
		})
		c.Negative("nor can one of the same mount namespace by who is root of another user namespace", func() {
			Expect(attempt(nsx.Spec{}.AsRoot())).To(MatchError(unix.EPERM))
		})
		c.Positive("in the mount's own namespaces it can", func() {
			Expect(attempt(nsx.Spec{})).To(Succeed())
		})
	})
}
