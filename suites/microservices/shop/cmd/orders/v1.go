//go:build v1

package main

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
)

// This is the release that knew no notes: go build -tags v1.

//go:embed migrations/1_orders.sql
var migrations embed.FS

// insert keeps an order, unless there is one with that key.
func insert(ctx context.Context, db *sql.DB, key string, o order) error {
	items, err := json.Marshal(o.Items)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `INSERT INTO orders (id, key, items, total) VALUES ($1, $2, $3, $4) ON CONFLICT (key) DO NOTHING`,
		o.ID, key, items, o.Total)
	return err
}

// find finds the order that has this value in a column.
func find(ctx context.Context, db *sql.DB, column, value string) (o order, err error) {
	var items []byte
	row := db.QueryRowContext(ctx, `SELECT id, items, total, paid FROM orders WHERE `+column+` = $1`, value)
	if err := row.Scan(&o.ID, &items, &o.Total, &o.Paid); err != nil {
		return order{}, err
	}
	return o, json.Unmarshal(items, &o.Items)
}
