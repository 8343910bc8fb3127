package devices

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/internal/inside"
	"github.com/hermetic-go/nstest/suites/property"
)

// A listing is a directory and what is in it.
type listing struct {
	Mode  fs.FileMode
	Names []string
}

// list lists a directory.
var list = nsx.Register("devices/list", func(_ *nsx.Parent, dir string) (listing, error) { return listHere(dir) })

func listHere(dir string) (l listing, err error) {
	info, err := os.Stat(dir)
	if err != nil {
		return l, err
	}
	l.Mode = info.Mode()
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		l.Names = append(l.Names, e.Name())
	}
	return l, err
}

// leadsToProgram reports whether an entry of /tmp leads to what every environment shows at its own place: this program,
// where it runs, and Go's directories.
func leadsToProgram(name string) bool {
	GinkgoHelper()
	exe, err := os.Executable()
	Expect(err).NotTo(HaveOccurred())
	dir, err := os.Getwd()
	Expect(err).NotTo(HaveOccurred())
	return slices.ContainsFunc([]string{exe, dir, os.Getenv("HOME"), os.Getenv("GOMODCACHE"), os.Getenv("GOCACHE"), os.Getenv("GOROOT")}, func(path string) bool {
		return strings.HasPrefix(path+"/", filepath.Join("/tmp", name)+"/")
	})
}

func registerTemporary() {
	property.It("D1", func(ctx SpecContext, c *property.Check) {
		const ours = "of-the-host"
		Expect(os.WriteFile("/tmp/"+ours, nil, 0o600)).To(Succeed())
		c.Positive("a process in a copy of the mount namespace sees a file in /tmp", func() {
			l, err := nsx.Run(ctx, nsx.Spec{Kinds: nsx.Mount}, list, "/tmp")
			Expect(err).NotTo(HaveOccurred())
			c.Saw("/tmp", l.Names)
			Expect(l.Names).To(ContainElement(ours))
		})
		c.Negative("one in an environment does not: its /tmp is empty but for what leads to this program", func() {
			l, err := inside.Run(nstest.New(GinkgoTB(), nstest.Config{}).Self(), list, "/tmp")
			Expect(err).NotTo(HaveOccurred())
			c.Saw("/tmp", l.Names)
			c.Saw("mode", l.Mode)
			Expect(l.Mode).To(Equal(fs.ModeDir | fs.ModeSticky | 0o777))
			Expect(slices.DeleteFunc(l.Names, leadsToProgram)).To(BeEmpty())
		})
	})
}
