package wire

// TopologyResult is an environment as a drawing shows it.
type TopologyResult struct {
	Networks []NetworkTopology
	Hosts    []HostTopology
	Faults   [][][]string // the groups of each partition
}

// NetworkTopology is a network of a drawing.
type NetworkTopology struct {
	Params NetworkParams
	Result NetworkResult
}

// HostTopology is a host of a drawing.
type HostTopology struct {
	Result   HostResult
	Down     []string      // the networks whose cables are pulled
	Router   *RouterParams // nil for a host that does not forward
	Firewall *Firewall     // nil for a host without
	Borrowed []string
}
