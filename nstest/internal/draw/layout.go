package draw

import (
	"cmp"
	"math"
	"slices"
)

// Distances, in pixels.
const (
	margin    = 24
	gap       = 28 // between neighbours of a layer
	rowGap    = 14 // between machines of a stack
	portGap   = 36 // between the cables of a machine: there are their names
	tapGap    = 10 // between the cables of a bar
	minLayer  = 52 // between two layers
	maxLayer  = 130
	padX      = 12
	corner    = 16 // of a bar: no cable ends there
	inARow    = 5  // hosts below one network before they are stacked
	pageWidth = 1400
)

// A node is something that has a place: a network, a machine, several machines that are on one network alone, or a join.
type node struct {
	network  int   // or -1
	machines []int // one, or several on top of each other
	join     int   // or -1

	x, y, w, h int
	boxes      []box // where the machines are, from x and y
	layer      int
	floor      int // where the layer ends
	id         int
	component  int
	edges      []*edge
}

// A box is a rectangle.
type box struct{ x, y, w, h int }

// An edge is a cable, or one half of a join. Its ends are in layers next to each other.
type edge struct {
	bar, other   *node // bar is the network's
	machine      int   // or -1: half of a join
	member       int   // which of other's machines
	cable        int   // of the machine's
	barX, otherX int   // where it begins and ends
}

// far is the other end.
func (e *edge) far(n *node) *node {
	if e.bar == n {
		return e.other
	}
	return e.bar
}

// A layout is where everything is. Networks and what hangs on them are in layers by turns, so that no cable crosses a box.
type layout struct {
	g      *Graph
	nodes  []*node
	edges  []*edge
	width  int
	height int
}

func newLayout(g *Graph) *layout {
	l := &layout{g: g}
	l.gather()
	l.separate()
	var parts []*component
	for _, nodes := range l.components() {
		c := &component{l: l, nodes: nodes}
		c.arrange()
		parts = append(parts, c)
	}
	l.pack(parts)
	return l
}

// gather makes the nodes and edges.
func (l *layout) gather() {
	bars := make([]*node, len(l.g.Networks))
	for i := range l.g.Networks {
		bars[i] = l.add(&node{network: i, join: -1})
	}
	leaves := make([][]int, len(bars)) // machines that are on this network alone
	for i, m := range l.g.Machines {
		if len(m.Cables) == 1 && !m.Router {
			n := m.Cables[0].Network
			leaves[n] = append(leaves[n], i)
			continue
		}
		n := l.add(&node{network: -1, join: -1, machines: []int{i}})
		for k, c := range m.Cables {
			l.connect(&edge{bar: bars[c.Network], other: n, machine: i, cable: k})
		}
	}
	for i, machines := range leaves {
		for stack := range slices.Chunk(machines, stackHeight(len(machines))) {
			n := l.add(&node{network: -1, join: -1, machines: stack})
			for k, m := range stack {
				l.connect(&edge{bar: bars[i], other: n, machine: m, member: k})
			}
		}
	}
	for i, j := range l.g.Joins {
		n := l.add(&node{network: -1, join: i})
		l.connect(&edge{bar: bars[j.From], other: n, machine: -1})
		l.connect(&edge{bar: bars[j.To], other: n, machine: -1})
	}
	for _, n := range l.nodes {
		l.measure(n)
	}
}

// stackHeight is how many of n hosts are on top of each other, so that they take about twice the room in width that they
// take in height.
func stackHeight(n int) int {
	if n <= inARow {
		return 1
	}
	return max(2, int(math.Ceil(math.Sqrt(float64(n)))))
}

func (l *layout) add(n *node) *node {
	n.id = len(l.nodes)
	l.nodes = append(l.nodes, n)
	return n
}

func (l *layout) connect(e *edge) {
	e.bar.edges = append(e.bar.edges, e)
	e.other.edges = append(e.other.edges, e)
	l.edges = append(l.edges, e)
}

// measure sets the sizes that do not depend on others. A bar is stretched over what hangs on it later.
func (l *layout) measure(n *node) {
	switch {
	case n.join >= 0:
		n.w, n.h = textWidth(short(l.g.Joins[n.join].Label, maxText), smallText)+2*padX, 20
	case n.network >= 0:
		n.w, n.h = size(barLines(l.g.Networks[n.network]))
	default:
		gutter := 0
		if len(n.machines) > 1 {
			gutter = corner + tapGap*len(n.machines)
		}
		y := 0
		for _, i := range n.machines {
			w, h := l.machineSize(i)
			n.boxes = append(n.boxes, box{gutter, y, w, h})
			n.w, n.h = max(n.w, gutter+w), y+h
			y += h + rowGap
		}
		for i := range n.boxes {
			n.boxes[i].w = n.w - gutter
		}
	}
}

func (l *layout) machineSize(i int) (w, h int) {
	m := &l.g.Machines[i]
	w, h = size(machineLines(m))
	if m.Router {
		w += 2 * hexagon
	}
	if marks := len(l.g.marks(i)); marks > 0 {
		w = max(w, (marks+1)*(markWidth+4))
	}
	return max(w, len(m.Cables)*portGap), h
}

// separate numbers the parts that are not connected.
func (l *layout) separate() {
	for _, n := range l.nodes {
		n.component = -1
	}
	count := 0
	for _, first := range l.nodes {
		if first.component >= 0 {
			continue
		}
		first.component = count
		for queue := []*node{first}; len(queue) > 0; queue = queue[1:] {
			for _, e := range queue[0].edges {
				if n := e.far(queue[0]); n.component < 0 {
					n.component = count
					queue = append(queue, n)
				}
			}
		}
		count++
	}
}

// components are the parts, the largest first.
func (l *layout) components() [][]*node {
	var out [][]*node
	for _, n := range l.nodes {
		if n.component == len(out) {
			out = append(out, nil)
		}
		out[n.component] = append(out[n.component], n)
	}
	slices.SortStableFunc(out, func(a, b []*node) int { return cmp.Compare(len(b), len(a)) })
	return out
}

// pack puts the parts beside each other, in rows.
func (l *layout) pack(parts []*component) {
	limit := pageWidth
	for _, c := range parts {
		limit = max(limit, c.w)
	}
	x, y, rowHeight := 0, 0, 0
	for _, c := range parts {
		if x > 0 && x+c.w > limit {
			x, y, rowHeight = 0, y+rowHeight+2*gap, 0
		}
		for _, n := range c.nodes {
			n.x += x + margin
			n.y += y + margin
			n.floor += y + margin
			for _, e := range n.edges {
				if e.bar == n {
					e.barX += x + margin
					e.otherX += x + margin
				}
			}
		}
		l.width, l.height = max(l.width, x+c.w), max(l.height, y+c.h)
		x += c.w + 2*gap
		rowHeight = max(rowHeight, c.h)
	}
	l.width += 2 * margin
	l.height += 2 * margin
}
