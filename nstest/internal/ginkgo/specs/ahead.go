package specs

import (
	"cmp"
	"slices"
	"strings"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
)

// worthwhile is how many nodes a container has to have for a spare to construct it where the next spec may be another
// container's: what the spare saves for all its specs is more then than what it takes to start another process once.
const worthwhile = 100

// nextAmong is the container of the spec that runs after unit, for a spare to construct while unit runs; nil if that is not
// known, or not for a spare with this config. Ginkgo runs those in one container at the top level one after the other, unless it was
// asked not to.
func nextAmong(unit *node, config any) *node {
	suite, _ := ginkgo.GinkgoConfiguration()
	if unit == nil || suite.RandomizeAllSpecs || knownLayout() == nil {
		return nil
	}
	next := unit.next()
	if next == nil || next.group() != nil || next.staysHere() || next.environment() != config {
		return nil
	}
	if c := next.container; len(c.children) >= worthwhile || suite.ParallelTotal == 1 && allRun() {
		return c
	}
	return nil
}

// next is the unit after this one in the same container at the top level, nil if it is the last.
func (n *node) next() *node {
	top := n.path()[0]
	if top.turns == nil {
		top.takeTurns()
	}
	if n.turn+1 < len(top.turns) {
		return top.turns[n.turn+1]
	}
	return nil
}

// takeTurns brings the units in a container at the top level into the order in which Ginkgo runs them: by location, and where
// that is the same by text.
func (n *node) takeTurns() {
	n.turns = n.units(nil)
	slices.SortStableFunc(n.turns, func(a, b *node) int {
		one, other := a.path(), b.path()
		order := 0
		for i := 0; order == 0 && i < min(len(one), len(other)); i++ {
			order = cmp.Or(strings.Compare(one[i].location.FileName, other[i].location.FileName), cmp.Compare(one[i].location.LineNumber, other[i].location.LineNumber))
		}
		order = cmp.Or(order, cmp.Compare(len(one), len(other)))
		for i := 0; order == 0 && i < len(one); i++ {
			order = strings.Compare(one[i].text, other[i].text)
		}
		return order
	})
	for i, unit := range n.turns {
		unit.turn = i
	}
}

// units adds those in n, which may be one itself.
func (n *node) units(list []*node) []*node {
	if n.kind == types.NodeTypeIt || n.ordered && n.hasSpecs() {
		return append(list, n)
	}
	for _, c := range n.children {
		list = c.units(list)
	}
	return list
}

func (n *node) hasSpecs() bool {
	return n.kind == types.NodeTypeIt || slices.ContainsFunc(n.children, (*node).hasSpecs)
}

// path is the containers that n is in, from the top level on, and n.
func (n *node) path() []*node {
	if n.container == nil || n.container == tree.top {
		return []*node{n}
	}
	return append(n.container.path(), n)
}
