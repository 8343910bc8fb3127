package network

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/suites/internal/rtnetlink"
	"github.com/hermetic-go/nstest/suites/property"
)

func registerMoves() {
	property.It("N12", func(ctx SpecContext, c *property.Check) {
		inside := newNamespace(ctx)
		here(device{Name: "movable", Kind: "veth", Peer: "stays"})
		c.Positive("a veth is moved to another namespace", func() {
			Expect(rtnetlink.Move("movable", inside.file, "")).To(Succeed())
			c.Saw("devices there", rtnetlink.Names(inside.equipped(ctx)))
			Expect(rtnetlink.Names(inside.equipped(ctx))).To(ContainElement("movable"))
			Expect(rtnetlink.Names(here())).NotTo(ContainElement("movable"))
		})
		for _, as := range []string{"lo", "another"} {
			c.Negative("lo is not, as "+as, func() {
				err := rtnetlink.Move("lo", inside.file, as)
				c.Saw("error", err)
				Expect(err).To(MatchError(unix.EINVAL))
				Expect(rtnetlink.Names(here())).To(ContainElement("lo"))
			})
		}
	})

	property.It("N13", func(ctx SpecContext, c *property.Check) {
		inside := newNamespace(ctx)
		inside.equipped(ctx, device{Name: "taken", Kind: "bridge"})
		here(device{Name: "taken", Kind: "veth", Peer: "free"})
		c.Positive("a device whose name is free there is moved", func() {
			Expect(rtnetlink.Move("free", inside.file, "")).To(Succeed())
			c.Saw("devices there", rtnetlink.Names(inside.equipped(ctx)))
			Expect(rtnetlink.Names(inside.equipped(ctx))).To(ContainElement("free"))
		})
		c.Negative("one whose name is taken there is not, and stays as it is", func() {
			before, err := rtnetlink.Find("taken")
			Expect(err).NotTo(HaveOccurred())
			err = rtnetlink.Move("taken", inside.file, "")
			c.Saw("error", err)
			Expect(err).To(MatchError(unix.EEXIST))
			Expect(rtnetlink.Find("taken")).To(Equal(before))
		})
		c.Positive("it is, if the same request gives it another name", func() {
			Expect(rtnetlink.Move("taken", inside.file, "renamed")).To(Succeed())
			there := inside.equipped(ctx)
			c.Saw("devices there", there)
			Expect(there).To(ContainElements(
				And(HaveField("Name", "taken"), HaveField("Kind", "bridge")), And(HaveField("Name", "renamed"), HaveField("Kind", "veth"))))
			Expect(rtnetlink.Names(here())).NotTo(ContainElement(BeElementOf("taken", "renamed")))
		})
	})
}
