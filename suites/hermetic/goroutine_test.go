package hermetic_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// many is how many goroutines look each time.
const many = 1000

// A lookout counts in which network namespaces goroutines find themselves.
type lookout struct {
	mu   sync.Mutex
	seen map[string]int
}

func (l *lookout) look() {
	name, err := namespace("net")
	if err != nil {
		name = err.Error()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen == nil {
		l.seen = map[string]int{}
	}
	l.seen[name]++
}

// expectInside expects that at least n have looked, and all of them were where the spec is.
func (l *lookout) expectInside(n int) {
	GinkgoHelper()
	here, err := namespace("net")
	Expect(err).NotTo(HaveOccurred())
	Expect(here).NotTo(Equal(outside.Namespaces["net"]))
	l.mu.Lock()
	defer l.mu.Unlock()
	Expect(l.seen).To(And(HaveLen(1), HaveKeyWithValue(here, BeNumerically(">=", n))))
}

// concurrently calls f many times at once, on as many goroutines.
func concurrently(f func() error) {
	GinkgoHelper()
	var wg sync.WaitGroup
	errs := make(chan error, many)
	for range many {
		wg.Go(func() { errs <- f() })
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		Expect(err).NotTo(HaveOccurred())
	}
}

var _ = Describe("Every goroutine is inside", func() {
	var l *lookout
	BeforeEach(func() { l = &lookout{} })

	It("of the spec, also each on a thread of its own", func() {
		hold := make(chan struct{})
		var up sync.WaitGroup
		var wg sync.WaitGroup
		for i := range many {
			up.Add(1)
			wg.Go(func() {
				if i%20 == 0 {
					runtime.LockOSThread()
					defer runtime.UnlockOSThread()
				}
				l.look()
				up.Done()
				<-hold
				l.look()
			})
		}
		up.Wait()
		close(hold)
		wg.Wait()
		l.expectInside(2 * many)
	})

	It("of net/http, on both sides", func() {
		listener, err := net.Listen("tcp", "127.0.0.1:80")
		Expect(err).NotTo(HaveOccurred())
		server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { l.look() })}
		go func() { _ = server.Serve(listener) }()
		DeferCleanup(server.Close)
		client := &http.Client{Transport: &http.Transport{
			MaxConnsPerHost: 100,
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				l.look() // on a goroutine of the transport
				return (&net.Dialer{}).DialContext(ctx, network, address)
			},
		}}
		DeferCleanup(client.CloseIdleConnections)
		concurrently(func() error {
			r, err := client.Get("http://localhost/")
			if err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, r.Body)
			return errors.Join(err, r.Body.Close())
		})
		l.expectInside(many)
	})

	It("of grpc-go, on both sides", func() {
		listener, err := net.Listen("tcp", "127.0.0.1:50051")
		Expect(err).NotTo(HaveOccurred())
		server := grpc.NewServer(grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
			l.look()
			return h(ctx, req)
		}))
		grpc_health_v1.RegisterHealthServer(server, health.NewServer())
		go func() { _ = server.Serve(listener) }()
		DeferCleanup(server.Stop)
		conn, err := grpc.NewClient("dns:///localhost:50051", grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
				l.look() // on a goroutine of grpc's
				return (&net.Dialer{}).DialContext(ctx, "tcp", address)
			}))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(conn.Close)
		client := grpc_health_v1.NewHealthClient(conn)
		concurrently(func() error {
			_, err := client.Check(context.Background(), &grpc_health_v1.HealthCheckRequest{})
			return err
		})
		l.expectInside(many)
	})

	It("of database/sql", func() {
		db := sql.OpenDB(connector{l})
		DeferCleanup(db.Close)
		db.SetMaxOpenConns(50) // so that most wait for a connection that a goroutine of the package opens
		concurrently(func() error { return db.Ping() })
		l.expectInside(many)
	})
})

// connector is a database of which nothing is of interest but where the goroutines are that use it.
type connector struct{ l *lookout }

func (c connector) Connect(context.Context) (driver.Conn, error) {
	c.l.look()
	return connection(c), nil
}
func (c connector) Driver() driver.Driver { return nil }

type connection struct{ l *lookout }

func (c connection) Ping(context.Context) error        { c.l.look(); return nil }
func (connection) Prepare(string) (driver.Stmt, error) { return nil, errors.ErrUnsupported }
func (connection) Begin() (driver.Tx, error)           { return nil, errors.ErrUnsupported }
func (connection) Close() error                        { return nil }
