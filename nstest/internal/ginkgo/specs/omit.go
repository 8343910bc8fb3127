package specs

import (
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
)

// In a container of n specs a twin constructs n-1 that are none of its job's, and Ginkgo has to be given each of them. They are
// given to it as short as they can be, and taken out of the tree before the next node is constructed. Even their locations,
// by which the tree is compared with the original's, are those that Ginkgo finds: to find one takes longer than all else.
//
// A spare does not know yet which of the specs is its job's. It gives Ginkgo all of them, and takes them out when it does.

// beside says which of the specs directly in a container are the job's.
type beside struct {
	only int  // the number of the only one; -1 if there is none
	all  bool // of them
	any  bool // of them: which is not known yet
}

func (p *performer) beside(c *node) beside {
	switch {
	case p.job.Layout == nil || c.group() != nil:
		return beside{all: true}
	case p.job.Among == c.id:
		return beside{any: true}
	}
	return beside{only: p.job.number(c)}
}

// number is which of the nodes directly in c is the job's unit, -1 if none is.
func (j *job) number(c *node) int {
	rest, ok := strings.CutPrefix(j.Unit, c.id+".")
	if i, err := strconv.Atoi(rest); ok && err == nil {
		return i
	}
	return -1
}

// addFresh notes a spec that Ginkgo is about to construct and the job does not need, or may not need. It returns what Ginkgo is
// to be given for it. Any other node is not for it.
func (p *performer) addFresh(kind types.NodeType, text string, args []any) (_ []any, ok bool) {
	c := tree.current
	if c == tree.top || kind != types.NodeTypeIt || c.beside.all || c.beside.only == len(c.children) && !c.beside.any {
		return nil, false
	}
	n := &node{kind: kind, text: text, container: c}
	c.children = append(c.children, n)
	c.fresh = n
	if c.beside.any {
		return n.performed(slices.DeleteFunc(args, func(arg any) bool { _, ok := arg.(Decorator); return ok })), true
	}
	return append(places(args), ginkgo.Pending), true
}

// settleFresh has Ginkgo's location for the node that was added last, and takes it out of Ginkgo's tree if it is not needed.
func (p *performer) settleFresh() {
	c := tree.current
	n := c.fresh
	if n == nil {
		return
	}
	c.fresh = nil
	last := p.job.Layout.last()
	n.location = *p.job.Layout.location(last)
	if c.beside.any {
		n.ginkgo = last
	} else {
		p.job.Layout.drop()
	}
}

// choose waits, in a spare whose container c is constructed, for the job: which of the specs in it to run. The others are taken
// out of Ginkgo's tree.
func (p *performer) choose(c *node) {
	c.digest()
	rehearse()
	p.awaitChoice()
	chosen, rest := p.job.number(c), c.children
	p.job.Layout.filter(func(place unsafe.Pointer) bool {
		i := slices.IndexFunc(rest, func(n *node) bool { return n.ginkgo == place }) // they are in the same order
		if i < 0 {
			return true
		}
		n, number := rest[i], len(c.children)-len(rest)+i
		rest, n.ginkgo = rest[i+1:], nil
		if number != chosen {
			return false
		}
		n.id, n.location = c.childID(number), marked(n.location)
		*p.job.Layout.location(place) = n.location
		tree.known[mark(n.location)] = n
		return true
	})
}

// awaitChoice waits for the job, if there is none yet.
func (p *performer) awaitChoice() {
	if p.job.Among != "" {
		p.job = <-p.chosen
	}
}
