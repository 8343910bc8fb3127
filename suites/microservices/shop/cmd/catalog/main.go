// Command catalog knows what the shop sells. It keeps the products in PostgreSQL, and those that were asked for in Redis for
// a minute.
//
//	GET /products/{sku}   200 {"sku": "tea", "name": "Green tea", "price": 450}, or 404
//	PUT /products/{sku}   {"name": "Green tea", "price": 450}
//	GET /debug/vars       "waiting" is how many requests for products are being answered
package main

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"expvar"
	"flag"
	"log/slog"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/singleflight"

	"github.com/hermetic-go/nstest/suites/microservices/internal/service"
	"github.com/hermetic-go/nstest/suites/microservices/shop/internal/database"
)

func main() { service.Main("catalog", run) }

//go:embed migrations
var migrations embed.FS

func run(ctx context.Context, log *slog.Logger, args []string) error {
	flags := flag.NewFlagSet("catalog", flag.ContinueOnError)
	listen := flags.String("listen", ":80", "`address` to listen on")
	dsn := flags.String("database", "postgres://postgres@postgres/shop?sslmode=disable", "`URL` of PostgreSQL")
	cache := flags.String("redis", "redis:6379", "`address` of Redis")
	c := &catalog{log: log}
	flags.BoolVar(&c.share, "share", true, "have those who want the same product at the same time share one query")
	if err := flags.Parse(args); err != nil {
		return err
	}
	db, err := database.Open(ctx, log, *dsn, "catalog", migrations)
	if err != nil {
		return err
	}
	defer db.Close()
	c.db = db
	c.cache = redis.NewClient(&redis.Options{Addr: *cache, DialTimeout: time.Second, ReadTimeout: time.Second, ContextTimeoutEnabled: true})
	defer c.cache.Close()
	return service.ServeHTTP(ctx, log, *listen, c.handler())
}

// A catalog answers requests about products.
type catalog struct {
	log    *slog.Logger
	db     *sql.DB
	cache  redis.UniversalClient
	share  bool
	flight singleflight.Group
}

// A product is one thing that the shop sells.
type product struct {
	SKU   string `json:"sku"`
	Name  string `json:"name"`
	Price int    `json:"price"` // in cents
}

// waiting is how many requests for products are being answered.
var waiting = expvar.NewInt("waiting")

func (c *catalog) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /products/{sku}", c.get)
	mux.HandleFunc("PUT /products/{sku}", c.put)
	mux.Handle("GET /debug/vars", expvar.Handler())
	return mux
}

func (c *catalog) get(w http.ResponseWriter, r *http.Request) {
	waiting.Add(1)
	defer waiting.Add(-1)
	p, err := c.product(r.Context(), r.PathValue("sku"))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		service.WriteError(w, http.StatusNotFound, "there is no such product")
	case err != nil:
		c.log.Warn("database", "error", err)
		service.WriteError(w, http.StatusServiceUnavailable, "the catalog is closed for a moment")
	default:
		service.WriteJSON(w, http.StatusOK, p)
	}
}

// product finds a product. Those who ask for the same one at the same time are answered together, so that a popular product
// that has just left the cache is one query and not a thousand.
func (c *catalog) product(ctx context.Context, sku string) (product, error) {
	if !c.share {
		return c.find(ctx, sku)
	}
	p, err, _ := c.flight.Do(sku, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 8*time.Second) // others want the answer as well
		defer cancel()
		return c.find(ctx, sku)
	})
	return p.(product), err
}

// find looks into the cache, and then into the database. Without the cache it is slower, and that is all.
func (c *catalog) find(ctx context.Context, sku string) (p product, err error) {
	key := "product:" + sku
	cached, err := c.cache.Get(ctx, key).Bytes()
	if err == nil && json.Unmarshal(cached, &p) == nil {
		return p, nil
	}
	if err != nil && !errors.Is(err, redis.Nil) {
		c.log.Warn("cache", "error", err)
	}
	row := c.db.QueryRowContext(ctx, `SELECT sku, name, price FROM products WHERE sku = $1`, sku)
	if err := row.Scan(&p.SKU, &p.Name, &p.Price); err != nil {
		return product{}, err
	}
	if fresh, err := json.Marshal(p); err == nil {
		c.cache.Set(ctx, key, fresh, time.Minute)
	}
	return p, nil
}

func (c *catalog) put(w http.ResponseWriter, r *http.Request) {
	var p product
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&p); err != nil || p.Name == "" || p.Price <= 0 {
		service.WriteError(w, http.StatusBadRequest, `the body has to be {"name": "...", "price": 1}`)
		return
	}
	_, err := c.db.ExecContext(r.Context(), `INSERT INTO products (sku, name, price) VALUES ($1, $2, $3)
		ON CONFLICT (sku) DO UPDATE SET name = excluded.name, price = excluded.price`, r.PathValue("sku"), p.Name, p.Price)
	if err == nil {
		err = c.cache.Del(r.Context(), "product:"+r.PathValue("sku")).Err()
	}
	if err != nil {
		c.log.Warn("put", "error", err)
		service.WriteError(w, http.StatusServiceUnavailable, "the catalog is closed for a moment")
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
