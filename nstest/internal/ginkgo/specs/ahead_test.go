package specs

import (
	"testing"

	"github.com/onsi/ginkgo/v2/types"
)

// plant makes a node of the tree of this process, and takes it out again.
func plant(t *testing.T, kind types.NodeType, in *node, text string, line int) *node {
	t.Helper()
	n := &node{
		id: in.childID(len(in.children)), kind: kind, text: text, container: in,
		location: types.CodeLocation{FileName: "a_test.go", LineNumber: line},
	}
	before := in.children
	in.children = append(before, n)
	t.Cleanup(func() { in.children = before })
	return n
}

// The order is Ginkgo's.
func TestNext(t *testing.T) {
	const it, container = types.NodeTypeIt, types.NodeTypeContainer
	one := plant(t, container, tree.top, "one", 1)
	plant(t, types.NodeTypeBeforeEach, one, "", 2)
	first := plant(t, it, one, "first", 3)
	inner := plant(t, container, one, "inner", 4)
	plant(t, container, inner, "empty", 5)
	z := plant(t, it, inner, "z", 6)
	y := plant(t, it, inner, "y", 6) // in a loop: by text
	ordered := plant(t, container, one, "ordered", 7)
	ordered.ordered = true
	plant(t, it, ordered, "in order", 9)
	plant(t, it, ordered, "after it", 8)
	nothing := plant(t, container, one, "ordered, with nothing in it", 10)
	nothing.ordered = true
	late := plant(t, it, one, "late", 12)
	early := plant(t, it, one, "early", 11)
	two := plant(t, container, tree.top, "two", 13)
	only := plant(t, it, two, "only", 14)
	top := plant(t, it, tree.top, "at the top", 15)
	for _, step := range []struct{ unit, next *node }{
		{first, y}, {y, z}, {z, ordered}, {ordered, early}, {early, late}, {late, nil}, // which one at the top is next is Ginkgo's to choose
		{only, nil}, {top, nil},
	} {
		if got := step.unit.next(); got != step.next {
			t.Errorf("after %q comes %v, want %v", step.unit.text, got, step.next)
		}
	}
}

// A container whose nodes are others has another digest.
func TestDigest(t *testing.T) {
	digest := func(nodes ...node) uint64 {
		c := &node{}
		for _, n := range nodes {
			c.children = append(c.children, &n)
		}
		return c.digest()
	}
	a := node{kind: types.NodeTypeIt, text: "a", location: types.CodeLocation{FileName: "a.go", LineNumber: 1}}
	b := node{kind: types.NodeTypeIt, text: "b", location: types.CodeLocation{FileName: "a.go", LineNumber: 2}}
	otherText, otherKind, otherFile, otherLine := a, a, a, a
	otherText.text = "aa"
	otherKind.kind = types.NodeTypeContainer
	otherFile.location.FileName = "b.go"
	otherLine.location.LineNumber = 257
	seen := map[uint64]int{}
	for i, list := range [][]node{{}, {a}, {b}, {a, b}, {b, a}, {a, a}, {otherText}, {otherKind}, {otherFile}, {otherLine}, {a, otherFile}, {a, otherFile, a}} {
		sum := digest(list...)
		if j, ok := seen[sum]; ok {
			t.Errorf("lists %d and %d have the same digest", i, j)
		}
		if sum != digest(list...) {
			t.Errorf("list %d has two digests", i)
		}
		seen[sum] = i
	}
}
