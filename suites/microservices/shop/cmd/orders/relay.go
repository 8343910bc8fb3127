package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/hermetic-go/nstest/suites/microservices/shop/internal/events"
	"github.com/nats-io/nats.go/jetstream"
)

// A relay tells what is in the outbox to others. All instances of the service do so. An event is told again where it is
// not certain that it was heard.
type relay struct {
	log  *slog.Logger
	db   *sql.DB
	js   jetstream.JetStream
	more chan struct{} // of length 1: there is something in the outbox
}

func newRelay(log *slog.Logger, db *sql.DB, js jetstream.JetStream) *relay {
	return &relay{log, db, js, make(chan struct{}, 1)}
}

// wake has the relay look into the outbox.
func (r *relay) wake() {
	select {
	case r.more <- struct{}{}:
	default: // it will
	}
}

// run works until ctx is done. What other instances have left behind it finds within a second.
func (r *relay) run(ctx context.Context) {
	for ctx.Err() == nil {
		told, err := r.tell(ctx)
		pause := time.Second
		switch {
		case err != nil && ctx.Err() == nil:
			r.log.Warn("outbox", "error", err)
			pause = 100 * time.Millisecond // the stream may be full
		case told:
			continue
		}
		select {
		case <-ctx.Done():
		case <-r.more:
		case <-time.After(pause):
		}
	}
}

// tell tells the oldest event that no other instance is telling. It reports whether there was one.
func (r *relay) tell(ctx context.Context) (bool, error) {
	tx, err := r.db.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer tx.Rollback()
	var (
		id    int64
		event []byte
		about events.Order
	)
	err = tx.QueryRowContext(ctx, `SELECT id, event FROM outbox ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED`).Scan(&id, &event)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(event, &about); err != nil {
		return false, err
	}
	if _, err := r.js.Publish(ctx, events.Paid, event, jetstream.WithMsgID(about.ID)); err != nil {
		return false, err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM outbox WHERE id = $1`, id); err != nil {
		return false, err
	}
	return true, tx.Commit()
}
