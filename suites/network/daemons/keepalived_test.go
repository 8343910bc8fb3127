package daemons_test

import (
	"fmt"
	"net/netip"
	"os"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/internal/require"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

const keepalivedConfig = `
global_defs {
	router_id %s
	vrrp_version 3
	vrrp_garp_master_delay 0
	vrrp_garp_master_repeat 1
}
vrrp_instance service {
	interface eth0
	state BACKUP
	virtual_router_id 7
	priority %d
	advert_int 0.2
	virtual_ipaddress {
		%s
	}
}
`

var _ = Describe("keepalived", func() {
	It("gives the address to the backup when the master dies", func(ctx SpecContext) {
		program := require.PackageProgram("keepalived", "keepalived")
		env := nstest.Current()
		virtual := netip.MustParsePrefix("10.99.0.1/24")
		_, err := env.AddNetwork(nstest.NetworkConfig{Name: "segment", Prefixes: []netip.Prefix{virtual.Masked()}})
		Expect(err).NotTo(HaveOccurred())
		on := func(name, address string) *nstest.Host {
			GinkgoHelper()
			h, err := env.AddHost(nstest.HostConfig{Name: name, Networks: []nstest.Attachment{{Network: "segment", Addrs: []netip.Addr{netip.MustParseAddr(address)}}}})
			Expect(err).NotTo(HaveOccurred())
			answerByName(h)
			return h
		}
		client, master, backup := on("client", "10.99.0.2"), on("master", "10.99.0.3"), on("backup", "10.99.0.4")
		run := func(h *nstest.Host, priority int) *daemon {
			GinkgoHelper()
			config := fmt.Sprintf(keepalivedConfig, h.Name(), priority, virtual)
			Expect(h.Do(func() error { return os.WriteFile("/run/keepalived.conf", []byte(config), 0o600) })).To(Succeed())
			return start(h, program, "--dont-fork", "--log-console", "--log-detail", "--vrrp", "--use-file=/run/keepalived.conf")
		}
		atMaster, atBackup := run(master, 200), run(backup, 100)
		state := func() string {
			return fmt.Sprintf("keepalived of the master:\n%s\nof the backup:\n%s", atMaster.log.Contents(), atBackup.log.Contents())
		}
		answers := func() (string, error) {
			for _, d := range []*daemon{atMaster, atBackup} {
				if err := d.running(); err != nil {
					return "", err
				}
			}
			return who(ctx, client, virtual.Addr())
		}
		Eventually(answers).Should(Equal("master"), state)
		Eventually(neighbour).WithArguments(client.Link(""), virtual.Addr()).Should(Equal(master.Link("").MAC()), state)

		By("killing it, with its machine: nobody says good-bye")
		Expect(env.RemoveHost("master")).To(Succeed())
		Eventually(neighbour).WithArguments(client.Link(""), virtual.Addr()).Should(Equal(backup.Link("").MAC()), state)
		Expect(who(ctx, client, virtual.Addr())).To(Equal("backup"))
	})
})
