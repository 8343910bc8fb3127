package nstest

import (
	"context"
	"slices"
	"testing"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

func hostNames(list []*Host) (names []string) {
	for _, h := range list {
		names = append(names, h.Name())
	}
	return names
}

func networkNames(list []*Network) (names []string) {
	for _, n := range list {
		names = append(names, n.Name())
	}
	return names
}

// Everybody sees what anybody has made, as the same Hosts and Networks that they have, and nothing that is gone.
func TestHostsAndNetworks(t *testing.T) {
	env := New(t, Config{})
	guest, err := Attach(context.Background(), env.ID())
	if err != nil {
		t.Fatal(err)
	}
	defer guest.Close()
	check := func(hosts, networks []string) {
		t.Helper()
		for _, e := range []*Env{env, guest} {
			if got := hostNames(e.Hosts()); !slices.Equal(got, hosts) {
				t.Errorf("hosts %q, want %q", got, hosts)
			}
			if got := networkNames(e.Networks()); !slices.Equal(got, networks) {
				t.Errorf("networks %q, want %q", got, networks)
			}
		}
	}
	check([]string{"self"}, []string{"lan"})
	other := env.Network("zone")
	web := env.Host("Web")
	if _, err := guest.AddNetwork(NetworkConfig{Name: "area"}); err != nil {
		t.Fatal(err)
	}
	if _, err := guest.AddHost(HostConfig{Name: "db"}); err != nil {
		t.Fatal(err)
	}
	if _, err := env.AddRouter(RouterConfig{Name: "gw", Networks: []Attachment{{Network: "lan"}, {Network: "zone"}}}); err != nil {
		t.Fatal(err)
	}
	check([]string{"self", "db", "gw", "Web"}, []string{"lan", "zone", "area"})
	hosts := env.Hosts()
	if hosts[0] != env.Self() || hosts[3] != web || hosts[1] != env.Host("db") || env.Networks()[1] != other {
		t.Error("they are not the ones that others have")
	}
	if out, err := hosts[1].Command("hostname").Output(); err != nil || string(out) != "db\n" {
		t.Errorf("in another's host: %q, %v", out, err)
	}
	if err := env.RemoveHost("db"); err != nil {
		t.Fatal(err)
	}
	check([]string{"self", "gw", "Web"}, []string{"lan", "zone", "area"})
	again, err := env.AddHost(HostConfig{Name: "db", Networks: []Attachment{{Network: "zone"}}})
	if err != nil {
		t.Fatal(err)
	}
	found, err := guest.FindHost("db")
	if err != nil {
		t.Fatal(err)
	}
	if found.Addr() != again.Addr() || guest.Hosts()[1] != found || env.Hosts()[1] != again || again.Addr() == hosts[1].Addr() {
		t.Errorf("one that was made again is at %s, and was at %s: found at %s", again.Addr(), hosts[1].Addr(), found.Addr())
	}
	if env.known(wire.HostResult{Name: "db", Number: hosts[1].number}) != again {
		t.Error("what was told of the first one comes late, and takes the place of the second")
	}
	if err := env.RemoveHost("db"); err != nil {
		t.Fatal(err)
	}
	if env.known(wire.HostResult{Name: "db", Number: again.number}); env.hosts["db"] != nil {
		t.Error("what was told of one that is removed comes late, and brings it back")
	}
	if err := env.Close(); err != nil {
		t.Fatal(err)
	}
	check(nil, nil)
}
