package segments_test

import (
	"sync"
	"time"

	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("A ring of switches with the spanning tree protocol", func() {
	It("passes each frame once, and goes the other way when a trunk is pulled", func() {
		addNetwork(nstest.NetworkConfig{Name: "north", STP: true})
		addNetwork(nstest.NetworkConfig{Name: "east", STP: true, Trunks: []string{"north"}})
		addNetwork(nstest.NetworkConfig{Name: "west", STP: true, Trunks: []string{"north", "east"}})
		hosts := make([]*nstest.Host, 3)
		var wg sync.WaitGroup // each takes the seconds that its port does
		for i, name := range []string{"north", "east", "west"} {
			wg.Go(func() {
				defer GinkgoRecover()
				hosts[i] = addHost("h-"+name, name)
			})
		}
		wg.Wait()
		n, e, w := hosts[0], hosts[1], hosts[2]
		everybody := func() error {
			for _, from := range hosts {
				for _, to := range hosts {
					if err := ask(from, to.Addr(), silence); err != nil {
						return err
					}
				}
			}
			return nil
		}
		for _, from := range hosts {
			for _, to := range hosts {
				Expect(reach(from, to)).To(Succeed())
			}
		}

		By("counting the copies of one broadcast that a host gets")
		received, err := e.ListenPacket("udp4", ":9")
		Expect(err).NotTo(HaveOccurred())
		defer received.Close()
		Expect(broadcast(n, 9)).To(Succeed())
		copies := 0
		for p, wait := make([]byte, 16), patience; ; copies, wait = copies+1, silence {
			Expect(received.SetReadDeadline(time.Now().Add(wait))).To(Succeed())
			if _, _, err := received.ReadFrom(p); err != nil {
				break
			}
		}
		Expect(copies).To(Equal(1), "frames go round")

		By("pulling a trunk that is in use")
		// west's port to east is the one that is blocked, since east is nearer to the root.
		Expect(nstest.Current().Network("west").Trunk("north").Down()).To(Succeed())
		Expect(ask(n, w.Addr(), silence)).NotTo(Succeed(), "the blocked port listens before it passes frames")
		Eventually(everybody).Should(Succeed())
	})
})
