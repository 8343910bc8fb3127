package network

import (
	"errors"
	"os"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/internal/rtnetlink"
	"github.com/hermetic-go/nstest/suites/property"
)

// witness makes a device of each kind that the kernel has, and on each a macvlan, which it puts into the namespace that is
// its file: it ends there when the device ends on which it stands. It returns the names of those that it has put there.
var witness = nsx.Register("network/witness", func(parent *nsx.Parent, kinds []string) ([]string, error) {
	var list []string
	for _, kind := range kinds {
		below, above := kind+"-n10", "on-"+kind
		err := rtnetlink.Add(below, kind)
		if errors.Is(err, unix.EOPNOTSUPP) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := rtnetlink.AddMacvlan(above, below); err != nil {
			return nil, err
		}
		if err := rtnetlink.Move(above, parent.Files[0], ""); err != nil {
			return nil, err
		}
		list = append(list, above)
	}
	return list, nil
})

func registerLifetime() {
	property.It("N10", func(ctx SpecContext, c *property.Check) {
		before := rtnetlink.Names(here())
		inside := newNamespace(ctx)
		ours, err := nsx.Open(0, nsx.Net)
		Expect(err).NotTo(HaveOccurred())
		defer ours.Close()

		here(device{Name: "near", Kind: "veth", Peer: "far"})
		Expect(rtnetlink.Move("far", inside.file, "")).To(Succeed())
		s := inside.join()
		s.Files = []*os.File{ours}
		witnesses, err := nsx.Run(ctx, s, witness, []string{"bridge", "ifb", "dummy"})
		if errors.Is(err, unix.EOPNOTSUPP) {
			c.Skip("the kernel has no macvlan", "modprobe macvlan, or a kernel with CONFIG_MACVLAN")
		}
		Expect(err).NotTo(HaveOccurred())
		Expect(witnesses).NotTo(BeEmpty())

		c.Positive("while an open file keeps the namespace, its devices are there, though no process is", func() {
			Expect(inside.holder.Close()).To(Succeed())
			devices := rtnetlink.Names(inside.equipped(ctx))
			c.Saw("inside", devices)
			c.Saw("outside, the other end of the veth and what stands on the others", append(witnesses, "near"))
			Expect(devices).To(ContainElement("far"))
			Expect(rtnetlink.Names(here())).To(ContainElements(append(witnesses, "near")))
		})
		c.Negative("when nothing keeps it, they end, and none comes to us", func() {
			inside.end()
			Eventually(ctx, func() []string { return rtnetlink.Names(here()) }).Should(Equal(before))
			c.Saw("outside", rtnetlink.Names(here()))
		})
	})
}
