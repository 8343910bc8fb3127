package network

import (
	"errors"
	"net/netip"
	"os"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// arm is what a host's end of a cable that cable makes is called.
const arm = "arm0"

// cable makes a cable to a host, whose end is named arm and has an address. Ours is returned, and up.
func cable(h *nstest.Host, name, address string) netlink.Link {
	GinkgoHelper()
	here, err := nsx.Open(0, nsx.Net)
	Expect(err).NotTo(HaveOccurred())
	defer here.Close()
	// It is the host that makes it, and hands us an end: its /proc does not show the thread whose namespace we would open.
	Expect(h.Do(func() error {
		pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: arm}, PeerName: name, PeerNamespace: netlink.NsFd(int(here.Fd()))}
		if err := netlink.LinkAdd(pair); err != nil {
			return err
		}
		link, err := netlink.LinkByName(arm)
		if err != nil {
			return err
		}
		addr, err := netlink.ParseAddr(address)
		if err != nil {
			return err
		}
		return errors.Join(netlink.AddrAdd(link, addr), netlink.LinkSetUp(link))
	})).To(Succeed())
	link, err := netlink.LinkByName(name)
	Expect(err).NotTo(HaveOccurred())
	Expect(netlink.LinkSetUp(link)).To(Succeed())
	return link
}

// packetsFrom is how many packets have come from the cable's other end.
func packetsFrom(link netlink.Link) (uint64, error) {
	fresh, err := netlink.LinkByIndex(link.Attrs().Index)
	if err != nil {
		return 0, err
	}
	return fresh.Attrs().Statistics.RxPackets, nil
}

func registerForwarding() {
	property.It("N26", func(_ SpecContext, c *property.Check) {
		const times = 20
		bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "switch"}}
		Expect(netlink.LinkAdd(bridge)).To(Succeed())
		Expect(netlink.LinkSetUp(bridge)).To(Succeed())
		left, right := nstest.Current().Host("left"), nstest.Current().Host("right")
		toLeft, toRight := cable(left, "to-left", "192.0.2.1/24"), cable(right, "to-right", "192.0.2.2/24")
		s := listen(right, netip.MustParseAddr("192.0.2.2"), 9)
		from := sender(left)

		c.Positive("a bridge forwards between its ports", func() {
			Expect(netlink.LinkSetMaster(toLeft, bridge)).To(Succeed())
			Expect(netlink.LinkSetMaster(toRight, bridge)).To(Succeed())
			Eventually(func() int { send(from, s.at, 1, []byte("first")); return s.count() }).WithTimeout(limit).Should(BeNumerically(">", 0))
			c.Saw("arrived", s.count())
		})
		c.Negative("and not to what is no port of it", func() {
			Expect(netlink.LinkSetNoMaster(toRight)).To(Succeed())
			before, err := packetsFrom(toLeft)
			Expect(err).NotTo(HaveOccurred())
			send(from, s.at, times, []byte("cut off"))
			Eventually(packetsFrom).WithArguments(toLeft).WithTimeout(limit).Should(BeNumerically(">=", before+times), "they have come to the bridge")
			c.Saw("sent to the bridge", times)
			c.Saw("arrived", slices.Compact(s.texts()))
			Expect(s.texts()).NotTo(ContainElement("cut off"))
		})
		c.Positive("once it is a port again, what is sent arrives again", func() {
			Expect(netlink.LinkSetMaster(toRight, bridge)).To(Succeed())
			Eventually(func() []string { send(from, s.at, 1, []byte("last")); return s.texts() }).WithTimeout(limit).Should(ContainElement("last"))
			c.Saw("arrived", slices.Compact(s.texts()))
		})
		const file = "/sys/class/net/switch/bridge/"
		c.Positive("it takes part in the spanning tree protocol if it is told to", func() {
			Expect(os.WriteFile(file+"stp_state", []byte("1"), 0)).To(Succeed())
			state, err := os.ReadFile(file + "stp_state")
			Expect(err).NotTo(HaveOccurred())
			c.Saw("stp_state", string(state))
			Expect(string(state)).To(Equal("1\n"))
		})
		c.Negative("VLANs it filters where the kernel can, and says so where it cannot", func() {
			_, cannot := os.Stat(file + "vlan_filtering")
			err := netlink.BridgeSetVlanFiltering(bridge, true)
			c.Saw(file+"vlan_filtering", cannot)
			c.Saw("setting it", err)
			if cannot == nil {
				Expect(err).NotTo(HaveOccurred())
				Expect(os.ReadFile(file + "vlan_filtering")).To(BeEquivalentTo("1\n"))
				return
			}
			Expect(cannot).To(MatchError(os.ErrNotExist))
			Expect(err).To(MatchError(unix.EOPNOTSUPP))
		})
	})
}
