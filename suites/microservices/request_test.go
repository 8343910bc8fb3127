package microservices_test

import (
	"net/http"

	"github.com/hermetic-go/nstest/suites/internal/require"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("A request", func() {
	var shop *shop

	BeforeEach(func() { shop = openShop() })

	It("goes through all three services", func() {
		By("putting tea on the shelf: customer → api → kv")
		Expect(shop.stock("tea", "Green tea")).To(Equal(http.StatusNoContent))

		By("looking at it twice: customer → web → api → kv")
		Expect(shop.view("tea")).To(Equal(answer{Status: http.StatusOK, Name: "Green tea", Views: 1}))
		Expect(shop.view("tea")).To(Equal(answer{Status: http.StatusOK, Name: "Green tea", Views: 2}))

		By("finding both views counted in the store: customer → kv")
		Expect(shop.store("GET", "views:tea")).To(Equal("2"))
	})

	It("for a product that does not exist is answered with 404", func() {
		Expect(shop.view("coffee")).To(HaveField("Status", http.StatusNotFound))
	})

	It("of a browser gets a web page", func() {
		Expect(shop.stock("tea", "Tea & biscuits")).To(Equal(http.StatusNoContent))
		response, err := shop.customer.HTTPClient().Get("http://web/products/tea")
		Expect(err).NotTo(HaveOccurred())
		defer response.Body.Close()
		Expect(response).To(HaveHTTPHeaderWithValue("Content-Type", "text/html; charset=utf-8"))
		Expect(response).To(HaveHTTPBody(ContainSubstring("<h1>Tea &amp; biscuits</h1>")))
	})

	It("of the machine's own curl gets there too", func() {
		curl := require.Program("curl")
		Expect(shop.stock("tea", "Green tea")).To(Equal(http.StatusNoContent))
		output, err := shop.customer.Command(curl, "--silent", "--show-error", "--fail", "http://web/products/tea").CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), "%s", output)
		Expect(string(output)).To(ContainSubstring("<h1>Green tea</h1>"))
	})
})
