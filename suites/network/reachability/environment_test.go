package reachability_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest"
)

// An environment is made as a plan says.
type environment struct {
	plan  *plan
	hosts []*nstest.Host
	cut   *nstest.Fault

	patience time.Duration // with those that are to answer
}

func newEnvironment(p *plan) *environment {
	GinkgoHelper()
	env := nstest.Current()
	e := &environment{plan: p, patience: 15 * time.Second}
	for _, n := range p.networks {
		cfg := nstest.NetworkConfig{Name: n.name, Prefixes: n.prefixes, NoIPv4: true, NoIPv6: true}
		for _, prefix := range n.prefixes {
			cfg.NoIPv4 = cfg.NoIPv4 && !prefix.Addr().Is4()
			cfg.NoIPv6 = cfg.NoIPv6 && prefix.Addr().Is4()
		}
		_, err := env.AddNetwork(cfg)
		Expect(err).NotTo(HaveOccurred())
	}
	for _, n := range p.nodes {
		var on []nstest.Attachment
		for _, port := range n.ports {
			on = append(on, nstest.Attachment{Network: p.networks[port.network].name, Addrs: port.addrs, NoGateway: port.noGateway})
		}
		if n.router {
			r, err := env.AddRouter(nstest.RouterConfig{Name: n.name, Networks: on, NetOnly: true})
			Expect(err).NotTo(HaveOccurred())
			e.hosts = append(e.hosts, r.Host)
		} else {
			h, err := env.AddHost(nstest.HostConfig{Name: n.name, Networks: on, NetOnly: true})
			Expect(err).NotTo(HaveOccurred())
			e.hosts = append(e.hosts, h)
		}
	}
	for i, h := range e.hosts {
		n := p.nodes[i]
		ignoreRedirects(h)
		for _, r := range n.routes {
			Expect(h.AddRoute(r)).To(Succeed())
		}
		Expect(h.SetFirewall(n.firewall)).To(Succeed())
		for _, port := range n.ports {
			if port.down {
				Expect(h.Link(p.networks[port.network].name).Down()).To(Succeed())
			}
		}
		l, err := h.Listen("tcp", ":"+strconv.Itoa(open))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(l.Close)
		go hangUp(l)
	}
	if p.groups != nil {
		var groups [][]*nstest.Host
		for _, g := range p.groups {
			var hosts []*nstest.Host
			for _, n := range g {
				hosts = append(hosts, e.hosts[n])
			}
			groups = append(groups, hosts)
		}
		e.cut = env.Partition(groups...)
	}
	return e
}

// hangUp ends each connection as soon as it has come about.
func hangUp(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_ = c.Close()
	}
}

// ignoreRedirects has a host do as its routes say, and not as routers advise it.
func ignoreRedirects(h *nstest.Host) {
	GinkgoHelper()
	Expect(h.Do(func() error {
		for _, pattern := range []string{"ipv4/conf/*/send_redirects", "ipv4/conf/*/accept_redirects", "ipv6/conf/*/accept_redirects"} {
			names, err := filepath.Glob("/proc/sys/net/" + pattern)
			if err != nil {
				return err
			}
			for _, name := range names {
				if err := os.WriteFile(name, []byte("0"), 0); err != nil {
					return err
				}
			}
		}
		return nil
	})).To(Succeed())
}

// repair ends every fault, in the plan too.
func (e *environment) repair() {
	GinkgoHelper()
	if e.cut != nil {
		e.cut.Heal()
	}
	e.plan.groups = nil
	for i := range e.plan.nodes {
		n := &e.plan.nodes[i]
		Expect(e.hosts[i].SetFirewall(nstest.Firewall{})).To(Succeed())
		n.firewall = nstest.Firewall{}
		for k := range n.ports {
			if n.ports[k].down {
				Expect(e.hosts[i].Link(e.plan.networks[n.ports[k].network].name).Up()).To(Succeed())
				n.ports[k].down = false
			}
		}
	}
}
