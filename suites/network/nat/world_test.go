package nat_test

import (
	"net/netip"

	. "github.com/onsi/ginkgo/v2"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/internal/plan"
)

// A world is an internet on which two servers are, and a home behind a router.
type world struct {
	router  *nstest.Router
	client  *nstest.Host
	servers [2]*nstest.Host
	is4     bool
}

// newWorld makes a world whose traffic is of one family. Without NAT the router leads to the home from everywhere.
func newWorld(is4 bool, nat ...nstest.NAT) *world {
	GinkgoHelper()
	plan.Network(nstest.NetworkConfig{Name: "internet"})
	plan.Network(nstest.NetworkConfig{Name: "home"})
	w := &world{is4: is4}
	w.servers = [2]*nstest.Host{plan.Host("stun1", plan.On("internet")...), plan.Host("stun2", plan.On("internet")...)}
	w.client = plan.Host("client", plan.On("home")...)
	w.router = plan.Router(nstest.RouterConfig{Name: "router", Networks: plan.On("internet", "home"), NAT: nat})
	return w
}

func (w *world) server(i int) netip.Addr      { return plan.Addr(w.servers[i], "internet", w.is4) }
func (w *world) outside() netip.Addr          { return plan.Addr(w.router.Host, "internet", w.is4) }
func (w *world) of(h *nstest.Host) netip.Addr { return plan.Addr(h, "home", w.is4) }
