package nstest

// A Router is a host that forwards between its networks.
type Router struct{ *Host }

// RouterConfig describes a router. Name and Networks are required.
type RouterConfig struct {
	// Name is the router's name, as a host's.
	Name string

	// Networks are the networks that it connects. It is the gateway of each that has none yet and is not the outside of a
	// NAT: it then has the network's first address, unless one is given, and the network's hosts, those that are there and
	// those to come, have their default route through it. On a network with a gateway it has a default route as any host.
	Networks []Attachment

	Routes    []Route
	Rules     []Rule
	NAT       []NAT
	NAT64     *NAT64
	Advertise []Advertisement
	Firewall  Firewall
	NetOnly   bool // as in HostConfig
}

// Router is the router with this name, as Host is the host. It panics if there is none.
func (e *Env) Router(name string) *Router { panic("still to be built") }

// AddRouter makes a router and plugs it in. It forwards when AddRouter returns.
func (e *Env) AddRouter(cfg RouterConfig) (*Router, error) { panic("still to be built") }
