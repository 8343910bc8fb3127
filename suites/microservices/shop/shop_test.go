package shop_test

import (
	"cmp"

	"github.com/hermetic-go/nstest/fixtures/ca"
	"github.com/hermetic-go/nstest/fixtures/nats"
	"github.com/hermetic-go/nstest/fixtures/nginx"
	"github.com/hermetic-go/nstest/fixtures/postgres"
	"github.com/hermetic-go/nstest/fixtures/redis"
	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// shopDatabase is the shop's PostgreSQL, which counts queries.
var shopDatabase = postgres.Config{Database: "shop", Settings: map[string]string{"shared_preload_libraries": "pg_stat_statements"}}

// A plan is how a shop differs from the usual one. The zero value does not.
type plan struct {
	orders string              // the program of the service orders; default: the newest release
	flags  map[string][]string // of services, by name
}

// A shop is all that is on the whiteboard.
type shop struct {
	env       *nstest.Env
	authority *ca.CA
	bank      *bank
	postgres  *postgres.Server
	redis     *redis.Server
	nats      *nats.Server

	catalog, cart, warehouse *service
	orders, storefronts      []*service

	customer *customer
}

// open opens a shop in the spec's environment, with which it ends:
//
//	browser ── shop.example ──┬─ storefront-1 ─┬─ catalog ── redis, postgres
//	           (nginx, HTTPS) └─ storefront-2  ├─ cart ── redis
//	                                           └─ orders-1, orders-2 ── postgres, bank.example, nats ── warehouse ── postgres
func open(p plan) *shop {
	GinkgoHelper()
	t, env := GinkgoTB(), nstest.Current()
	s := &shop{env: env, authority: ca.New(t, env, ca.Config{})}
	s.bank = newBank(s.authority, env.Host("bank.example")) // somebody else's, on the internet

	s.postgres = postgres.New(t, env.Host("postgres"), shopDatabase)
	s.redis = redis.New(t, env.Host("redis"), redis.Config{})
	s.nats = nats.New(t, env.Host("nats"), nats.Config{JetStream: true})

	// The services find all of these, and each other, by name.
	s.catalog = start(env.Host("catalog"), "catalog", p.flags["catalog"]...)
	s.cart = start(env.Host("cart"), "cart", p.flags["cart"]...)
	s.warehouse = start(env.Host("warehouse"), "warehouse")
	for _, name := range []string{"orders-1", "orders-2"} {
		s.orders = append(s.orders, start(env.Host(name), cmp.Or(p.orders, "orders"), p.flags["orders"]...))
	}
	for _, name := range []string{"storefront-1", "storefront-2"} {
		s.storefronts = append(s.storefronts, start(env.Host(name), "storefront"))
	}

	// Both storefronts are asked whatever happened a moment ago, and orders too can be asked for twice: they have keys.
	nginx.New(t, env.Host("shop.example"), nginx.Config{Sites: []nginx.Site{{
		Certificate: s.authority.Certificate("shop.example"),
		Upstreams:   []string{"storefront-1 max_fails=0", "storefront-2 max_fails=0"},
		Directives:  "proxy_next_upstream error timeout non_idempotent; proxy_connect_timeout 1s;",
	}}})

	s.customer = &customer{s.authority.HTTPClient(env.Host("browser")), "https://shop.example"}
	Expect(s.stock("tea", "Green tea", 450)).To(Succeed())
	return s
}
