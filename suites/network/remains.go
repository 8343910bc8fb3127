package network

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// pins is the kind of an inventory for files that keep namespaces: names of ip-netns(8), and mounts of namespaces anywhere.
const pins = "namespace files"

// oursWithPins is ours, and the files that keep namespaces.
func oursWithPins() inventory {
	GinkgoHelper()
	found := ours()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	Expect(err).NotTo(HaveOccurred())
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, " - nsfs ") {
			found[pins] = append(found[pins], strings.Fields(line)[4])
		}
	}
	names, err := filepath.Glob("/run/netns/*")
	Expect(err).NotTo(HaveOccurred())
	found[pins] = append(found[pins], names...)
	return found
}

func registerRemains() {
	property.It("N30", func(ctx SpecContext, c *property.Check) {
		before := oursWithPins()
		c.Positive("a device, a route, a table and a pinned namespace that somebody leaves are seen", func() {
			_, err := nsx.Run(ctx, nsx.Spec{}, furnish, nil)
			Expect(err).NotTo(HaveOccurred())
			table, err := addRule(nftables.TableFamilyIPv4, nftables.ChainHookInput, "", &expr.Counter{})
			Expect(err).NotTo(HaveOccurred())
			namespace, err := nsx.Open(0, nsx.Net)
			Expect(err).NotTo(HaveOccurred())
			defer namespace.Close()
			pin := filepath.Join(GinkgoTB().TempDir(), "pin")
			Expect(nsx.Pin(namespace, pin)).To(Succeed())

			left := oursWithPins().beyond(before)
			c.Saw("left", left)
			for _, kind := range []string{interfaces, addresses, routes, rules, tables, pins} {
				Expect(left[kind]).NotTo(BeEmpty(), kind)
			}
			device, err := netlink.LinkByName("furnished")
			Expect(err).NotTo(HaveOccurred())
			Expect(netlink.LinkDel(device)).To(Succeed())
			Expect(table.remove()).To(Succeed())
			Expect(unix.Unmount(pin, 0)).To(Succeed())
		})
		before = oursWithPins()
		c.Negative("an environment with hosts, networks and faults leaves nothing", func() {
			env, err := nstest.Open(ctx, nstest.Config{Name: "inner"})
			Expect(err).NotTo(HaveOccurred())
			defer env.Close()
			_, err = env.AddNetwork(nstest.NetworkConfig{Name: "second"})
			Expect(err).NotTo(HaveOccurred())
			var hosts []*nstest.Host
			for _, name := range []string{"a", "b"} {
				h, err := env.AddHost(nstest.HostConfig{Name: name, Networks: []nstest.Attachment{{}, {Network: "second"}}})
				Expect(err).NotTo(HaveOccurred())
				hosts = append(hosts, h)
			}
			_, err = env.AddPartition(hosts[:1], hosts[1:])
			Expect(err).NotTo(HaveOccurred())
			c.Saw("what is in ours of it while it is there", oursWithPins().beyond(before))
			Expect(env.Close()).To(Succeed())
			Eventually(func() inventory { return oursWithPins().beyond(before) }).WithTimeout(limit).Should(BeEmpty())
			c.Saw("afterwards", oursWithPins().beyond(before))
			Expect(before.beyond(oursWithPins())).To(BeEmpty(), "nothing is missing either")
		})
	})
}
