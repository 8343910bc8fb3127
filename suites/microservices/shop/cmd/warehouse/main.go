// Command warehouse hears of orders that were paid, by NATS, and ships each of them once.
//
//	GET /shipments/{order}   200 {"tea": 2}, or 404
package main

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/hermetic-go/nstest/suites/microservices/internal/service"
	"github.com/hermetic-go/nstest/suites/microservices/shop/internal/database"
	"github.com/hermetic-go/nstest/suites/microservices/shop/internal/events"
	"github.com/nats-io/nats.go/jetstream"
)

func main() { service.Main("warehouse", run) }

//go:embed migrations
var migrations embed.FS

func run(ctx context.Context, log *slog.Logger, args []string) error {
	flags := flag.NewFlagSet("warehouse", flag.ContinueOnError)
	listen := flags.String("listen", ":80", "`address` to listen on")
	dsn := flags.String("database", "postgres://postgres@postgres/shop?sslmode=disable", "`URL` of PostgreSQL")
	bus := flags.String("nats", "nats://nats:4222", "`URL` of NATS")
	if err := flags.Parse(args); err != nil {
		return err
	}
	db, err := database.Open(ctx, log, *dsn, "warehouse", migrations)
	if err != nil {
		return err
	}
	defer db.Close()
	conn, js, err := events.Connect(ctx, *bus, "warehouse")
	if err != nil {
		return err
	}
	defer conn.Close()
	w := &warehouse{log, db}
	stop, err := w.listen(ctx, js)
	if err != nil {
		return err
	}
	defer stop()
	return service.ServeHTTP(ctx, log, *listen, w.handler())
}

// A warehouse ships orders.
type warehouse struct {
	log *slog.Logger
	db  *sql.DB
}

// listen ships the orders that the stream tells of, until stop is called. All instances share the work.
func (w *warehouse) listen(ctx context.Context, js jetstream.JetStream) (stop func(), err error) {
	consumer, err := js.CreateOrUpdateConsumer(ctx, events.Stream, jetstream.ConsumerConfig{
		Durable: "warehouse", FilterSubject: events.Paid, AckPolicy: jetstream.AckExplicitPolicy,
	})
	if err != nil {
		return nil, fmt.Errorf("make consumer: %w", err)
	}
	consuming, err := consumer.Consume(w.ship, jetstream.PullMaxMessages(10))
	if err != nil {
		return nil, fmt.Errorf("consume: %w", err)
	}
	return func() {
		consuming.Drain()
		<-consuming.Closed()
	}, nil
}

// again is after what time an order is told of again that could not be shipped.
const again = 200 * time.Millisecond

// ship ships an order. It is told of again until it has said that it has done so.
func (w *warehouse) ship(message jetstream.Msg) {
	var o events.Order
	err := json.Unmarshal(message.Data(), &o)
	if err != nil {
		w.log.Error("event", "error", err)
		_ = message.Term() // it will not be better the next time
		return
	}
	items, err := json.Marshal(o.Items)
	if err == nil {
		_, err = w.db.Exec(`INSERT INTO shipments (order_id, items) VALUES ($1, $2) ON CONFLICT DO NOTHING`, o.ID, items)
	}
	if err != nil {
		w.log.Warn("ship", "order", o.ID, "error", err)
		_ = message.NakWithDelay(again)
		return
	}
	if err := message.Ack(); err != nil {
		w.log.Warn("acknowledge", "order", o.ID, "error", err)
	}
}

func (w *warehouse) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /shipments/{order}", w.get)
	return mux
}

func (w *warehouse) get(answer http.ResponseWriter, r *http.Request) {
	var items json.RawMessage
	err := w.db.QueryRowContext(r.Context(), `SELECT items FROM shipments WHERE order_id = $1`, r.PathValue("order")).Scan(&items)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		service.WriteError(answer, http.StatusNotFound, "the order was not shipped")
	case err != nil:
		w.log.Warn("database", "error", err)
		service.WriteError(answer, http.StatusServiceUnavailable, "shipments cannot be found for a moment")
	default:
		service.WriteJSON(answer, http.StatusOK, items)
	}
}
