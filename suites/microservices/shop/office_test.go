package shop_test

import (
	"database/sql"
	"fmt"
	"net/http"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// What the people of the shop do, who are inside: the spec itself is on its network.

// stock puts a product on the shelf.
func (s *shop) stock(sku, name string, price int) error {
	body := fmt.Sprintf(`{"name": %q, "price": %d}`, name, price)
	request, err := http.NewRequest(http.MethodPut, "http://catalog/products/"+sku, strings.NewReader(body))
	if err != nil {
		return err
	}
	response, err := s.env.Self().HTTPClient().Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusNoContent {
		return fmt.Errorf("the answer is %s", response.Status)
	}
	return nil
}

// database is a pool of connections, which ends with the spec.
func (s *shop) database() *sql.DB {
	GinkgoHelper()
	db, err := sql.Open("pgx", s.postgres.DSN())
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(db.Close)
	return db
}

// count is the answer to a query that counts, for Eventually.
func count(db *sql.DB, query string, args ...any) func() (int, error) {
	return func() (n int, err error) {
		err = db.QueryRow(query, args...).Scan(&n)
		return n, err
	}
}

// The queries that most specs ask.
const (
	paidOrders = `SELECT count(*) FROM orders WHERE paid`
	allOrders  = `SELECT count(*) FROM orders`
	shipments  = `SELECT count(*) FROM shipments`
)
