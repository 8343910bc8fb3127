package shop_test

import (
	"context"
	"net/http"
	"sync"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("The same order twice", func() {
	var s *shop

	BeforeEach(func() {
		s = open(plan{})
		Expect(s.customer.fill("alice", "tea", 2)).To(Succeed())
	})

	// isOne sees that the order was placed, paid, and shipped once.
	isOne := func(id string) {
		GinkgoHelper()
		Expect(s.bank.charged()).To(Equal(map[string]int{id: 900}))
		db := s.database()
		Expect(count(db, allOrders)()).To(Equal(1))
		Eventually(count(db, shipments)).Should(Equal(1))
		Eventually(count(db, `SELECT count(*) FROM outbox`)).Should(BeZero())
	}

	It("is one, and with another key it is another", func() {
		first, err := s.customer.order(context.Background(), "alice-1", "alice")
		Expect(err).NotTo(HaveOccurred())
		Expect(first.Status).To(Equal(http.StatusCreated))
		Expect(s.customer.order(context.Background(), "alice-1", "alice")).To(And(
			HaveField("Status", http.StatusOK), HaveField("ID", first.ID), HaveField("Total", 900)))
		isOne(first.ID)

		Expect(s.customer.order(context.Background(), "alice-2", "alice")).To(And(
			HaveField("Status", http.StatusCreated), HaveField("ID", Not(Equal(first.ID)))))
	})

	It("at the same time is one", func() {
		release := s.bank.hold()
		receipts := make([]receipt, 10)
		var impatient sync.WaitGroup
		for i := range receipts {
			impatient.Go(func() {
				defer GinkgoRecover()
				var err error
				receipts[i], err = s.customer.order(context.Background(), "alice-1", "alice")
				Expect(err).NotTo(HaveOccurred())
			})
		}
		By("waiting until all ten are at the bank")
		Eventually(s.bank.held).Should(BeNumerically(">=", 10))
		release()
		impatient.Wait()

		Expect(receipts).To(HaveEach(HaveField("ID", receipts[0].ID)))
		var fresh []receipt
		Expect(receipts).To(ContainElement(HaveField("Status", http.StatusCreated), &fresh))
		Expect(fresh).To(HaveLen(1))
		isOne(receipts[0].ID)
	})

	DescribeTable("is one, if the first answer was lost",
		func(cut func(*shop) (mend func())) {
			By("ordering, and losing the connection while the bank charges")
			release := s.bank.hold()
			browser, close := context.WithCancel(context.Background())
			answered := make(chan error, 1)
			go func() {
				_, err := s.customer.order(browser, "alice-1", "alice")
				answered <- err
			}()
			Eventually(s.bank.held).Should(BeNumerically(">", 0))
			mend := cut(s)
			release()
			Eventually(count(s.database(), paidOrders)).Should(Equal(1))

			By("closing the browser, in which nothing has come")
			Expect(answered).NotTo(Receive())
			close()
			Eventually(answered).Should(Receive(MatchError(context.Canceled)))

			By("ordering again")
			mend()
			var again receipt
			Eventually(func() (receipt, error) {
				var err error
				again, err = s.customer.order(context.Background(), "alice-1", "alice")
				return again, err
			}).Should(HaveField("Status", http.StatusOK))
			isOne(again.ID)
		},
		Entry("because the customer's cable was pulled", func(s *shop) func() {
			cable := s.env.Host("browser").Link("")
			Expect(cable.Down()).To(Succeed())
			return func() { Expect(cable.Up()).To(Succeed()) }
		}),
		Entry("because the network of the shop fell apart", func(s *shop) func() {
			return s.env.Partition(hosts(s.storefronts), hosts(s.orders)).Heal
		}),
	)
})

// hosts are those of services.
func hosts(services []*service) (hosts []*nstest.Host) {
	for _, s := range services {
		hosts = append(hosts, s.host)
	}
	return hosts
}
