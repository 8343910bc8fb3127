package draw

import (
	"cmp"
	"math"
	"slices"
)

// A component is nodes that are connected, and where they are from a corner of their own.
type component struct {
	l      *layout
	nodes  []*node
	layers [][]*node
	w, h   int
}

func (c *component) arrange() {
	c.assignLayers(c.roots())
	c.stretchBars()
	c.untangle()
	c.placeX()
	c.attach()
	c.placeY()
}

// distances are how far every node is from the nearest of some.
func (c *component) distances(from ...*node) map[*node]int {
	d := make(map[*node]int, len(c.nodes))
	for _, n := range from {
		d[n] = 0
	}
	for queue := slices.Clone(from); len(queue) > 0; queue = queue[1:] {
		for _, e := range queue[0].edges {
			n := e.far(queue[0])
			if _, seen := d[n]; !seen {
				d[n] = d[queue[0]] + 1
				queue = append(queue, n)
			}
		}
	}
	return d
}

// mostExact is how many nodes a component has at most for its middle to be looked for everywhere; in larger ones it is the
// node with the most cables.
const mostExact = 400

// roots is what the top layer is made of: the middle, and what is connected to the same others, as are the spines of a
// fabric. All roots are networks, or none is.
func (c *component) roots() []*node {
	var root *node
	best := math.MaxInt
	for _, n := range c.nodes {
		eccentricity := 0
		if len(c.nodes) <= mostExact {
			for _, d := range c.distances(n) {
				eccentricity = max(eccentricity, d)
			}
		}
		if score := eccentricity*1e6 - len(n.edges); score < best {
			best, root = score, n
		}
	}
	out := []*node{root}
	theirs := c.beyond(root)
	for _, n := range c.nodes {
		if n != root && len(theirs) > 1 && len(n.machines) == len(root.machines) && (n.network < 0) == (root.network < 0) && slices.Equal(c.beyond(n), theirs) {
			out = append(out, n)
		}
	}
	return out
}

