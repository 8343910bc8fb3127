package specs

import (
	"runtime"

	"github.com/onsi/ginkgo/v2/types"
)

// construct runs the body of a container, if the job needs it.
func (p *performer) construct(n *node, body func()) {
	if p == nil { // the program previews its specs
		defer n.enter()()
		body()
		return
	}
	if n.location == (types.CodeLocation{}) && p.job.Layout != nil {
		n.location = *p.job.Layout.location(p.job.Layout.container())
	}
	want, ok := p.job.Enter[n.id]
	if !ok {
		p.job.Layout.leave()
		return
	}
	if n.container == tree.top {
		defer p.pretend()()
	}
	n.beside = p.beside(n)
	func() {
		defer n.enter()()
		apart(body)
		p.settleFresh()
	}()
	if n.beside.any {
		p.choose(n)
	}
	p.job.Layout.keep(p.needs)
	p.check(n, want)
}

// apart calls f on a goroutine of its own: there the stack is short, which Ginkgo looks through for every node.
func apart(f func()) {
	var (
		failure  any
		finished bool
		ended    = make(chan struct{})
	)
	go func() {
		defer close(ended)
		defer func() {
			if !finished {
				failure = recover()
			}
		}()
		f()
		finished = true
	}()
	<-ended
	switch {
	case failure != nil:
		panic(failure)
	case !finished:
		runtime.Goexit()
	}
}

// check compares a container with what it is like in the original.
func (p *performer) check(n *node, want uint64) {
	is := n.digest
	if n == tree.top && p.job.Layout == nil {
		is = n.digestTexts
	}
	if p.differs == nil && is() != want {
		p.differs = &differs{Container: n.id, Children: n.signatures()}
	}
}

// leavesOut reports whether a spec is none of the job's.
func (p *performer) leavesOut(n *node) bool { return p != nil && n.unit().id != p.job.Unit }

// needs reports whether a node has to be in the tree. Containers see to that themselves.
func (p *performer) needs(n *node) bool { return n.kind != types.NodeTypeIt || !p.leavesOut(n) }
