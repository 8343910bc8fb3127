// Command kv is a key-value store that speaks a part of the Redis protocol: PING, GET, SET, DEL and INCR.
//
// It keeps its data in memory. With --append-only FILE it also writes every change to a file, which it reads again when
// it starts.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"

	"github.com/hermetic-go/nstest/suites/microservices/internal/service"
)

func main() { service.Main("kv", run) }

func run(ctx context.Context, log *slog.Logger, args []string) error {
	flags := flag.NewFlagSet("kv", flag.ContinueOnError)
	listen := flags.String("listen", ":6379", "`address` to listen on")
	appendOnly := flags.String("append-only", "", "`file` that keeps the data; without it, data is lost at the end")
	if err := flags.Parse(args); err != nil {
		return err
	}
	store, err := openStore(*appendOnly)
	if err != nil {
		return err
	}
	defer store.close()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	log.Info("listening", "address", listener.Addr().String(), "keys", store.len())
	return (&server{store: store, log: log}).serve(ctx, listener)
}
