// Package events is how the services of the shop tell each other what has happened: by a stream of NATS JetStream, from
// which each event is taken once it was dealt with.
package events

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	Stream = "ORDERS"      // the stream's name
	Paid   = "orders.paid" // the subject of orders that were paid
	Limit  = 10            // how many events the stream holds; more are refused
)

// An Order is what an event says of an order.
type Order struct {
	ID    string         `json:"id"`
	Items map[string]int `json:"items"` // quantities by product
}

// Connect connects to a server, and has the stream made if it does not exist. The caller closes the connection, which is
// made again whenever it is lost.
func Connect(ctx context.Context, url, service string) (*nats.Conn, jetstream.JetStream, error) {
	conn, err := nats.Connect(url, nats.Name(service), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))
	if err != nil {
		return nil, nil, fmt.Errorf("connect to %s: %w", url, err)
	}
	js, err := jetstream.New(conn, jetstream.WithDefaultTimeout(2*time.Second))
	if err == nil {
		_, err = js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
			Name: Stream, Subjects: []string{"orders.>"}, Retention: jetstream.WorkQueuePolicy, MaxMsgs: Limit, Discard: jetstream.DiscardNew,
		})
	}
	if err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("make stream: %w", err)
	}
	return conn, js, nil
}
