package network

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"

	"github.com/google/nftables"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// An inventory is what a network namespace has been furnished with, by kind. What the kernel adds and takes away on its
// own, IPv6 routes and what ARP has learned, is left out.
type inventory map[string][]string

// The kinds of an inventory.
const (
	interfaces = "devices"
	addresses  = "addresses"
	routes     = "routes"
	rules      = "rules"
	neighbours = "neighbours"
	tables     = "nftables tables"
)

// takeInventory is the inventory of the calling thread's network namespace.
func takeInventory() (inventory, error) {
	found := inventory{}
	links, err1 := netlink.LinkList()
	for _, l := range links {
		found[interfaces] = append(found[interfaces], l.Type()+" "+l.Attrs().Name)
	}
	addrs, err2 := netlink.AddrList(nil, netlink.FAMILY_V4)
	for _, a := range addrs {
		found[addresses] = append(found[addresses], a.String())
	}
	allTables := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
	routeList, err3 := netlink.RouteListFiltered(netlink.FAMILY_V4, allTables, netlink.RT_FILTER_TABLE)
	for _, r := range routeList {
		found[routes] = append(found[routes], r.String())
	}
	ruleList, err4 := netlink.RuleList(netlink.FAMILY_V4)
	for _, r := range ruleList {
		found[rules] = append(found[rules], fmt.Sprintf("%v table %d", r, r.Table))
	}
	neighs, err5 := netlink.NeighList(0, netlink.FAMILY_V4)
	for _, n := range neighs {
		if n.State == netlink.NUD_PERMANENT {
			found[neighbours] = append(found[neighbours], n.String())
		}
	}
	names, err6 := tableNames()
	found[tables] = names
	for _, list := range found {
		slices.Sort(list)
	}
	return found, errors.Join(err1, err2, err3, err4, err5, err6)
}

// tableNames are the tables of nft(8), of the calling thread's network namespace.
func tableNames() ([]string, error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, err
	}
	list, err := conn.ListTables()
	var names []string
	for _, t := range list {
		names = append(names, t.Name)
	}
	return names, err
}

// ours is the inventory of the spec's own namespace.
func ours() inventory {
	GinkgoHelper()
	found, err := takeInventory()
	Expect(err).NotTo(HaveOccurred())
	return found
}

// beyond is what i has, and before had not.
func (i inventory) beyond(before inventory) inventory {
	more := inventory{}
	for kind, list := range i {
		for _, entry := range list {
			if !slices.Contains(before[kind], entry) {
				more[kind] = append(more[kind], entry)
			}
		}
	}
	return more
}

// furnish adds one of each kind, and is the inventory then.
var furnish = nsx.Register("network/furnish", func(*nsx.Parent, any) (inventory, error) {
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "furnished"}, PeerName: "other-end"}
	if err := netlink.LinkAdd(pair); err != nil {
		return nil, fmt.Errorf("add device: %w", err)
	}
	if err := netlink.LinkSetUp(pair); err != nil {
		return nil, fmt.Errorf("set device up: %w", err)
	}
	link, err := netlink.LinkByName("furnished")
	if err != nil {
		return nil, err
	}
	index := link.Attrs().Index
	addr, err := netlink.ParseAddr("192.0.2.1/24")
	if err != nil {
		return nil, err
	}
	if err := netlink.AddrAdd(link, addr); err != nil {
		return nil, fmt.Errorf("add address: %w", err)
	}
	_, far, err := net.ParseCIDR("198.51.100.0/24")
	if err != nil {
		return nil, err
	}
	// The device has no carrier, because its other end is down: the route is there nevertheless.
	if err := netlink.RouteAdd(&netlink.Route{LinkIndex: index, Dst: far, Table: 100, Scope: netlink.SCOPE_LINK}); err != nil {
		return nil, fmt.Errorf("add route: %w", err)
	}
	rule := netlink.NewRule()
	rule.Priority, rule.Table, rule.Dst = 1000, 100, far
	if err := netlink.RuleAdd(rule); err != nil {
		return nil, fmt.Errorf("add rule: %w", err)
	}
	neighbour := &netlink.Neigh{LinkIndex: index, State: netlink.NUD_PERMANENT, IP: net.IPv4(192, 0, 2, 2), HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 2}}
	if err := netlink.NeighAdd(neighbour); err != nil {
		return nil, fmt.Errorf("add neighbour: %w", err)
	}
	return takeInventory()
})

func registerInventory() {
	property.It("N16", func(ctx SpecContext, c *property.Check) {
		kinds := []string{interfaces, addresses, routes, rules, neighbours}
		c.Positive("a process in our namespace furnishes it for us too", func() {
			before := ours()
			_, err := nsx.Run(ctx, nsx.Spec{}, furnish, nil)
			Expect(err).NotTo(HaveOccurred())
			more := ours().beyond(before)
			for _, kind := range kinds {
				c.Saw("more "+kind+" in ours", more[kind])
				Expect(more[kind]).NotTo(BeEmpty(), kind)
			}
		})
		c.Negative("one in a namespace of its own does so for itself, with the same names and addresses", func() {
			before := ours()
			inside, err := nsx.Run(ctx, nsx.Spec{Kinds: nsx.Net}, furnish, nil)
			Expect(err).NotTo(HaveOccurred())
			for _, kind := range kinds {
				c.Saw(kind+" inside", inside[kind])
				Expect(inside[kind]).NotTo(BeEmpty(), kind)
			}
			Expect(slices.Sorted(maps.Keys(inside))).To(ContainElements(kinds))
			more := ours().beyond(before)
			c.Saw("more in ours", more)
			Expect(more).To(BeEmpty())
			Expect(before.beyond(ours())).To(BeEmpty(), "nothing is missing either")
		})
	})
}
