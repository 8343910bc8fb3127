package specs

import (
	"strconv"
	"strings"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
)

// In a container of n specs a twin constructs n-1 that are none of its job's, and Ginkgo has to be given each of them. They are
// given to it as short as they can be, and taken out of the tree before the next node is constructed. Even their locations,
// by which the tree is compared with the original's, are those that Ginkgo finds: to find one takes longer than all else.

// beside says which of the specs directly in a container are the job's.
type beside struct {
	only int // the number of the only one; -1 if there is none
	all  bool
}

func (p *performer) beside(c *node) beside {
	if p.job.Layout == nil || c.group() != nil {
		return beside{all: true}
	}
	rest, ok := strings.CutPrefix(p.job.Unit, c.id+".")
	if i, err := strconv.Atoi(rest); ok && err == nil {
		return beside{only: i}
	}
	return beside{only: -1}
}

// omit notes a spec that Ginkgo is about to construct and the job does not need. It returns what Ginkgo is to be given for it,
// and nil for any other node.
func (p *performer) omit(kind types.NodeType, text string, args []any) []any {
	c := tree.current
	if c == tree.top || kind != types.NodeTypeIt || c.beside.all || c.beside.only == len(c.children) {
		return nil
	}
	n := &node{kind: kind, text: text, container: c}
	c.children = append(c.children, n)
	c.omitted = n
	rest := append(make([]any, 0, 2), ginkgo.Pending)
	for _, arg := range args {
		switch arg.(type) {
		case types.CodeLocation, ginkgo.Offset:
			rest = append(rest, arg)
		}
	}
	return rest
}

// dropOmitted takes the node that was omitted last out of Ginkgo's tree.
func (p *performer) dropOmitted() {
	if n := tree.current.omitted; n != nil {
		tree.current.omitted = nil
		n.location = p.job.Layout.drop()
	}
}
