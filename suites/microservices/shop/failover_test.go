package shop_test

import (
	"context"
	"slices"
	"time"

	"github.com/hermetic-go/nstest/fixtures/redis"
	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	client "github.com/redis/go-redis/v9"
)

var _ = Describe("Failover", func() {
	It("to a replica of Redis keeps the carts", func() {
		s := open(plan{flags: map[string][]string{"cart": {"--redis=sentinel-1:26379,sentinel-2:26379,sentinel-3:26379", "--master=carts"}}})
		By("adding a replica, and three sentinels who watch")
		replica := redis.New(GinkgoTB(), s.env.Host("redis-2"), redis.Config{ReplicaOf: s.redis})
		heir := client.NewClient(&client.Options{Addr: replica.Addr()})
		DeferCleanup(heir.Close)
		info := func(ctx context.Context) (string, error) { return heir.Info(ctx, "replication").Result() }
		Eventually(info).WithContext(context.Background()).Should(ContainSubstring("master_link_status:up"))
		sentinels := []*nstest.Host{s.env.Host("sentinel-1"), s.env.Host("sentinel-2"), s.env.Host("sentinel-3")}
		redis.NewSentinels(GinkgoTB(), s.redis, sentinels, redis.SentinelConfig{Name: "carts", DownAfter: 2 * time.Second})

		By("filling a cart, of which the replica hears")
		Expect(s.customer.fill("alice", "tea", 2)).To(Succeed())
		Eventually(heir.HGet(context.Background(), "cart:alice", "tea").Result).Should(Equal("2"))

		By("killing the master")
		Expect(s.redis.Kill()).To(Succeed())
		Eventually(s.customer.cart).WithArguments("alice").Should(Equal(map[string]int{"tea": 2}))
		Eventually(func() error { return s.customer.fill("alice", "tea", 3) }).Should(Succeed())
		Eventually(s.customer.cart).WithArguments("alice").Should(Equal(map[string]int{"tea": 3}))
		Expect(info(context.Background())).To(ContainSubstring("role:master"))
	})

	It("to the other instance loses nothing of what a killed one was doing", func() {
		s := open(plan{})
		customers := letIn(s, 4)
		customers.goesOn()
		for _, victim := range slices.Concat(s.storefronts, s.orders) {
			By("killing " + victim.host.Name() + " with SIGKILL while every customer has an order under way")
			release := customers.holdUp()
			victim.crash()
			release()
			customers.goesOn()
			victim.again(victim.program)
			customers.goesOn() // who has asked the dead one, and then another, has nobody else to ask
		}
		customers.stop()
		s.hasShipped(customers)
	})
})
