package user

import (
	"strconv"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

func registerCapabilities() {
	property.It("R2", func(ctx SpecContext, c *property.Check) {
		all := allCapabilities()
		// A process that has unshared has executed nothing since, as long as its gate is closed.
		both := func(s nsx.Spec) (before, after string) {
			GinkgoHelper()
			s.How, s.Gate = nsx.Unshare, true
			p, err := nsx.Spawn(ctx, s, whoAmI, nil)
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(p.Close)
			before, err = capabilities(strconv.Itoa(p.PID()))
			Expect(err).NotTo(HaveOccurred())
			Expect(p.OpenGate()).To(Succeed())
			me, err := p.Result()
			Expect(err).NotTo(HaveOccurred())
			c.Saw("before it executes a program", before)
			c.Saw("after that, as user "+strconv.Itoa(me.UID), me.Capabilities)
			return before, me.Capabilities
		}
		c.Positive("user 0 of the namespace has all of them before and after", func() {
			before, after := both(nsx.Spec{}.AsRoot())
			Expect(before).To(Equal(all))
			Expect(after).To(Equal(all))
		})
		c.Negative("who has no id loses all of them", func() {
			before, after := both(nsx.Spec{Kinds: nsx.User})
			Expect(before).To(Equal(all))
			Expect(after).To(Equal(none))
		})
		c.Negative("so does every other user than 0", func() {
			seven := 7
			ids := []nsx.IDMap{{Inside: seven, Outside: 0, Count: 1}}
			before, after := both(nsx.Spec{Kinds: nsx.User, UIDMaps: ids, GIDMaps: ids, UID: &seven, GID: &seven})
			Expect(before).To(Equal(all))
			Expect(after).To(Equal(none))
		})
	})
}
