package nstest

// A Topology is what an environment looks like at one moment: networks, hosts, routers, cables and what is broken.
type Topology struct{}

// Topology looks at the environment.
func (e *Env) Topology() (*Topology, error) { panic("still to be built") }

// String is a text for people.
func (t *Topology) String() string { panic("still to be built") }

// DOT is the topology in the language of Graphviz.
func (t *Topology) DOT() string { panic("still to be built") }

// SVG is a drawing that needs nothing else.
func (t *Topology) SVG() string { panic("still to be built") }
