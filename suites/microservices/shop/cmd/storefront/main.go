// Command storefront is the way into the shop. It passes requests of customers on to the services that answer them:
//
//	GET  /products/{sku}       catalog
//	GET  /carts/{cart}         cart
//	PUT  /carts/{cart}/{sku}   cart
//	POST /orders               orders
//	GET  /orders/{id}          orders
//
// It keeps nothing, so that there can be many.
package main

import (
	"context"
	"flag"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"time"

	"github.com/hermetic-go/nstest/suites/microservices/internal/service"
)

func main() { service.Main("storefront", run) }

func run(ctx context.Context, log *slog.Logger, args []string) error {
	flags := flag.NewFlagSet("storefront", flag.ContinueOnError)
	listen := flags.String("listen", ":80", "`address` to listen on")
	catalog := flags.String("catalog", "catalog", "comma-separated `addresses` of the service catalog")
	cart := flags.String("cart", "cart", "comma-separated `addresses` of the service cart")
	orders := flags.String("orders", "orders-1,orders-2", "comma-separated `addresses` of the service orders")
	if err := flags.Parse(args); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /products/{sku}", proxy(log, *catalog))
	mux.Handle("GET /carts/{cart}", proxy(log, *cart))
	mux.Handle("PUT /carts/{cart}/{sku}", proxy(log, *cart))
	mux.Handle("POST /orders", proxy(log, *orders))
	mux.Handle("GET /orders/{id}", proxy(log, *orders))
	return service.ServeHTTP(ctx, log, *listen, mux)
}

// proxy passes requests on to one of the addresses.
func proxy(log *slog.Logger, addresses string) http.Handler {
	dial := &http.Transport{
		DialContext:           (&net.Dialer{Timeout: time.Second}).DialContext,
		ResponseHeaderTimeout: 9 * time.Second,
		MaxIdleConnsPerHost:   32,
	}
	return &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.Out.URL.Scheme = "http" },
		Transport: &instances{hosts: strings.Split(addresses, ","), transport: dial},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			log.Warn("pass on", "path", r.URL.Path, "error", err)
			service.WriteError(w, http.StatusServiceUnavailable, "the shop is closed for a moment")
		},
	}
}
