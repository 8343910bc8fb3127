// Package planted_test is a suite of failures as they happen in earnest: each spec fails because of something that its message
// does not say.
package planted_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/fixtures/ca"
	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestPlanted(t *testing.T) {
	RegisterFailHandler(Fail)
	nstest.RunSpecs(t, "Planted")
}

// ask has a program on host client ask for a page, and fail the spec if it gets none.
func ask(url string) {
	GinkgoHelper()
	By("asking for " + url)
	Expect(nstest.Current().Host("client").Command("curl", "-sS", "--max-time", "1", "-o", "/dev/null", url).Run()).To(Succeed())
}

// serve answers on port 80 of host web.
func serve(handler http.HandlerFunc) *nstest.Host {
	GinkgoHelper()
	web := nstest.Current().Host("web")
	_, err := web.Handle(":80", handler)
	Expect(err).NotTo(HaveOccurred())
	return web
}

func hello(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }

var _ = Describe("the page", func() {
	It("is refused", func() {
		nstest.Current().Host("web")
		ask("http://web/")
	})
	It("is served on loopback only", func() {
		_, err := nstest.Current().Host("web").Handle("127.0.0.1:80", http.HandlerFunc(hello))
		Expect(err).NotTo(HaveOccurred())
		ask("http://web/")
	})
	It("has a record of the wrong host", func() {
		env := nstest.Current()
		serve(hello)
		Expect(env.DNS().Replace("page.test. 60 IN A " + env.Host("old").Addr().String())).To(Succeed())
		ask("http://page.test/")
	})
	It("is black-holed", func() {
		env := nstest.Current()
		web := serve(hello)
		env.Partition([]*nstest.Host{env.Host("client")}, []*nstest.Host{web})
		ask("http://web/")
	})
	It("has the wrong name", func() {
		serve(hello)
		ask("http://wbe/")
	})
	It("is dropped by a firewall", func() {
		web := serve(hello)
		Expect(web.SetFirewall(nstest.Firewall{Rules: []nstest.FirewallRule{
			{Verdict: nstest.Drop, Direction: nstest.In, Protocol: "tcp", Ports: []nstest.PortRange{{First: 80, Last: 80}}},
		}})).To(Succeed())
		ask("http://web/")
	})
	It("is slow", func() {
		serve(func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(5 * time.Second):
			case <-r.Context().Done():
			}
			hello(w, r)
		})
		ask("http://web/")
	})
	It("waits for a backend that does not answer", func() {
		_, err := nstest.Current().Host("backend").Handle(":8080", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
		Expect(err).NotTo(HaveOccurred())
		client := nstest.Current().Host("web").HTTPClient()
		serve(func(w http.ResponseWriter, r *http.Request) {
			req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "http://backend:8080/count", http.NoBody)
			if err != nil {
				panic(err)
			}
			if resp, err := client.Do(req); err == nil {
				_ = resp.Body.Close()
				hello(w, r)
			}
		})
		ask("http://web/")
	})
	It("has a certificate that expired", func() {
		env := nstest.Current()
		web := env.Host("web")
		authority := ca.New(GinkgoTB(), env, ca.Config{})
		cert, err := authority.Issue(ca.CertificateConfig{Hosts: []*nstest.Host{web}, Defect: ca.Expired})
		Expect(err).NotTo(HaveOccurred())
		_, err = authority.Handle(web, ":443", http.HandlerFunc(hello), cert)
		Expect(err).NotTo(HaveOccurred())
		ask("https://web/")
	})
})

var _ = Describe("the worker", func() {
	// work runs a script as the worker, and waits until it is done or has told why not.
	work := func(script string) {
		GinkgoHelper()
		By("having the worker work")
		cmd := nstest.Current().Host("worker").Command("sh", "-c", script)
		Expect(cmd.Start()).To(Succeed())
		_ = cmd.Wait()
		Expect(nstest.Current().Host("worker").Command("test", "-e", "/run/done").Run()).To(Succeed(), "the work is not done")
	}
	It("runs out of memory", func() {
		work("head -c 1G /dev/zero | tail >/run/done.new && mv /run/done.new /run/done")
	})
	It("has a full disk", func() {
		work("mkdir /run/data && mount -t tmpfs -o size=64k data /run/data && head -c 1M /dev/zero >/run/data/file && touch /run/done; exit 0")
	})
	It("crashes", func() {
		work("echo 'loading the configuration'; echo 'panic: index out of range [3] with length 3' >&2; kill -ABRT $$; touch /run/done")
	})
	It("hangs", func(ctx SpecContext) {
		worker := nstest.Current().Host("worker")
		ctx2, cancel := context.WithCancel(ctx)
		defer cancel()
		cmd := worker.CommandContext(ctx2, "sh", "-c", "mkfifo /run/orders; echo waiting; read order </run/orders; touch /run/done")
		out, err := cmd.StdoutPipe()
		Expect(err).NotTo(HaveOccurred())
		Expect(cmd.Start()).To(Succeed())
		_, err = out.Read(make([]byte, 100))
		Expect(err).NotTo(HaveOccurred())
		Eventually(func() ([]byte, error) { // until it sleeps, since nobody writes there
			return worker.Command("cat", fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid)).Output()
		}).WithContext(ctx).WithTimeout(time.Minute).Should(ContainSubstring(") S "))
		By("giving up")
		cancel()
		_ = cmd.Wait()
		Expect(worker.Command("test", "-e", "/run/done").Run()).To(Succeed(), "the work is not done")
	})
	It("waits for itself", func(ctx SpecContext) {
		orders, stock := make(chan int), make(chan int)
		go func() { v := <-orders; stock <- v }()
		go func() { v := <-stock; orders <- v }()
		Eventually(ctx, orders).WithTimeout(time.Second).Should(Receive())
	})
	It("is deadlocked", func(ctx SpecContext) {
		var orders, stock sync.Mutex
		var both, waiting sync.WaitGroup
		both.Add(2)
		lock := func(first, second *sync.Mutex) {
			first.Lock()
			defer first.Unlock()
			both.Done()
			both.Wait()
			second.Lock()
			defer second.Unlock()
		}
		waiting.Go(func() { lock(&orders, &stock) })
		waiting.Go(func() { lock(&stock, &orders) })
		done := make(chan struct{})
		go func() { waiting.Wait(); close(done) }()
		ctx2, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		Eventually(ctx2, done).Should(BeClosed())
	})
})