// beyond are the neighbours of the neighbours, by their ids.
func (c *component) beyond(n *node) []int {
	var out []int
	for _, e := range n.edges {
		for _, f := range e.far(n).edges {
			if m := f.far(e.far(n)); m != n {
				out = append(out, m.id)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// assignLayers puts every node as many layers below a root as it is away from it. Each cable is between layers that are
// neighbours, as networks and machines take turns.
func (c *component) assignLayers(roots []*node) {
	d := c.distances(roots...)
	seen := map[*node]bool{}
	var visit func(n *node)
	visit = func(n *node) { // depth first, so that a tree has no crossing
		if seen[n] {
			return
		}
		seen[n] = true
		n.layer = d[n]
		for len(c.layers) <= n.layer {
			c.layers = append(c.layers, nil)
		}
		c.layers[n.layer] = append(c.layers[n.layer], n)
		for _, e := range n.edges {
			if far := e.far(n); d[far] > d[n] {
				visit(far)
			}
		}
	}
	for _, r := range roots {
		visit(r)
	}
}

// stretchBars makes a network as wide as what hangs on it, each machine on the first of its networks above.
func (c *component) stretchBars() {
	taken := map[*node]bool{}
	for _, layer := range c.layers {
		for _, n := range layer {
			if n.network < 0 {
				continue
			}
			span, up, down := 0, 0, 0
			for _, e := range n.edges {
				if e.other.layer < n.layer {
					up++
					continue
				}
				down++
				if !taken[e.other] {
					taken[e.other] = true
					span += e.other.w + gap
				}
			}
			n.w = max(n.w, span-gap, max(up, down)*tapGap+2*corner)
			if lines := wideBarLines(c.l.g.Networks[n.network]); len(lines) > 0 {
				if w, h := size(lines); w <= n.w {
					n.h = h
				}
			}
		}
	}
}

// untangle orders the nodes of each layer so that few cables cross, by the mean place of their neighbours.
func (c *component) untangle() {
	best, fewest := c.order(), c.crossings()
	for round := 0; round < 12 && fewest > 0; round++ {
		for i := range c.layers {
			layer, fixed := c.layers[i], i-1
			if round%2 == 1 {
				layer, fixed = c.layers[len(c.layers)-1-i], len(c.layers)-i
			}
			if fixed < 0 || fixed >= len(c.layers) {
				continue
			}
			place := map[*node]float64{}
			for k, n := range c.layers[fixed] {
				place[n] = float64(k)
			}
			mean := map[*node]float64{}
			for k, n := range layer {
				sum, count := 0.0, 0.0
				for _, e := range n.edges {
					if far := e.far(n); far.layer == fixed {
						sum, count = sum+place[far], count+1
					}
				}
				if mean[n] = float64(k); count > 0 {
					mean[n] = sum / count
				}
			}
			slices.SortStableFunc(layer, func(a, b *node) int { return cmp.Compare(mean[a], mean[b]) })
		}
		if n := c.crossings(); n < fewest {
			best, fewest = c.order(), n
		}
	}
	c.layers = best
}

func (c *component) order() [][]*node {
	var out [][]*node
	for _, l := range c.layers {
		out = append(out, slices.Clone(l))
	}
	return out
}

// mostCounted is how many edges a component has at most for its crossings to be counted.
const mostCounted = 3000

func (c *component) crossings() int {
	place := map[*node]int{}
	for _, l := range c.layers {
		for i, n := range l {
			place[n] = i
		}
	}
	ends := make([][][2]int, len(c.layers)) // by the upper layer
	total := 0
	for _, n := range c.nodes {
		for _, e := range n.edges {
			if far := e.far(n); far.layer > n.layer {
				ends[n.layer] = append(ends[n.layer], [2]int{place[n], place[far]})
				total++
			}
		}
	}
	if total > mostCounted {
		return 0
	}
	count := 0
	for _, es := range ends {
		for i, a := range es {
			for _, b := range es[i+1:] {
				if (a[0]-b[0])*(a[1]-b[1]) < 0 {
					count++
				}
			}
		}
	}
	return count
}

// placeX moves the nodes of each layer to the middle of their neighbours, as far as the others let them, until that has
// settled.
func (c *component) placeX() {
	for _, layer := range c.layers {
		x := 0
		for _, n := range layer {
			n.x = x
			x += n.w + gap
		}
	}
	const rounds = 40
	for round := range rounds {
		for i := range c.layers {
			k := i
			if round%2 == 1 {
				k = len(c.layers) - 1 - i
			}
			c.center(c.layers[k], round%2 == 0, round >= rounds-2)
		}
	}
	left, right := math.MaxInt, 0
	for _, n := range c.nodes {
		left = min(left, n.x)
	}
	for _, n := range c.nodes {
		n.x -= left
		right = max(right, n.x+n.w)
	}
	c.w = right
}

// center moves a layer below what is above it, or above what is below it, or in the end to the middle of both.
func (c *component) center(layer []*node, below, both bool) {
	want := make([]float64, len(layer))
	widths := make([]float64, len(layer))
	for i, n := range layer {
		sum, count := 0.0, 0.0
		for _, e := range n.edges {
			if far := e.far(n); both || (far.layer < n.layer) == below {
				sum, count = sum+float64(far.x)+float64(far.w)/2, count+1
			}
		}
		widths[i] = float64(n.w)
		if want[i] = float64(n.x); count > 0 {
			want[i] = sum/count - widths[i]/2
		}
	}
	for i, x := range spread(want, widths, gap) {
		layer[i].x = int(math.Round(x))
	}
}

// spread returns places for intervals of these widths that are in order, do not overlap, have distance between them, and
// are as near as possible to the wanted ones: a regression that only rises, by pooling what would fall.
func spread(want, widths []float64, distance float64) []float64 {
	type pool struct {
		sum   float64
		count int
	}
	var pools []pool
	offsets := make([]float64, len(want))
	offset := 0.0
	for i, w := range want {
		offsets[i] = offset
		pools = append(pools, pool{w - offset, 1})
		offset += widths[i] + distance
		for k := len(pools) - 1; k > 0 && pools[k].sum/float64(pools[k].count) < pools[k-1].sum/float64(pools[k-1].count); k-- {
			pools[k-1].sum += pools[k].sum
			pools[k-1].count += pools[k].count
			pools = pools[:k]
		}
	}
	out := make([]float64, 0, len(want))
	for _, p := range pools {
		for range p.count {
			out = append(out, p.sum/float64(p.count)+offsets[len(out)])
		}
	}
	return out
}

// attach says where on the nodes the cables begin and end: first on machines, then on bars, as straight above or below as
// there is room.
func (c *component) attach() {
	for _, layer := range c.layers {
		for _, n := range layer {
			if n.network >= 0 {
				continue
			}
			for _, side := range c.sides(n) {
				for i, e := range side {
					e.otherX = n.x + n.w/2 + (2*i-len(side)+1)*portGap/2
					if len(n.machines) > 1 {
						e.otherX = n.x + corner + tapGap*(len(n.machines)-1-e.member) // so that they do not cross
					}
					if n.join >= 0 {
						e.otherX = n.x + n.w/2
					}
				}
			}
		}
	}
	for _, n := range c.nodes {
		if n.network < 0 {
			continue
		}
		for _, side := range c.sides(n) {
			c.tap(n, side)
		}
	}
}

// sides are a node's cables upwards and downwards, each from left to right.
func (c *component) sides(n *node) [2][]*edge {
	var out [2][]*edge
	for _, e := range n.edges {
		k := 0
		if e.far(n).layer > n.layer {
			k = 1
		}
		out[k] = append(out[k], e)
	}
	end := func(e *edge) int {
		if far := e.far(n); n.network < 0 {
			return 2*far.x + far.w
		}
		return e.otherX
	}
	for _, s := range out {
		slices.SortStableFunc(s, func(a, b *edge) int { return cmp.Compare(end(a), end(b)) })
	}
	return out
}

// tap connects the cables of one side of a bar.
func (c *component) tap(n *node, side []*edge) {
	if len(side) == 0 {
		return
	}
	left, right := float64(n.x+corner), float64(n.x+n.w-corner)
	distance := float64(tapGap)
	if len(side) > 1 {
		distance = min(distance, (right-left)/float64(len(side)-1))
	}
	want := make([]float64, len(side))
	for i, e := range side {
		before, after := float64(i)*distance, float64(len(side)-1-i)*distance
		want[i] = min(max(float64(e.otherX), left+before), right-after)
	}
	for i, x := range spread(want, make([]float64, len(side)), distance) {
		side[i].barX = int(math.Round(x))
	}
}

// placeY puts the layers below each other, with more room where cables go far to the side.
func (c *component) placeY() {
	y := 0
	for i, layer := range c.layers {
		height, aside := 0, 0
		for _, n := range layer {
			n.y = y
			height = max(height, n.h)
			for _, e := range n.edges {
				if e.far(n).layer == i+1 {
					d := e.barX - e.otherX
					aside = max(aside, d, -d)
				}
			}
		}
		for _, n := range layer {
			n.floor = y + height
		}
		c.h = y + height
		y += height + min(max(minLayer, minLayer+aside/8), maxLayer)
	}
}
