package shop_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/hermetic-go/nstest/fixtures/ca"
	"github.com/hermetic-go/nstest/suites/internal/require"
	"github.com/hermetic-go/nstest/suites/microservices/shop/internal/events"
	client "github.com/nats-io/nats.go"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("An order", func() {
	It("goes from the browser to the warehouse", func() {
		s := open(plan{})
		listener, err := client.Connect(s.nats.URL())
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(listener.Close)
		heard, err := listener.SubscribeSync("orders.>")
		Expect(err).NotTo(HaveOccurred())
		Expect(listener.Flush()).To(Succeed())

		By("looking at the tea, putting two into the cart, and ordering, at https://shop.example")
		Expect(s.customer.look("tea")).To(Equal(http.StatusOK))
		Expect(s.customer.look("coffee")).To(Equal(http.StatusNotFound))
		Expect(s.customer.fill("alice", "tea", 2)).To(Succeed())
		order, err := s.customer.order(context.Background(), "alice-1", "alice")
		Expect(err).NotTo(HaveOccurred())
		Expect(order).To(And(HaveField("Status", http.StatusCreated), HaveField("Total", 900), HaveField("Paid", true)))

		By("finding it at the bank, in the database, on the bus and in the warehouse")
		Expect(s.bank.charged()).To(Equal(map[string]int{order.ID: 900}))
		Expect(s.customer.remember(order.ID)).To(And(HaveField("Items", order.Items), HaveField("Note", "Ring twice.")))
		event, err := heard.NextMsg(30 * time.Second)
		Expect(err).NotTo(HaveOccurred())
		var told events.Order
		Expect(json.Unmarshal(event.Data, &told)).To(Succeed())
		Expect(told).To(Equal(events.Order{ID: order.ID, Items: map[string]int{"tea": 2}}))
		Eventually(s.env.Self().HTTPClient().Get).WithArguments("http://warehouse/shipments/" + order.ID).
			Should(And(HaveHTTPStatus(http.StatusOK), HaveHTTPBody(MatchJSON(`{"tea": 2}`))))
	})

	It("is taken from browsers that see whom they speak to", func() {
		s := open(plan{})
		browser := s.env.Host("browser")

		By("asking with the machine's own curl, which trusts the authority")
		output, err := browser.Command(require.Program("curl"), "--silent", "--show-error", "--fail", "https://shop.example/products/tea").CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), string(output))
		Expect(output).To(MatchJSON(`{"sku": "tea", "name": "Green tea", "price": 450}`))

		By("asking with a browser that trusts somebody else")
		stranger := ca.New(GinkgoTB(), s.env, ca.Config{Untrusted: true})
		_, err = stranger.HTTPClient(browser).Get("https://shop.example/products/tea")
		var unknown x509.UnknownAuthorityError
		Expect(errors.As(err, &unknown)).To(BeTrue(), "%v", err)

		By("asking for another name at the same address")
		Expect(s.env.DNS().Replace("cheap.example CNAME shop.example")).To(Succeed())
		_, err = s.customer.http.Get("https://cheap.example/products/tea")
		var wrong x509.HostnameError
		Expect(errors.As(err, &wrong)).To(BeTrue(), "%v", err)
	})
})
