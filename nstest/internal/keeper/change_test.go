package keeper

import (
	"net/netip"
	"testing"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

func TestTextsOfChanges(t *testing.T) {
	rules := []wire.FirewallRule{
		{Verdict: "drop", Direction: "out", Protocol: "tcp", To: "shop"},
		{Verdict: "reject", Protocol: "udp", Ports: []wire.PortRange{{First: 53}, {First: 1000, Last: 1010}}, From: "10.0.0.0/8"},
		{Redirect: netip.MustParseAddrPort("10.0.0.1:80"), Protocol: "tcp"},
	}
	for got, want := range map[string]string{
		firewallText(wire.Firewall{}):                                                                             "allow everything",
		firewallText(wire.Firewall{Rules: rules, Default: "drop"}):                                                "drop out tcp to shop, reject udp port 53 1000–1010 from 10.0.0.0/8, redirect tcp → 10.0.0.1:80, else drop",
		recordsText(nil, []string{"store.test.\t60\tIN\tA\t10.1.0.4"}):                                            "store.test. 60 IN A 10.1.0.4",
		recordsText([]string{"a. 60 IN A 10.0.0.1", "b."}, []string{"b.", "a. 60 IN A 10.0.0.2"}):                 "a. 60 IN A 10.0.0.2 in place of a. 60 IN A 10.0.0.1",
		recordsText([]string{"a.", "b."}, []string{"b."}):                                                         "without a.",
		recordsText([]string{"a."}, []string{"a."}):                                                               "",
		dnsFaultText(wire.DNSFault{Answer: "nxdomain", Type: "A", Name: "db.", Hosts: []string{"web"}, Times: 2}): "nxdomain for A db. asked by web, 2 times",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
