package shop_test

import (
	"context"
	"fmt"
	"net/http"
	"syscall"

	"github.com/hermetic-go/nstest/suites/microservices/shop/internal/events"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("A warehouse that is slow", func() {
	It("has the shop refuse orders, rather than pile them up", func() {
		const backlog = 10
		s := open(plan{flags: map[string][]string{"orders": {fmt.Sprint("--backlog=", backlog)}}})
		Expect(s.customer.fill("alice", "tea", 1)).To(Succeed())

		By("stopping the warehouse in the midst of its work, and ordering all the same")
		s.warehouse.signal(syscall.SIGSTOP)
		taken := 0
		order := func() (receipt, error) {
			r, err := s.customer.order(context.Background(), fmt.Sprint("alice-", taken), "alice")
			if r.Status == http.StatusCreated {
				taken++
			}
			return r, err
		}
		for range 2 * (backlog + events.Limit) {
			Expect(order()).To(Or(HaveField("Status", http.StatusCreated), And(
				HaveField("Status", http.StatusServiceUnavailable), HaveField("RetryAfter", "1"))))
		}
		Expect(taken).To(BeNumerically(">=", backlog))
		Expect(taken).To(BeNumerically("<=", backlog+events.Limit))
		Expect(s.bank.charged()).To(HaveLen(taken), "who is refused is not charged")
		Eventually(func() string { return s.orders[0].process.Output() + s.orders[1].process.Output() }).Should(ContainSubstring("too many orders wait for the warehouse"))

		By("letting the warehouse go on: it has all of them, and orders are taken again")
		s.warehouse.signal(syscall.SIGCONT)
		Eventually(order).Should(HaveField("Status", http.StatusCreated))
		Eventually(count(s.database(), shipments)).Should(Equal(taken))
		Expect(s.bank.charged()).To(HaveLen(taken))
	})
})
