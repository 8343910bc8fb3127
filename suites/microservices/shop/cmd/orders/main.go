// Command orders takes orders: it asks for what is in the cart and what that costs, has the customer charged by a payment
// provider, keeps the order in PostgreSQL, and tells of it by NATS.
//
//	POST /orders        {"cart": "alice", "note": "Ring twice."}, with the header Idempotency-Key
//	GET  /orders/{id}   {"id": "…", "items": {"tea": 2}, "total": 900, "paid": true}
//
// An order is answered with 201, or with 200 if it was there. Whoever gets 503, or no answer, asks again with the same key.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/hermetic-go/nstest/suites/microservices/internal/service"
	"github.com/hermetic-go/nstest/suites/microservices/shop/internal/database"
	"github.com/hermetic-go/nstest/suites/microservices/shop/internal/events"
)

func main() { service.Main("orders", run) }

func run(ctx context.Context, log *slog.Logger, args []string) error {
	flags := flag.NewFlagSet("orders", flag.ContinueOnError)
	listen := flags.String("listen", ":80", "`address` to listen on")
	dsn := flags.String("database", "postgres://postgres@postgres/shop?sslmode=disable", "`URL` of PostgreSQL")
	bus := flags.String("nats", "nats://nats:4222", "`URL` of NATS")
	o := &orders{log: log, http: &http.Client{Timeout: 5 * time.Second}}
	flags.StringVar(&o.cart, "cart", "http://cart", "`URL` of the service cart")
	flags.StringVar(&o.catalog, "catalog", "http://catalog", "`URL` of the service catalog")
	flags.IntVar(&o.backlog, "backlog", 1000, "how many orders may wait to be told to others; more are not taken")
	o.payments.http = &http.Client{Timeout: 2 * time.Second}
	flags.StringVar(&o.payments.url, "payments", "https://bank.example", "`URL` of the payment provider")
	flags.IntVar(&o.payments.attempts, "attempts", 5, "how often the payment provider is asked for one request")
	flags.DurationVar(&o.payments.backoff, "backoff", 50*time.Millisecond, "the pause after the first attempt; it doubles each time")
	if err := flags.Parse(args); err != nil {
		return err
	}

	db, err := database.Open(ctx, log, *dsn, "orders", migrations)
	if err != nil {
		return err
	}
	defer db.Close()
	conn, js, err := events.Connect(ctx, *bus, "orders")
	if err != nil {
		return err
	}
	defer conn.Close()
	o.db, o.relay = db, newRelay(log, db, js)
	ctx, cancel := context.WithCancel(ctx)
	var relaying sync.WaitGroup
	relaying.Go(func() { o.relay.run(ctx) })
	defer relaying.Wait()
	defer cancel()
	return service.ServeHTTP(ctx, log, *listen, o.handler())
}

// orders answers requests about orders.
type orders struct {
	log           *slog.Logger
	db            *sql.DB
	http          *http.Client
	cart, catalog string
	backlog       int
	payments      provider
	relay         *relay
}

// An order is what a customer wants.
type order struct {
	ID    string         `json:"id"`
	Items map[string]int `json:"items"` // quantities by product
	Total int            `json:"total"` // in cents
	Paid  bool           `json:"paid"`
	Note  string         `json:"note,omitempty"`
}

var (
	errBusy  = errors.New("too many orders wait for the warehouse")
	errEmpty = errors.New("there is nothing in the cart")
)

func (o *orders) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", o.post)
	mux.HandleFunc("GET /orders/{id}", o.get)
	return mux
}

func (o *orders) get(w http.ResponseWriter, r *http.Request) {
	found, err := find(r.Context(), o.db, "id", r.PathValue("id"))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		service.WriteError(w, http.StatusNotFound, "there is no such order")
	case err != nil:
		o.log.Warn("database", "error", err)
		service.WriteError(w, http.StatusServiceUnavailable, "orders cannot be found for a moment")
	default:
		service.WriteJSON(w, http.StatusOK, found)
	}
}

func (o *orders) post(w http.ResponseWriter, r *http.Request) {
	var body struct{ Cart, Note string }
	key := r.Header.Get("Idempotency-Key")
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&body); err != nil || body.Cart == "" || key == "" {
		service.WriteError(w, http.StatusBadRequest, `the body has to be {"cart": "..."}, and the header Idempotency-Key to be there`)
		return
	}
	placed, fresh, err := o.place(r.Context(), key, body.Cart, body.Note)
	switch {
	case errors.Is(err, errEmpty):
		service.WriteError(w, http.StatusConflict, err.Error())
	case errors.Is(err, errRefused):
		service.WriteError(w, http.StatusPaymentRequired, err.Error())
	case err != nil:
		o.log.Warn("order", "key", key, "error", err)
		service.WriteError(w, http.StatusServiceUnavailable, "the order cannot be taken now: ask again with the same key")
	case fresh:
		service.WriteJSON(w, http.StatusCreated, placed)
	default:
		service.WriteJSON(w, http.StatusOK, placed)
	}
}

// place finds or makes the order with a key, and has it paid. Every step can be done again, by anybody, at any time: several
// requests with the same key may be here at once, or one may go on where another has died.
func (o *orders) place(ctx context.Context, key, cart, note string) (placed order, fresh bool, err error) {
	placed, err = find(ctx, o.db, "key", key)
	if err == nil && placed.Paid {
		return placed, false, nil
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return order{}, false, err
	}
	if err := o.room(ctx); err != nil {
		return order{}, false, err
	}
	if placed.ID == "" {
		draft, err := o.draft(ctx, cart, note)
		if err != nil {
			return order{}, false, err
		}
		if err := insert(ctx, o.db, key, draft); err != nil {
			return order{}, false, err
		}
		if placed, err = find(ctx, o.db, "key", key); err != nil { // another request may have been first
			return order{}, false, err
		}
	}
	if err := o.payments.charge(ctx, placed.ID, placed.Total); err != nil {
		return order{}, false, err
	}
	fresh, err = o.paid(ctx, placed)
	placed.Paid = true
	return placed, fresh, err
}

// room is errBusy if there is none for another order.
func (o *orders) room(ctx context.Context) error {
	var waiting int
	if err := o.db.QueryRowContext(ctx, `SELECT count(*) FROM outbox`).Scan(&waiting); err != nil {
		return err
	}
	if waiting >= o.backlog {
		return errBusy
	}
	return nil
}

// paid notes that an order was paid, and that it has to be told, in one transaction. It reports whether nobody else has.
func (o *orders) paid(ctx context.Context, p order) (bool, error) {
	event, err := json.Marshal(events.Order{ID: p.ID, Items: p.Items})
	if err != nil {
		return false, err
	}
	tx, err := o.db.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer tx.Rollback()
	done, err := tx.ExecContext(ctx, `UPDATE orders SET paid = true WHERE id = $1 AND NOT paid`, p.ID)
	if err != nil {
		return false, err
	}
	if n, err := done.RowsAffected(); err != nil || n == 0 {
		return false, err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO outbox (event) VALUES ($1)`, event); err != nil {
		return false, err
	}
	if err := tx.Commit(); err != nil {
		return false, fmt.Errorf("commit: %w", err)
	}
	o.relay.wake()
	return true, nil
}
