package segments_test

import (
	"fmt"
	"os"
	"sync"
	"syscall"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// populate adds n hosts to a network, by a few goroutines at once.
func populate(n int, network string) []*nstest.Host {
	GinkgoHelper()
	hosts := make([]*nstest.Host, n)
	var wg sync.WaitGroup
	const workers = 4
	for w := range workers {
		wg.Go(func() {
			defer GinkgoRecover()
			for i := w; i < n; i += workers {
				hosts[i] = addHost(fmt.Sprintf("h%d", i), network)
			}
		})
	}
	wg.Wait()
	return hosts
}

var _ = Describe("A network with many hosts", func() {
	It("has each of a hundred reachable from one", func() {
		hosts := populate(100, "lan")
		Expect(nstest.Current().Network("lan").Hosts()).To(HaveLen(101), "with the spec's own")
		seen := map[string]bool{}
		for _, h := range hosts {
			Expect(reach(nstest.Current().Self(), h)).To(Succeed())
			seen[h.Addr().String()+h.Links()[0].MAC()] = true
		}
		Expect(seen).To(HaveLen(100), "addresses of their own")
		Expect(reach(hosts[0], hosts[99])).To(Succeed())
	})

	It("has each of five hundred reachable from one, over two switches as over one, and is full with 1,023", Label("soak"), func() {
		if os.Getenv("NSTEST_SOAK") == "" {
			Skip("this takes long\nWhat to do: set NSTEST_SOAK=1, as make soak does")
		}
		addNetwork(nstest.NetworkConfig{Name: "further", Trunks: []string{"lan"}})
		hosts := populate(500, "lan")
		far := addHost("far", "further")
		for _, h := range hosts {
			// The machine's table of neighbours may be full, and takes some seconds to forget the oldest.
			Eventually(reach).WithArguments(nstest.Current().Self(), h).Should(Succeed())
		}
		Expect(reach(far, hosts[499])).To(Succeed())

		for i := 500; i < 1021; i++ { // the spec's own host and the trunk have a port too
			_, err := nstest.Current().AddHost(nstest.HostConfig{Name: fmt.Sprintf("h%d", i), NetOnly: true})
			Expect(err).NotTo(HaveOccurred())
		}
		_, err := nstest.Current().AddHost(nstest.HostConfig{Name: "one-too-many", NetOnly: true})
		Expect(err).To(MatchError(syscall.EXFULL))
		Expect(err).To(MatchError(ContainSubstring("the switch is full")))
		Expect(nstest.Current().RemoveHost("h1020")).To(Succeed())
	})
})
