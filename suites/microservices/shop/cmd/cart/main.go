// Command cart keeps what customers have put into their carts, in Redis, for a day.
//
//	GET /carts/{cart}         {"tea": 2}
//	PUT /carts/{cart}/{sku}   {"quantity": 2}
package main

import (
	"context"
	"encoding/json"
	"flag"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hermetic-go/nstest/suites/microservices/internal/service"
	"github.com/redis/go-redis/v9"
)

func main() { service.Main("cart", run) }

func run(ctx context.Context, log *slog.Logger, args []string) error {
	flags := flag.NewFlagSet("cart", flag.ContinueOnError)
	listen := flags.String("listen", ":80", "`address` to listen on")
	addrs := flags.String("redis", "redis:6379", "comma-separated `addresses` of Redis, or of its sentinels")
	master := flags.String("master", "", "`name` by which the sentinels know the master; without it there are no sentinels")
	if err := flags.Parse(args); err != nil {
		return err
	}
	client := redis.NewUniversalClient(&redis.UniversalOptions{
		Addrs: strings.Split(*addrs, ","), MasterName: *master,
		DialTimeout: time.Second, ReadTimeout: time.Second, ContextTimeoutEnabled: true,
	})
	defer client.Close()
	return service.ServeHTTP(ctx, log, *listen, (&carts{log, client}).handler())
}

// lifetime is how long a cart is kept after it was changed.
const lifetime = 24 * time.Hour

// carts answers requests about carts.
type carts struct {
	log   *slog.Logger
	redis redis.UniversalClient
}

func (c *carts) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /carts/{cart}", c.get)
	mux.HandleFunc("PUT /carts/{cart}/{sku}", c.put)
	return mux
}

func (c *carts) get(w http.ResponseWriter, r *http.Request) {
	fields, err := c.redis.HGetAll(r.Context(), "cart:"+r.PathValue("cart")).Result()
	if err != nil {
		c.closed(w, err)
		return
	}
	items := map[string]int{}
	for sku, quantity := range fields {
		items[sku], _ = strconv.Atoi(quantity) // put has written it
	}
	service.WriteJSON(w, http.StatusOK, items)
}

func (c *carts) put(w http.ResponseWriter, r *http.Request) {
	var body struct{ Quantity int }
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&body); err != nil || body.Quantity < 1 {
		service.WriteError(w, http.StatusBadRequest, `the body has to be {"quantity": 1}`)
		return
	}
	key := "cart:" + r.PathValue("cart")
	_, err := c.redis.TxPipelined(r.Context(), func(tx redis.Pipeliner) error {
		tx.HSet(r.Context(), key, r.PathValue("sku"), body.Quantity)
		tx.Expire(r.Context(), key, lifetime)
		return nil
	})
	if err != nil {
		c.closed(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (c *carts) closed(w http.ResponseWriter, err error) {
	c.log.Warn("redis", "error", err)
	service.WriteError(w, http.StatusServiceUnavailable, "carts cannot be found for a moment")
}
