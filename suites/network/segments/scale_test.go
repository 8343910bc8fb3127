package segments_test

import (
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// populate adds n small hosts, which answer, by a few goroutines at once.
func populate(env *nstest.Env, n int) []*nstest.Host {
	GinkgoHelper()
	hosts := make([]*nstest.Host, n)
	var wg sync.WaitGroup
	const workers = 4
	for w := range workers {
		wg.Go(func() {
			defer GinkgoRecover()
			for i := w; i < n; i += workers {
				h, err := env.AddHost(nstest.HostConfig{Name: fmt.Sprintf("h%d", i), NetOnly: true})
				Expect(err).NotTo(HaveOccurred())
				hosts[i] = answering(h)
			}
		})
	}
	wg.Wait()
	return hosts
}

var _ = Describe("A network with many hosts", func() {
	It("has each of a hundred reachable from one", func() {
		hosts := populate(nstest.Current(), 100)
		Expect(nstest.Current().Network("lan").Hosts()).To(HaveLen(101), "with the spec's own")
		seen := map[string]bool{}
		for _, h := range hosts {
			// The machine's table of neighbours may be full of others' and ours, and takes some seconds to forget the oldest.
			Eventually(reach).WithArguments(nstest.Current().Self(), h).Should(Succeed())
			seen[h.Addr().String()+h.Links()[0].MAC()] = true
		}
		Expect(seen).To(HaveLen(100), "addresses of their own")
		Eventually(reach).WithArguments(hosts[0], hosts[99]).Should(Succeed())
	})

	It("has each of five hundred reachable from one, over two switches as over one, and is full with 1,023", Label("soak"), Serial, func() {
		if os.Getenv("NSTEST_SOAK") == "" {
			Skip("this takes long\nWhat to do: set NSTEST_SOAK=1, as make soak does")
		}
		env := nstest.New(GinkgoTB(), nstest.Config{}) // one that can be closed
		_, err := env.AddNetwork(nstest.NetworkConfig{Name: "further", Trunks: []string{"lan"}})
		Expect(err).NotTo(HaveOccurred())
		hosts := populate(env, 500)
		far, err := env.AddHost(nstest.HostConfig{Name: "far", NetOnly: true, Networks: []nstest.Attachment{{Network: "further"}}})
		Expect(err).NotTo(HaveOccurred())
		for _, h := range hosts {
			Eventually(reach).WithArguments(env.Self(), h).Should(Succeed())
		}
		Eventually(reach).WithArguments(far, hosts[499]).Should(Succeed())

		for i := 500; i < 1021; i++ { // the environment's own host and the trunk have a port too
			_, err := env.AddHost(nstest.HostConfig{Name: fmt.Sprintf("h%d", i), NetOnly: true})
			Expect(err).NotTo(HaveOccurred())
		}
		_, err = env.AddHost(nstest.HostConfig{Name: "one-too-many", NetOnly: true})
		Expect(err).To(MatchError(syscall.EXFULL))
		Expect(err).To(MatchError(ContainSubstring("the switch is full")))

		// The next spec has to share the table with what is left of these.
		Expect(env.Close()).To(Succeed())
		Eventually(reach).WithArguments(nstest.Current().Self(), addHost("next")).WithTimeout(time.Minute).Should(Succeed())
	})
})
