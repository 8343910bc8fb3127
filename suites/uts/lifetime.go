package uts

import (
	"os"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/matchers"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// joined is what the names are for a process that joins the namespace which is open at a path.
func joined(ctx SpecContext, path string) (names, error) {
	GinkgoHelper()
	f, err := os.Open(path)
	Expect(err).NotTo(HaveOccurred())
	defer f.Close()
	return nsx.Run(ctx, nsx.Spec{How: nsx.Setns, Kinds: nsx.UTS, Into: []*os.File{f}}, rename, names{})
}

func registerLifetime() {
	property.It("U6", func(ctx SpecContext, c *property.Check) {
		pin := filepath.Join(GinkgoTB().TempDir(), "pin")
		last, err := nsx.Spawn(ctx, nsx.Spec{Kinds: nsx.UTS}, watch, nil)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(last.Close)
		Expect(last.Await(nil)).To(Succeed())
		inode, err := last.Inode(nsx.UTS)
		Expect(err).NotTo(HaveOccurred())
		_, err = nsx.Run(ctx, nsx.Spec{How: nsx.Setns, Kinds: nsx.UTS, Into: []*os.File{last.PIDFD()}}, rename, names{Host: "pinned"})
		Expect(err).NotTo(HaveOccurred())
		Expect(last.Pin(nsx.UTS, pin)).To(Succeed())
		Expect(last.Close()).To(Succeed(), "the last process of the namespace ends")

		c.Positive("who joins the pin finds the namespace and its name", func() {
			f, err := os.Open(pin)
			Expect(err).NotTo(HaveOccurred())
			defer f.Close()
			Expect(f).To(matchers.BeInNamespace(nsx.UTS, inode))
			name, err := joined(ctx, pin)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("name", name.Host)
			Expect(name.Host).To(Equal("pinned"))
		})
		c.Negative("unmounted, it is a file like any other", func() {
			Expect(unix.Unmount(pin, 0)).To(Succeed())
			info, err := os.Stat(pin)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("size of the file", info.Size())
			Expect(info.Mode().IsRegular()).To(BeTrue())
			_, err = joined(ctx, pin)
			c.Saw("error", err)
			Expect(err).To(MatchError(unix.EINVAL))
		})
	})
}
