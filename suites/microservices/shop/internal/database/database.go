// Package database is what the services of the shop that keep data in PostgreSQL have in common: a pool of connections and
// migrations of the schema.
package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// Connections is how many connections a service has at most.
const Connections = 10

// Open opens a pool of connections and brings the schema up to date: see Migrate.
func Open(ctx context.Context, log *slog.Logger, dsn, service string, migrations fs.FS) (*sql.DB, error) {
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	db.SetMaxOpenConns(Connections)
	db.SetMaxIdleConns(Connections)
	if err := Migrate(ctx, log, db, service, migrations); err != nil {
		return nil, errors.Join(fmt.Errorf("migrate: %w", err), db.Close())
	}
	return db, nil
}

// patience is how long a migration waits for a lock. Everybody who wants the table waits behind it: so it gives up soon, and
// tries again.
const patience = 100 * time.Millisecond

// Migrate carries out those of the files migrations/*.sql that have not been carried out for this service, in the order of
// their names, each in a transaction. Several instances of a service may do so at the same time.
func Migrate(ctx context.Context, log *slog.Logger, db *sql.DB, service string, migrations fs.FS) error {
	files, err := fs.Glob(migrations, "migrations/*.sql") // in order
	if err != nil {
		return err
	}
	for _, file := range files {
		script, err := fs.ReadFile(migrations, file)
		if err != nil {
			return err
		}
		for {
			err := migrate(ctx, log, db, service, file, string(script))
			if err == nil {
				break
			}
			if !lockNotAvailable(err) {
				return fmt.Errorf("%s: %w", file, err)
			}
			log.Info("migration waits for a lock", "file", file)
			select {
			case <-time.After(patience):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// migrate carries out one file, unless that was done.
func migrate(ctx context.Context, log *slog.Logger, db *sql.DB, service, file, script string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	// One migration at a time, of all services.
	if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock(20)`); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS migrations (service text, file text, PRIMARY KEY (service, file))`); err != nil {
		return err
	}
	done, err := tx.ExecContext(ctx, `INSERT INTO migrations VALUES ($1, $2) ON CONFLICT DO NOTHING`, service, file)
	if err != nil {
		return err
	}
	if n, err := done.RowsAffected(); err != nil || n == 0 {
		return err
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf(`SET LOCAL lock_timeout = %d`, patience.Milliseconds())); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, script); err != nil {
		return err
	}
	log.Info("migrated", "file", file)
	return tx.Commit()
}

// lockNotAvailable reports whether the server has given up waiting for a lock (PostgreSQL, Appendix A, 55P03).
func lockNotAvailable(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == "55P03"
}
