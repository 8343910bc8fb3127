package microservices_test

import (
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("When the store crashes", func() {
	DescribeTable("the API answers 503 until it is back",
		func(statusAfterwards int, flags ...string) {
			shop := openShop(flags...)
			Expect(shop.stock("tea", "Green tea")).To(Equal(http.StatusNoContent))
			Expect(shop.apiStatus("tea")).To(Equal(http.StatusOK))

			By("killing kv with SIGKILL")
			shop.kv.crash()
			Expect(shop.apiStatus("tea")).To(Equal(http.StatusServiceUnavailable))

			By("starting kv again on the same host")
			shop.kv.start()
			Expect(shop.apiStatus("tea")).To(Equal(statusAfterwards))

			By("putting something new on the shelf")
			Expect(shop.stock("coffee", "Espresso")).To(Equal(http.StatusNoContent))
			Expect(shop.view("coffee")).To(Equal(answer{Status: http.StatusOK, Name: "Espresso", Views: 1}))
		},
		Entry("with its data lost, which was in memory alone", http.StatusNotFound),
		Entry("with its data, which it keeps in a file", http.StatusOK, "--append-only=/tmp/kv.aof"),
	)
})

var _ = Describe("When the API crashes", func() {
	It("customers see the last answer, and nothing of what was never asked for", func() {
		shop := openShop()
		Expect(shop.stock("tea", "Green tea")).To(Equal(http.StatusNoContent))
		Expect(shop.stock("coffee", "Espresso")).To(Equal(http.StatusNoContent))
		Expect(shop.view("tea")).To(Equal(answer{Status: http.StatusOK, Name: "Green tea", Views: 1}))

		By("killing the API with SIGKILL")
		shop.api.crash()
		Expect(shop.view("tea")).To(Equal(answer{Status: http.StatusOK, Name: "Green tea", Views: 1, Stale: true}))
		Expect(shop.view("coffee")).To(HaveField("Status", http.StatusServiceUnavailable))

		By("starting it again")
		shop.api.start()
		Expect(shop.view("tea")).To(Equal(answer{Status: http.StatusOK, Name: "Green tea", Views: 2}))
		Expect(shop.view("coffee")).To(Equal(answer{Status: http.StatusOK, Name: "Espresso", Views: 1}))
	})
})
