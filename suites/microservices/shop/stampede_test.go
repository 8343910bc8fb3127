package shop_test

import (
	"database/sql"
	"encoding/json"
	"net/http"
	"sync"

	"github.com/hermetic-go/nstest/suites/microservices/shop/internal/database"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("A product that has just left the cache, and that a hundred customers want", func() {
	DescribeTable("is asked for",
		func(flag string, waiters int, queries OmegaMatcher) {
			s := open(plan{flags: map[string][]string{"catalog": {flag}}})
			db := s.database()
			Expect(db.Exec(`CREATE EXTENSION pg_stat_statements`)).Error().NotTo(HaveOccurred())

			By("holding up the database, until all hundred wait for it")
			holdup, err := db.Begin()
			Expect(err).NotTo(HaveOccurred())
			defer holdup.Rollback()
			Expect(holdup.Exec(`LOCK TABLE products`)).Error().NotTo(HaveOccurred())
			statuses := make(chan int, 100)
			var customers sync.WaitGroup
			for range cap(statuses) {
				customers.Go(func() {
					status, _ := s.customer.look("tea")
					statuses <- status
				})
			}
			Eventually(s.waiting).Should(Equal(cap(statuses)))
			Eventually(count(db, `SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'`)).Should(Equal(waiters))

			By("letting it go on")
			Expect(holdup.Commit()).To(Succeed())
			customers.Wait()
			close(statuses)
			Expect(statuses).To(HaveLen(100))
			for status := range statuses {
				Expect(status).To(Equal(http.StatusOK))
			}
			Expect(lookups(db)()).To(queries)
		},
		Entry("once", "--share", 1, Equal(1)),
		Entry("again and again, if they do not share the answer", "--share=false", database.Connections, BeNumerically(">=", database.Connections)),
	)
})

// lookups is how many queries for a product there were.
func lookups(db *sql.DB) func() (int, error) {
	return count(db, `SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE query LIKE 'SELECT sku, name, price FROM products%'`)
}

// waiting is how many requests the catalog is answering.
func (s *shop) waiting() (int, error) {
	response, err := s.env.Self().HTTPClient().Get("http://catalog/debug/vars")
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	var vars struct{ Waiting int }
	err = json.NewDecoder(response.Body).Decode(&vars)
	return vars.Waiting, err
}
