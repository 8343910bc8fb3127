// Package planted_test is a suite of failures as they happen in earnest: each spec fails because of something that its message
// does not say.
package planted_test

import (
	"context"
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
