package shop_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// traffic is customers who look at the tea and order it, all the time, each order with a key of its own.
type traffic struct {
	shop      *shop
	cancel    context.CancelFunc
	customers sync.WaitGroup

	mu       sync.Mutex
	ordered  []int // by each of them
	failures []string
}

// letIn lets customers in. They are stopped by stop, or at the end of the spec.
func letIn(s *shop, customers int) *traffic {
	GinkgoHelper()
	Expect(s.customer.fill("everybody", "tea", 1)).To(Succeed())
	ctx, cancel := context.WithCancel(context.Background())
	t := &traffic{shop: s, cancel: cancel, ordered: make([]int, customers)}
	for i := range customers {
		t.customers.Go(func() {
			for ctx.Err() == nil {
				t.count(i, once(s.customer))
			}
		})
	}
	DeferCleanup(t.stop)
	return t
}

// once looks and orders, once.
func once(c *customer) error {
	if status, err := c.look("tea"); err != nil || status != http.StatusOK {
		return fmt.Errorf("look: %d, %w", status, err)
	}
	r, err := c.order(context.Background(), rand.Text(), "everybody")
	if err != nil || r.Status != http.StatusCreated && r.Status != http.StatusOK || !r.Paid {
		return fmt.Errorf("order: %+v, %w", r, err)
	}
	return nil
}

func (t *traffic) count(customer int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.failures = append(t.failures, err.Error())
		return
	}
	t.ordered[customer]++
}

// orders is how many orders were answered well.
func (t *traffic) orders() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return sum(t.ordered)
}

func sum(list []int) (total int) {
	for _, n := range list {
		total += n
	}
	return total
}

// failed are the requests that were not.
func (t *traffic) failed() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failures
}

// goesOn waits until everybody has begun and ended another order, and sees that none failed.
func (t *traffic) goesOn() {
	GinkgoHelper()
	t.mu.Lock()
	before := slices.Clone(t.ordered)
	t.mu.Unlock()
	Eventually(func() (least int) {
		t.mu.Lock()
		defer t.mu.Unlock()
		least = t.ordered[0] - before[0]
		for i := range before {
			least = min(least, t.ordered[i]-before[i])
		}
		return least
	}).Should(BeNumerically(">=", 2), func() string {
		return fmt.Sprintf("the first may have been begun before; failed: %q", t.failed())
	})
	Expect(t.failed()).To(BeEmpty())
}

// holdUp stops every customer in the midst of an order, which is at the bank, until release is called.
func (t *traffic) holdUp() (release func()) {
	GinkgoHelper()
	release = t.shop.bank.hold()
	Eventually(t.shop.bank.held).Should(BeNumerically(">=", len(t.ordered)))
	return release
}

// stop returns when all customers have their last answer.
func (t *traffic) stop() {
	t.cancel()
	t.customers.Wait()
}

// hasShipped sees that no request of customers who have stopped was lost: each order is there, was charged and shipped, once.
func (s *shop) hasShipped(t *traffic) {
	GinkgoHelper()
	Expect(t.failed()).To(BeEmpty())
	db := s.database()
	Expect(count(db, allOrders)()).To(Equal(t.orders()))
	Expect(count(db, paidOrders)()).To(Equal(t.orders()))
	Expect(s.bank.charged()).To(HaveLen(t.orders()))
	Eventually(count(db, shipments)).Should(Equal(t.orders()))
}
