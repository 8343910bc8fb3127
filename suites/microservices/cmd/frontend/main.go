// Command frontend shows the products of a shop to customers, as web pages, or as JSON to those who ask for that.
//
//	GET /products/{id}
//	GET /healthz         200 while the process lives
//
// It asks an API, which may have several addresses, and tries again with back-off when that fails. When it fails for
// good, customers get the last good answer: the header Age says how many seconds old it is, and Warning that it is old.
package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hermetic-go/nstest/suites/microservices/internal/service"
)

func main() { service.Main("frontend", run) }

func run(ctx context.Context, log *slog.Logger, args []string) error {
	flags := flag.NewFlagSet("frontend", flag.ContinueOnError)
	listen := flags.String("listen", ":80", "`address` to listen on")
	apis := flags.String("api", "http://api", "comma-separated `URLs` of the API")
	c := &client{http: &http.Client{}}
	flags.IntVar(&c.attempts, "attempts", 5, "how often the API is asked for one request")
	flags.DurationVar(&c.backoff, "backoff", 25*time.Millisecond, "the pause after the first attempt; it doubles each time")
	flags.DurationVar(&c.http.Timeout, "timeout", time.Second, "how long one attempt may take")
	if err := flags.Parse(args); err != nil {
		return err
	}
	c.urls = strings.Split(*apis, ",")
	f := &frontend{log: log, api: c, cache: map[string]cached{}}
	return service.ServeHTTP(ctx, log, *listen, f.handler())
}

// A frontend answers customers.
type frontend struct {
	log *slog.Logger
	api *client

	mu    sync.Mutex
	cache map[string]cached // by product; the last good answers
}

type cached struct {
	product product
	at      time.Time
}

// A product is one thing that the shop sells, as the API describes it.
type product struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Views int    `json:"views"`
}

var (
	//go:embed product.html
	productHTML string
	productPage = template.Must(template.New("product").Parse(productHTML))
)

func (f *frontend) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /products/{id}", f.show)
	return mux
}

func (f *frontend) show(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	p, err := f.api.product(r.Context(), id)
	switch {
	case errors.Is(err, errNotFound):
		service.WriteError(w, http.StatusNotFound, "there is no such product")
		return
	case err != nil:
		f.log.Warn("api", "product", id, "error", err)
		last, ok := f.recall(id)
		if !ok {
			service.WriteError(w, http.StatusServiceUnavailable, "the shop is closed for a moment")
			return
		}
		p = last.product
		w.Header().Set("Age", strconv.Itoa(int(time.Since(last.at).Seconds())))
		w.Header().Set("Warning", `110 - "Response is Stale"`)
	default:
		f.remember(id, p)
	}
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		service.WriteJSON(w, http.StatusOK, p)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if err := productPage.Execute(w, p); err != nil {
		f.log.Warn("render", "product", id, "error", err)
	}
}

func (f *frontend) remember(id string, p product) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cache[id] = cached{p, time.Now()}
}

func (f *frontend) recall(id string) (cached, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	last, ok := f.cache[id]
	return last, ok
}

// decode reads an answer of the API.
func decode(r *http.Response) (product, error) {
	defer r.Body.Close()
	var p product
	switch r.StatusCode {
	case http.StatusOK:
		if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
			return p, fmt.Errorf("read answer: %w", err)
		}
		return p, nil
	case http.StatusNotFound:
		return p, errNotFound
	}
	return p, fmt.Errorf("the answer is %s", r.Status)
}
