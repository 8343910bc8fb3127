package serve_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// A test is what an environment is told to fail.
type test struct {
	mu     sync.Mutex
	failed chan string
	after  []func()
}

func newTest() *test                      { return &test{failed: make(chan string, 10)} }
func (t *test) Helper()                   {}
func (t *test) Name() string              { return "a test" }
func (t *test) Logf(string, ...any)       {}
func (t *test) Cleanup(f func())          { t.after = append(t.after, f) }
func (t *test) Errorf(f string, a ...any) { t.failed <- fmt.Sprintf(f, a...) }
func (t *test) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }

func (t *test) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.after) > 0 {
		last := len(t.after) - 1
		f := t.after[last]
		t.after = t.after[:last]
		f()
	}
}

// a broken server serves nobody.
type broken struct{}

func (broken) Serve(net.Listener) error { return errors.New("out of tea") }

func open() *nstest.Env {
	GinkgoHelper()
	env, err := nstest.Open(context.Background(), nstest.Config{Name: "sibling"})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { _ = env.Close() }) // what it returns is asserted where it matters
	return env
}

var _ = Describe("What answers on a host", func() {
	It("gives its port back at once when it is closed", func() {
		h := nstest.Current().Host("web")
		for range 100 {
			l, err := h.Listen("tcp", ":80")
			Expect(err).NotTo(HaveOccurred())
			Expect(l.Close()).To(Succeed())
			_, err = h.DialContext(context.Background(), "tcp", "web:80")
			Expect(err).To(MatchError(syscall.ECONNREFUSED))
			p, err := h.ListenPacket("udp", ":5353")
			Expect(err).NotTo(HaveOccurred())
			Expect(p.Close()).To(Succeed())
		}
	})
	It("ends with the environment, its connections and goroutines too", func() {
		env := open()
		began, ended := make(chan struct{}), make(chan error, 1)
		at := address(env.Self().HandleConn("tcp", ":9", func(c net.Conn) {
			close(began)
			_, err := c.Read(make([]byte, 1))
			ended <- err
		}))
		address(env.Self().HandlePackets("udp", ":9", replyPacket))
		address(env.Self().Handle(":80", http.NotFoundHandler()))
		c, err := env.Self().DialContext(context.Background(), "tcp", at)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(c.Close)
		Eventually(began).Should(BeClosed())
		Consistently(ended, "50ms").ShouldNot(Receive(), "the control: it goes on until then")
		Expect(env.Close()).To(Succeed())
		Expect(ended).To(Receive(MatchError(net.ErrClosed)), "and has ended when Close returns")
		_, err = env.Self().Handle(":81", http.NotFoundHandler())
		Expect(err).To(MatchError(nstest.ErrClosed))
	})

	It("ends with the host", func() {
		env := nstest.Current()
		web := env.Host("web")
		ended := make(chan error, 1)
		at := address(web.HandleConn("tcp", ":9", func(c net.Conn) {
			_, err := c.Write([]byte("here"))
			if err == nil {
				_, err = io.ReadAll(c)
			}
			ended <- err
		}))
		c, err := env.Self().DialContext(context.Background(), "tcp", at)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(c.Close)
		_, err = io.ReadFull(c, make([]byte, 4))
		Expect(err).NotTo(HaveOccurred())
		Expect(env.RemoveHost("web")).To(Succeed())
		Expect(ended).To(Receive(MatchError(net.ErrClosed)))

		By("making another of that name")
		address(env.Host("web").HandleConn("tcp", ":9", reply))
		Expect(talk(env.Self(), "tcp", "web:9", "this", patience)).To(Equal("heard this"))
	})

	It("fails the test when it ends before", func() {
		t := newTest()
		DeferCleanup(t.end)
		env := nstest.New(t, nstest.Config{Name: "sibling"})
		address(env.Self().Serve(":9", broken{}))
		Eventually(t.failed).Should(Receive(And(ContainSubstring("serve tcp"), ContainSubstring("on host self: out of tea"))))
		t.end()
		Expect(t.failed).NotTo(Receive(), "once")
	})

	It("is an error of Close where there is no test", func() {
		env := open()
		at := address(env.Self().Serve(":9", broken{}))
		Eventually(func() error { // once that is noted
			_, err := talk(env.Self(), "tcp", at, "this", silence)
			return err
		}).Should(MatchError(syscall.ECONNREFUSED))
		Expect(env.Close()).To(MatchError(ContainSubstring("on host self: out of tea")))
	})

	It("may end on its own", func() {
		t := newTest()
		DeferCleanup(t.end)
		env := nstest.New(t, nstest.Config{Name: "sibling"})
		server := &http.Server{Handler: http.NotFoundHandler()}
		address(env.Self().Serve(":80", server))
		r, err := env.Self().HTTPClient().Get("http://self/")
		Expect(err).NotTo(HaveOccurred())
		Expect(r.Body.Close()).To(Succeed())
		Expect(server.Shutdown(context.Background())).To(Succeed())
		t.end()
		Expect(t.failed).NotTo(Receive())
	})

	It("is refused where the address is taken, by name", func() {
		web := nstest.Current().Host("web")
		address(web.Handle(":80", http.NotFoundHandler()))
		_, err := web.Handle(":80", http.NotFoundHandler())
		Expect(err).To(MatchError(And(HavePrefix("nstest: serve on web"), ContainSubstring("address already in use"))))
		_, err = web.HandlePackets("tcp", ":80", replyPacket)
		Expect(err).To(MatchError(HavePrefix("nstest: serve on web")))
	})

	It("is refused where there is nothing to serve, before it listens", func() {
		web := nstest.Current().Host("web")
		for _, serve := range []func() (net.Addr, error){
			func() (net.Addr, error) { return web.Serve(":80", nil) },
			func() (net.Addr, error) { return web.HandleConn("tcp", ":80", nil) },
			func() (net.Addr, error) { return web.HandlePackets("udp", ":80", nil) },
		} {
			_, err := serve()
			Expect(err).To(MatchError(And(HavePrefix("nstest: serve on web"), ContainSubstring("is nil"))))
		}
		address(web.Handle(":80", http.NotFoundHandler()))
	})
})

