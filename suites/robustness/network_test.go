package robustness

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest"
)

// entangled is an environment with everything that makes the keeper work for a network: switches that are cabled together, a
// router that translates and advertises, a firewall, a link that flaps, a late answer of DNS, a way out.
func entangled(ctx context.Context) (_ *nstest.Env, err error) {
	env, err := nstest.Open(ctx, nstest.Config{Name: "entangled", Outbound: &nstest.Outbound{}})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, env.Close())
		}
	}()
	for _, n := range []nstest.NetworkConfig{
		{Name: "inside"}, {Name: "upstairs", Trunks: []string{"inside"}},
		{Name: "net", Prefixes: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8::/64")}},
	} {
		if _, err := env.AddNetwork(n); err != nil {
			return env, err
		}
	}
	if _, err := env.AddHost(nstest.HostConfig{Name: "c", NetOnly: true, Networks: []nstest.Attachment{{Network: "net"}}}); err != nil {
		return env, err
	}
	if _, err := env.AddRouter(router("gw")); err != nil {
		return env, err
	}
	for _, c := range []nstest.HostConfig{
		{Name: "a", NetOnly: true, Networks: []nstest.Attachment{{Network: "inside"}}},
		{Name: "b", NetOnly: true, Networks: []nstest.Attachment{{Network: "upstairs", Auto: true}}},
	} {
		h, err := env.AddHost(c)
		if err != nil {
			return env, err
		}
		if _, err := h.Link("").Flap(10*time.Millisecond, 10*time.Millisecond); err != nil {
			return env, err
		}
	}
	if err := env.DNS().Set(nstest.DNSConfig{Faults: []nstest.DNSFault{{Name: "late", Delay: time.Minute}}}); err != nil {
		return env, err
	}
	late, err := env.Self().DialContext(ctx, "udp", "127.0.0.53:53")
	if err != nil {
		return env, err
	}
	defer late.Close()
	_, err = late.Write([]byte("\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04late\x00\x00\x01\x00\x01"))
	return env, err
}

// router is one that does all that a router can.
func router(name string) nstest.RouterConfig {
	return nstest.RouterConfig{
		Name: name, NetOnly: true, Networks: []nstest.Attachment{{Network: "inside"}, {Network: "net"}},
		NAT:       []nstest.NAT{{Outside: "net", Hairpin: true, NPTv6: netip.MustParsePrefix("2001:db8:1::/64")}},
		NAT64:     &nstest.NAT64{Outside: "net"},
		Advertise: []nstest.Advertisement{{Network: "inside", Interval: 30 * time.Millisecond}},
		Firewall:  nstest.Firewall{Rules: []nstest.FirewallRule{{Verdict: nstest.Drop, From: "c"}}},
	}
}

// rewire changes all of that once.
func rewire(env *nstest.Env) error {
	gw, a, c := env.Router("gw"), env.Host("a"), env.Host("c")
	link := c.Link("")
	for _, f := range []func() error{
		func() error { return gw.SetNAT64(nil) },
		func() error { return gw.SetNAT(nstest.NAT{Outside: "net", Kind: nstest.Symmetric}) },
		func() error { return gw.Advertise() },
		func() error { return a.SetFirewall(nstest.Firewall{Default: nstest.Reject}) },
		func() error { return link.Move("upstairs") },
		func() error { return link.Renew() },
		func() error { return gw.SetNAT64(&nstest.NAT64{Outside: "net"}) },
		func() error { return env.RemoveHost("a") },
	} {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

// knot makes, changes and closes such an environment.
func knot() error {
	env, err := entangled(context.Background())
	if err != nil {
		return err
	}
	return errors.Join(rewire(env), env.Close())
}

// What the keeper does for networks ends with them.
func TestNoNetworkGrows(t *testing.T) {
	nothingGrows(t, 8, times(5, 15, 100), func() {
		if err := knot(); err != nil {
			t.Error(err)
		}
	})
}

// The same router, its links and its neighbours are changed by several at a time, and the environment closes meanwhile.
func TestCloseWhileOthersRewire(t *testing.T) {
	bystander := nstest.New(t, nstest.Config{Name: "bystander"})
	keeper := keeperOf(os.Getpid())
	for i := range times(3, 10, 30) {
		env, err := entangled(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		gw, c := env.Router("gw"), env.Host("c")
		inside, outside, link := gw.Link("inside"), gw.Link("net"), c.Link("net")
		var wg sync.WaitGroup
		begun, ended := make(chan struct{}, 100), make(chan struct{})
		for _, f := range []func() error{
			func() error { return gw.SetNAT(router("gw").NAT...) },
			func() error { return gw.SetNAT() },
			func() error { return gw.SetNAT64(&nstest.NAT64{Outside: "net"}) },
			func() error { return gw.SetNAT64(nil) },
			func() error { return gw.Advertise(router("gw").Advertise...) },
			func() error { return gw.Advertise() },
			func() error { return gw.SetFirewall(router("gw").Firewall) },
			func() error { return gw.SetFirewall(nstest.Firewall{}) },
			func() error { return inside.Renew() },
			func() error { return outside.Move("lan") },
			func() error { return outside.Move("net") },
			func() error { return errors.Join(outside.Remove(), link.Renew()) },
			func() error { l, err := gw.AddLink(nstest.Attachment{Network: "net"}); _ = l; return err },
			func() error { return link.Move("inside") },
			func() error { return link.Move("net") },
			func() error { _, err := env.AddRouter(router("second")); return err },
			func() error { return env.RemoveHost("second") },
			func() error { return env.RemoveHost("c") },
			func() error { _, err := env.Topology(); return err },
		} {
			wg.Go(func() {
				for {
					begun <- struct{}{}
					if err := f(); errors.Is(err, nstest.ErrClosed) {
						return
					}
					select {
					case <-ended: // and what was removed before says that, and not that the environment is closed
						return
					default:
					}
				}
			})
		}
		go func() {
			wg.Wait()
			close(begun)
		}()
		for range 20 + 40*i { // later in each round
			<-begun
		}
		closed := make(chan error, 1)
		go func() {
			closed <- env.Close()
			close(ended)
		}()
		for range begun { // until the last of them has seen the end
		}
		if err := <-closed; err != nil {
			t.Fatal(err)
		}
	}
	if now := keeperOf(os.Getpid()); now != keeper {
		t.Errorf("the keeper was %d and is %d", keeper, now)
	}
	if _, err := bystander.AddHost(nstest.HostConfig{Name: "web"}); err != nil {
		t.Errorf("a bystander: %v", err)
	}
}
