package shop_test

import (
	"context"
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("When the payment provider fails", func() {
	var s *shop

	BeforeEach(func() {
		s = open(plan{})
		Expect(s.customer.fill("alice", "tea", 2)).To(Succeed())
	})

	It("it is asked again, ever more slowly, until it answers", func() {
		s.bank.next(out, out, out)
		Expect(s.customer.order(context.Background(), "alice-1", "alice")).To(HaveField("Status", http.StatusCreated))
		Expect(s.bank.charged()).To(HaveLen(1))

		asked := s.bank.times()
		Expect(asked).To(HaveLen(4))
		for i, pause := range []time.Duration{50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond} {
			Expect(asked[i+1].Sub(asked[i])).To(BeNumerically(">=", pause), "before attempt %d", i+2)
		}
	})

	It("after it has charged, the customer pays once", func() {
		s.bank.next(silent)
		order, err := s.customer.order(context.Background(), "alice-1", "alice")
		Expect(err).NotTo(HaveOccurred())
		Expect(order.Status).To(Equal(http.StatusCreated))
		Expect(s.bank.requests()).To(Equal(2))
		Expect(s.bank.charged()).To(Equal(map[string]int{order.ID: 900}))
	})

	It("for good, the customer is told when to come back, and does", func() {
		s.bank.next(out, out, out, out, out)
		Expect(s.customer.order(context.Background(), "alice-1", "alice")).To(And(
			HaveField("Status", http.StatusServiceUnavailable), HaveField("RetryAfter", "1")))
		Expect(s.bank.requests()).To(Equal(5), "nobody on the way asks again behind the others' backs")
		Expect(s.bank.charged()).To(BeEmpty())

		Expect(s.customer.order(context.Background(), "alice-1", "alice")).To(HaveField("Status", http.StatusCreated))
		Expect(s.bank.charged()).To(HaveLen(1))
	})

	It("for a reason, it is not asked again", func() {
		s.bank.next(strict)
		Expect(s.customer.order(context.Background(), "alice-1", "alice")).To(HaveField("Status", http.StatusPaymentRequired))
		Expect(s.bank.requests()).To(Equal(1))
	})
})
