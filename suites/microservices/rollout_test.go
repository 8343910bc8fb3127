package microservices_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("A rolling restart of two APIs", func() {
	It("fails no request", func() {
		env := nstest.Current()
		apis := []*service{
			newService(env.Host("api-1"), 80, "api", patientAPI...),
			newService(env.Host("api-2"), 80, "api", patientAPI...),
		}
		shop := &shop{
			env:      env,
			kv:       newService(env.Host("kv"), 6379, "kv"),
			frontend: newService(env.Host("web"), 80, "frontend", "--api=http://api-1,http://api-2", "--timeout=15s"),
			customer: env.Host("customer"),
		}
		for _, s := range append(apis, shop.kv, shop.frontend) {
			s.start()
		}
		Expect(shop.store("SET", "product:tea", "Green tea")).To(Equal("OK"))

		By("letting four customers ask all the time")
		var traffic traffic
		traffic.start(shop, 4)
		Eventually(traffic.answered).Should(BeNumerically(">", 20))

		for _, api := range apis {
			By("stopping " + api.host.Name() + ", and starting it again after more requests")
			api.stop()
			Eventually(traffic.answered).Should(BeNumerically(">", traffic.answered()+20))
			api.start()
			Eventually(traffic.answered).Should(BeNumerically(">", traffic.answered()+20))
		}
		traffic.stop()
		Expect(traffic.failures).To(BeEmpty())
	})
})

// traffic is customers who ask for tea all the time.
type traffic struct {
	cancel    context.CancelFunc
	customers sync.WaitGroup

	mu       sync.Mutex
	requests int
	failures []string
}

func (t *traffic) start(shop *shop, customers int) {
	var ctx context.Context
	ctx, t.cancel = context.WithCancel(context.Background())
	for range customers {
		t.customers.Go(func() {
			for ctx.Err() == nil {
				a, err := shop.view("tea")
				t.count(a, err)
			}
		})
	}
	DeferCleanup(t.stop)
}

func (t *traffic) count(a answer, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.requests++
	if err != nil || a.Status != http.StatusOK || a.Stale {
		t.failures = append(t.failures, fmt.Sprintf("request %d: %+v, %v", t.requests, a, err))
	}
}

func (t *traffic) answered() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.requests
}

func (t *traffic) stop() {
	t.cancel()
	t.customers.Wait()
}
