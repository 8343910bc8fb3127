package shop_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("A rolling restart", func() {
	It("loses no request", func() {
		s := open(plan{})
		customers := letIn(s, 4)
		customers.goesOn()
		for _, instance := range slices.Concat(s.storefronts, s.orders) {
			By("stopping " + instance.host.Name() + ", and starting it again after more orders")
			instance.stop()
			customers.goesOn()
			instance.again(instance.program)
			customers.goesOn()
		}
		customers.stop()
		s.hasShipped(customers)
	})

	It("lets a service finish what it has begun", func() {
		s := open(plan{})
		Expect(s.customer.fill("alice", "tea", 1)).To(Succeed())
		for _, instance := range []*service{s.storefronts[0], s.orders[0]} {
			name := instance.host.Name()
			By("sending SIGTERM to " + name + " while it has an order under way")
			release := s.bank.hold()
			answer := make(chan receipt, 1)
			go func() {
				defer GinkgoRecover()
				direct := &customer{s.env.Self().HTTPClient(), "http://" + name}
				r, err := direct.order(context.Background(), name, "alice")
				Expect(err).NotTo(HaveOccurred())
				answer <- r
			}()
			Eventually(s.bank.held).Should(BeNumerically(">", 0))
			instance.signal(syscall.SIGTERM)

			By("seeing that it takes no further one, and answers that")
			Eventually(func() error {
				conn, err := instance.host.DialContext(context.Background(), "tcp", "localhost:80")
				if err == nil {
					conn.Close()
				}
				return err
			}).Should(MatchError(syscall.ECONNREFUSED))
			Expect(answer).NotTo(Receive())
			release()
			Eventually(answer).Should(Receive(HaveField("Status", http.StatusCreated)))
			instance.ends()
		}
	})

	It("from one release to the next migrates the schema under both", func() {
		s := open(plan{orders: "orders-v1"})
		db := s.database()
		customers := letIn(s, 4)
		customers.goesOn()

		By("starting the new release while somebody reads the table for long")
		report, err := db.Begin()
		Expect(err).NotTo(HaveOccurred())
		defer report.Rollback()
		Expect(report.Exec(`LOCK TABLE orders IN ACCESS SHARE MODE`)).Error().NotTo(HaveOccurred())
		s.orders[1].stop()
		s.orders[1].program = "orders"
		s.orders[1].launch()
		Eventually(s.orders[1].process.Output).Should(ContainSubstring("migration waits"))
		customers.goesOn()
		Expect(report.Commit()).To(Succeed())
		s.orders[1].ready()

		By("seeing that both releases serve, and read each other's orders")
		customers.goesOn()
		releases := []*customer{{s.env.Self().HTTPClient(), "http://orders-1"}, {s.env.Self().HTTPClient(), "http://orders-2"}}
		for i, note := range []string{"", "Ring twice."} { // the old release does not know notes
			order, err := releases[i].order(context.Background(), fmt.Sprint("release-", i+1), "everybody")
			Expect(err).NotTo(HaveOccurred())
			Expect(order).To(And(HaveField("Status", http.StatusCreated), HaveField("Note", note)))
			Expect(releases[0].remember(order.ID)).To(And(HaveField("Items", order.Items), HaveField("Note", "")))
			Expect(releases[1].remember(order.ID)).To(And(HaveField("Items", order.Items), HaveField("Note", note)))
		}

		By("replacing the other instance")
		s.orders[0].stop()
		s.orders[0].again("orders")
		customers.goesOn()
		Expect(releases[0].order(context.Background(), "release-2", "everybody")).To(HaveField("Note", "Ring twice."))
		customers.stop()
		Expect(customers.failed()).To(BeEmpty())

		By("changing the schema in a way that the release does not know: now customers notice")
		customers = letIn(s, 1)
		Expect(db.Exec(`ALTER TABLE orders RENAME COLUMN note TO remark`)).Error().NotTo(HaveOccurred())
		Eventually(customers.failed).ShouldNot(BeEmpty())
	})
})
