// Command api serves the products of a shop as JSON over HTTP and keeps them in a key-value store.
//
//	GET /products/{id}   200 {"id": "tea", "name": "Green tea", "views": 3}, or 404
//	PUT /products/{id}   {"name": "Green tea"}
//	GET /healthz         200 while the process lives
//	GET /readyz          200 while the store answers
//
// 503 says that the store does not answer; the request may be tried again.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/hermetic-go/nstest/suites/microservices/internal/resp"
	"github.com/hermetic-go/nstest/suites/microservices/internal/service"
)

func main() { service.Main("api", run) }

func run(ctx context.Context, log *slog.Logger, args []string) error {
	flags := flag.NewFlagSet("api", flag.ContinueOnError)
	listen := flags.String("listen", ":80", "`address` to listen on")
	a := &api{log: log}
	flags.StringVar(&a.store, "store", "kv:6379", "`address` of the key-value store")
	flags.DurationVar(&a.timeout, "store-timeout", 500*time.Millisecond, "how long the store may take for one request")
	if err := flags.Parse(args); err != nil {
		return err
	}
	return service.ServeHTTP(ctx, log, *listen, a.handler())
}

// An api answers requests about products.
type api struct {
	log     *slog.Logger
	store   string
	timeout time.Duration
}

// A product is one thing that the shop sells.
type product struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Views int    `json:"views"`
}

func (a *api) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", a.withStore(a.ready))
	mux.HandleFunc("GET /products/{id}", a.withStore(a.get))
	mux.HandleFunc("PUT /products/{id}", a.withStore(a.put))
	return mux
}

// withStore gives a handler a connection to the store, and answers for it when the store does not.
func (a *api) withStore(handle func(http.ResponseWriter, *http.Request, *resp.Conn) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), a.timeout)
		defer cancel()
		store, err := resp.Dial(ctx, a.store)
		if err == nil {
			defer store.Close()
			err = handle(w, r, store)
		}
		if err != nil {
			a.log.Warn("store", "address", a.store, "error", err)
			service.WriteError(w, http.StatusServiceUnavailable, "the store does not answer")
		}
	}
}

func (a *api) ready(w http.ResponseWriter, _ *http.Request, store *resp.Conn) error {
	if _, err := store.Do("PING"); err != nil {
		return err
	}
	service.WriteJSON(w, http.StatusOK, map[string]string{"status": "ready"})
	return nil
}

func (a *api) get(w http.ResponseWriter, r *http.Request, store *resp.Conn) error {
	id := r.PathValue("id")
	name, err := store.Do("GET", "product:"+id)
	if errors.Is(err, resp.ErrNil) {
		service.WriteError(w, http.StatusNotFound, "there is no such product")
		return nil
	}
	if err != nil {
		return err
	}
	count, err := store.Do("INCR", "views:"+id)
	if err != nil {
		return err
	}
	views, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	service.WriteJSON(w, http.StatusOK, product{ID: id, Name: name, Views: views})
	return nil
}

func (a *api) put(w http.ResponseWriter, r *http.Request, store *resp.Conn) error {
	var p product
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&p); err != nil || p.Name == "" {
		service.WriteError(w, http.StatusBadRequest, `the body has to be {"name": "..."}`)
		return nil
	}
	if _, err := store.Do("SET", "product:"+r.PathValue("id"), p.Name); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
