package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/hermetic-go/nstest/suites/microservices/internal/resp"
)

// idle is how long a client may say nothing.
const idle = time.Minute

// A server answers the commands of clients.
type server struct {
	store *store
	log   *slog.Logger
}

// serve answers clients until ctx is done. Commands that were read by then are answered.
func (s *server) serve(ctx context.Context, listener net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var clients sync.WaitGroup
	defer clients.Wait()
	defer cancel()
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	for {
		conn, err := listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		clients.Go(func() {
			if err := s.client(ctx, conn); err != nil {
				s.log.Warn("client", "address", conn.RemoteAddr().String(), "error", err)
			}
		})
	}
}

// client answers one client until it has gone or ctx is done.
func (s *server) client(ctx context.Context, conn net.Conn) error {
	defer conn.Close()
	// Only reading ends: the answer to what was read still goes out.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now()) })
	defer stop()
	reader := bufio.NewReader(conn)
	for ctx.Err() == nil {
		if err := conn.SetDeadline(time.Now().Add(idle)); err != nil {
			return err
		}
		args, err := resp.ReadCommand(reader)
		switch {
		case err == io.EOF, err != nil && ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		if _, err := io.WriteString(conn, s.answer(args)); err != nil {
			return err
		}
	}
	return nil
}

// answer carries out a command.
func (s *server) answer(args []string) string {
	if len(args) == 0 {
		return resp.Failure("empty command")
	}
	name, args := strings.ToUpper(args[0]), args[1:]
	want, known := map[string]int{"PING": 0, "GET": 1, "SET": 2, "DEL": 1, "INCR": 1}[name]
	switch {
	case !known:
		return resp.Failure(fmt.Sprintf("unknown command %q", name))
	case len(args) != want:
		return resp.Failure(fmt.Sprintf("%s takes %d arguments", name, want))
	}
	switch name {
	case "GET":
		if value, ok := s.store.get(args[0]); ok {
			return resp.Bulk(value)
		}
		return resp.Nil()
	case "SET":
		if err := s.store.set(args[0], args[1]); err != nil {
			return s.failed(err)
		}
		return resp.Simple("OK")
	case "DEL":
		n, err := s.store.del(args[0])
		if err != nil {
			return s.failed(err)
		}
		return resp.Integer(n)
	case "INCR":
		n, err := s.store.incr(args[0])
		if err != nil {
			return s.failed(err)
		}
		return resp.Integer(n)
	}
	return resp.Simple("PONG")
}

func (s *server) failed(err error) string {
	if !errors.Is(err, errNotNumber) {
		s.log.Error("store", "error", err)
	}
	return resp.Failure(err.Error())
}
