package wire

import "net/netip"

// TopologyResult is an environment as it is at one moment.
type TopologyResult struct {
	Networks   []NetworkTopology // in the order in which they were made
	Hosts      []HostTopology    // the environment's own first, then by name
	Partitions [][][]string      // the groups of each, in the order in which they were made
}

// InventoryResult is what hosts and networks there are at one moment, in the order of a TopologyResult.
type InventoryResult struct {
	Networks []NetworkResult
	Hosts    []HostResult
}

// NetworkTopology is a network of a topology.
type NetworkTopology struct {
	Params   NetworkParams // as it was asked for
	Prefixes []netip.Prefix
	Gateways []netip.Addr // at most one a family
}

// HostTopology is a host of a topology.
type HostTopology struct {
	HostResult
	Down       []string // the devices whose cables are pulled
	Router     bool     // it was made one
	Routes     []Route  // that neither the kernel nor the networks' gateways have given it
	MoreRoutes bool     // than these
	NAT        []NAT
	NAT64      *NAT64
	Advertise  []Advertisement
	Firewall   *FirewallTopology // nil for a host without
	Borrowed   []string          // devices of the machine
}

// FirewallTopology is what there is to say about a firewall in a topology.
type FirewallTopology struct {
	Default   string
	Rules     int
	Stateless bool
}