var _ = Describe("Code that runs for as long as a host lives", func() {
	DescribeTable("has returned when", func(end func(env *nstest.Env, stop func() error) error) {
		env := open()
		web, err := env.AddHost(nstest.HostConfig{Name: "web"})
		Expect(err).NotTo(HaveOccurred())
		runs, returned := make(chan struct{}), make(chan struct{})
		stop, err := web.Go(func(ctx context.Context) error {
			defer close(returned)
			close(runs)
			<-ctx.Done()
			return ctx.Err()
		})
		Expect(err).NotTo(HaveOccurred())
		<-runs
		Expect(returned).NotTo(BeClosed())
		Expect(end(env, stop)).To(Succeed())
		Expect(returned).To(BeClosed())
		Expect(stop()).To(Succeed(), "again")
	},
		Entry("it is stopped", func(_ *nstest.Env, stop func() error) error { return stop() }),
		Entry("its host is removed", func(env *nstest.Env, _ func() error) error { return env.RemoveHost("web") }),
		Entry("its environment is closed", func(env *nstest.Env, _ func() error) error { return env.Close() }),
	)
	It("fails the test when it fails", func() {
		t := newTest()
		DeferCleanup(t.end)
		_, err := nstest.New(t, nstest.Config{}).Host("web").Go(func(context.Context) error { return errors.New("out of tea") })
		Expect(err).NotTo(HaveOccurred())
		Eventually(t.failed).Should(Receive(And(ContainSubstring("serve on host web"), ContainSubstring("out of tea"))))
	})
	It("is refused on a host that is gone, and where there is none", func() {
		env := open()
		web, err := env.AddHost(nstest.HostConfig{Name: "web"})
		Expect(err).NotTo(HaveOccurred())
		_, err = web.Go(nil)
		Expect(err).To(MatchError(ContainSubstring("nil")))
		Expect(env.RemoveHost("web")).To(Succeed())
		_, err = web.Go(func(context.Context) error { panic("it runs") })
		Expect(err).To(MatchError(nstest.ErrClosed))
	})
})
