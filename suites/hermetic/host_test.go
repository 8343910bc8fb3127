package hermetic_test

import (
	"fmt"
	"sync"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("A host that several goroutines ask for at once", func() {
	It("is one", func() {
		env := nstest.Current()
		const names, each = 4, 8
		var hosts [names][each]*nstest.Host
		var asked sync.WaitGroup
		for i := range names {
			for j := range each {
				asked.Go(func() {
					defer GinkgoRecover()
					hosts[i][j] = env.Host(fmt.Sprint("web", i))
				})
			}
		}
		asked.Wait()
		for i := range names {
			Expect(hosts[i]).To(HaveEach(BeIdenticalTo(env.Host(fmt.Sprint("web", i)))))
		}
		Expect(env.Network("").Hosts()).To(HaveLen(names + 1))
	})
})

var _ = Describe("A network that several goroutines ask for at once", func() {
	It("is one", func() {
		env := nstest.Current()
		var networks [8]*nstest.Network
		var asked sync.WaitGroup
		for i := range networks {
			asked.Go(func() {
				defer GinkgoRecover()
				networks[i] = env.Network("dmz")
			})
		}
		asked.Wait()
		Expect(networks).To(HaveEach(BeIdenticalTo(env.Network("dmz"))))
	})
})
