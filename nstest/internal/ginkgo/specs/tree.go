package specs

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unsafe"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
)

// A node is one of the tree of specs, as it is being constructed: in the original all of it, in a twin what the job
// needs. Its id says where it stands: the positions in the enclosing containers, from the top, counted from 0. It is the
// same in all processes, if the tree is.
type node struct {
	id        string
	kind      types.NodeType
	text      string
	location  types.CodeLocation
	container *node // nil above the top
	children  []*node
	ordered   bool
	inProcess bool
	config    any

	sum      uint64 // digest of so many children
	digested int

	turns []*node // of a container at the top level in the original
	turn  int     // of a unit, there

	beside beside         // of a container that a twin constructs
	fresh  *node          // in it, whose location Ginkgo has found and we have not asked for yet
	ginkgo unsafe.Pointer // Ginkgo's, of a spec that may be the job's
}

// tree is the tree of this process, without nodes that report. One goroutine at a time constructs it.
var tree = newTree()

type nodes struct {
	top     *node // above everything
	current *node // the container whose body runs
	known   map[*byte]*node
}

func newTree() *nodes {
	top := &node{kind: types.NodeTypeContainer}
	return &nodes{top: top, current: top, known: map[*byte]*node{}}
}

// add notes a node that Ginkgo is about to construct. It returns the node and those of its arguments that are not for
// us; the node's location is to be added to them.
func add(kind types.NodeType, text string, location types.CodeLocation, args []any) (*node, []any, error) {
	c := tree.current
	n := &node{id: c.childID(len(c.children)), kind: kind, text: text, location: location, container: c}
	c.children = append(c.children, n)
	var rest []any
	var decorators []Decorator
	for _, arg := range args {
		switch v := arg.(type) {
		case Decorator:
			decorators = append(decorators, v)
		case types.CodeLocation:
			n.location = v
		case ginkgo.Offset: // is in location
		default:
			n.ordered = n.ordered || reflect.TypeOf(arg) == reflect.TypeOf(ginkgo.Ordered)
			rest = append(rest, arg)
		}
	}
	if err := n.decorate(decorators); err != nil {
		return nil, nil, err
	}
	if n.location != (types.CodeLocation{}) {
		n.location = marked(n.location)
		tree.known[mark(n.location)] = n
	}
	return n, rest, nil
}

func (n *node) childID(i int) string {
	if n.id == "" {
		return strconv.Itoa(i)
	}
	return n.id + "." + strconv.Itoa(i)
}

// Ginkgo reports a spec by the location of its node, which several may have in common. So each node's has a file name
// at an address of its own, which survives wherever the location is copied to and is seen by nobody.
func marked(l types.CodeLocation) types.CodeLocation {
	if l.FileName != "" {
		l.FileName = strings.Clone(l.FileName)
	} else {
		l.CustomMessage = strings.Clone(l.CustomMessage)
	}
	return l
}

func mark(l types.CodeLocation) *byte {
	if l.FileName != "" {
		return unsafe.StringData(l.FileName)
	}
	return unsafe.StringData(l.CustomMessage)
}

// at is the node with this location, nil if it is none of the tree's.
func at(l types.CodeLocation) *node { return tree.known[mark(l)] }

// enter makes n the container that is constructed, until leave is called.
func (n *node) enter() (leave func()) {
	outer := tree.current
	n.children, n.digested = nil, 0 // Ginkgo may construct more than once
	tree.current = n
	return func() { tree.current = outer }
}

// group is the outermost Ordered container that n is or is in: its specs run in one environment.
func (n *node) group() (g *node) {
	for ; n != nil; n = n.container {
		if n.ordered {
			g = n
		}
	}
	return g
}

// unit is what runs in one environment: the group, or else the spec.
func (n *node) unit() *node {
	if g := n.group(); g != nil {
		return g
	}
	return n
}

// staysHere reports whether n runs in the original.
func (n *node) staysHere() bool {
	for ; n != nil; n = n.container {
		if n.inProcess {
			return true
		}
	}
	return false
}

// environment is the innermost config.
func (n *node) environment() any {
	for ; n != nil; n = n.container {
		if n.config != nil {
			return n.config
		}
	}
	return nil
}

// fullText is the text of a spec with those of its containers.
func (n *node) fullText() string {
	var texts []string
	for ; n != nil; n = n.container {
		if n.text != "" {
			texts = append([]string{n.text}, texts...)
		}
	}
	return strings.Join(texts, " ")
}

// walk calls f for n and everything below.
func (n *node) walk(f func(*node)) {
	f(n)
	for _, c := range n.children {
		c.walk(f)
	}
}

// signature says what a node is, without its position.
func (n *node) signature() string {
	return fmt.Sprintf("%s %q at %s", n.kind, n.text, n.location)
}

// digest says which nodes are directly in a container, and in which order.
func (n *node) digest() uint64 {
	if n.digested != len(n.children) {
		n.sum, n.digested = n.digestOf(func(c *node) types.CodeLocation { return c.location }), len(n.children)
	}
	return n.sum
}

// digestTexts is a digest that leaves out where the nodes are.
func (n *node) digestTexts() uint64 {
	return n.digestOf(func(*node) types.CodeLocation { return types.CodeLocation{} })
}

func (n *node) digestOf(location func(*node) types.CodeLocation) uint64 {
	d := newDigest()
	file := ""
	for _, c := range n.children {
		l := location(c)
		d.addString(c.text)
		if l.FileName != file { // most are in one file
			file = l.FileName
			d.addString(file)
		}
		d.add(uint64(c.kind))
		d.add(uint64(l.LineNumber))
	}
	return uint64(d)
}

// A digest is FNV-1a over 64 bits, and adds numbers as a whole.
type digest uint64

func newDigest() digest { return 14695981039346656037 }

func (d *digest) add(n uint64) { *d = (*d ^ digest(n)) * 1099511628211 }

func (d *digest) addString(s string) {
	for i := range len(s) {
		d.add(uint64(s[i]))
	}
	d.add(1 << 8) // is in no string
}

func (n *node) signatures() []string {
	var list []string
	for _, c := range n.children {
		list = append(list, c.signature())
	}
	return list
}

// difference names the first node by which a container differs from what it was like in a twin.
func (n *node) difference(there []string) string {
	here := n.signatures()
	where := "at the top level"
	if n.id != "" {
		where = "in " + n.signature()
	}
	for i := range max(len(here), len(there)) {
		a, b := "nothing", "nothing"
		if i < len(here) {
			a = here[i]
		}
		if i < len(there) {
			b = there[i]
		}
		if a != b {
			return fmt.Sprintf("the tree of specs is not built the same way each time: %s, node %d is %s in the suite's process and %s in the spec's.\n"+
				"Build it in an order that does not change: a map, for one, has none.", where, i+1, a, b)
		}
	}
	return ""
}
