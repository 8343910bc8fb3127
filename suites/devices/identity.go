package devices

import (
	"os"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/internal/inside"
	"github.com/hermetic-go/nstest/suites/property"
)

// identity are the files that say who a machine is, and whom it knows.
var identity = []string{"/etc/hostname", "/etc/hosts", "/etc/resolv.conf"}

func readAll(paths []string) ([]string, error) {
	var texts []string
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		texts = append(texts, string(text))
	}
	return texts, nil
}

// overwrite writes files and returns what is in them then.
var overwrite = nsx.Register("devices/overwrite", func(_ *nsx.Parent, paths []string) ([]string, error) {
	for _, path := range paths {
		if err := os.WriteFile(path, []byte("written inside\n"), 0o644); err != nil {
			return nil, err
		}
	}
	return readAll(paths)
})

func registerIdentity() {
	property.It("D6", func(ctx SpecContext, c *property.Check) {
		before, err := readAll(identity)
		Expect(err).NotTo(HaveOccurred())
		written := HaveEach("written inside\n")
		c.Negative("what is written to an environment's /etc/hostname, hosts and resolv.conf is its own", func() {
			texts, err := inside.Run(nstest.New(GinkgoTB(), nstest.Config{}).Self(), overwrite, identity)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("inside", texts)
			Expect(texts).To(written)
			here, err := readAll(identity)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("outside", here)
			Expect(here).To(Equal(before))
		})
		c.Positive("what a process in a copy of the mount namespace writes is read outside", func() {
			_, err := nsx.Run(ctx, nsx.Spec{Kinds: nsx.Mount}, overwrite, identity)
			Expect(err).NotTo(HaveOccurred())
			here, err := readAll(identity)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("outside", here)
			Expect(here).To(written)
		})
	})
}
