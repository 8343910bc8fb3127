package microservices_test

import (
	"net/http"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("When the network fails", func() {
	var shop *shop
	// Views that were asked for while the network was cut may have arrived afterwards, and are counted.
	fresh := And(HaveField("Status", http.StatusOK), HaveField("Name", "Green tea"), HaveField("Stale", false), HaveField("Views", BeNumerically(">=", 2)))

	BeforeEach(func() {
		// What is silent is waited for, but not for long.
		shop = startShop(nstest.Current(), nil, []string{"--store=kv:6379", "--store-timeout=1500ms"}, []string{"--attempts=1", "--timeout=3s"})
		Expect(shop.stock("tea", "Green tea")).To(Equal(http.StatusNoContent))
		Expect(shop.view("tea")).To(Equal(answer{Status: http.StatusOK, Name: "Green tea", Views: 1}))
	})

	It("between API and store, customers see the last answer until it is healed", func() {
		By("cutting api and kv from each other")
		partition := shop.env.Partition([]*nstest.Host{shop.api.host}, []*nstest.Host{shop.kv.host})
		Expect(shop.view("tea")).To(Equal(answer{Status: http.StatusOK, Name: "Green tea", Views: 1, Stale: true}))
		Expect(shop.apiStatus("tea")).To(Equal(http.StatusServiceUnavailable))

		By("reaching kv from elsewhere: only these two are apart")
		Expect(shop.store("PING")).To(Equal("PONG"))

		By("healing the network")
		partition.Heal()
		Expect(shop.view("tea")).To(fresh)
	})

	It("at the API's cable, customers see the last answer until it is plugged in again", func() {
		By("pulling the cable of api")
		Expect(shop.api.host.Link("").Down()).To(Succeed())
		Expect(shop.view("tea")).To(Equal(answer{Status: http.StatusOK, Name: "Green tea", Views: 1, Stale: true}))

		By("plugging it in again")
		Expect(shop.api.host.Link("").Up()).To(Succeed())
		Eventually(shop.view).WithArguments("tea").Should(fresh)
	})
})
