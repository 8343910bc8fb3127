package specs

import (
	"context"
	"reflect"
	"slices"
	"sync/atomic"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"

	"github.com/hermetic-go/nstest/nstest/internal/twin"
)

// Register has Ginkgo show us every node before it constructs it. Nodes at the top level are constructed before any test
// runs; so it is called from an init function. Until Run is called nothing else changes for a suite, but that our
// decorators may be used in it, and that those nodes have one more call on their stacks, which no location and no pruned
// stack trace shows.
func Register() {
	if isTwin() {
		deferCollection()
	}
	ginkgo.AddTreeConstructionNodeArgsTransformer(transform)
}

// Work is what twins of this package are for.
const Work = "specs"

// isTwin reports whether the process is one of them.
func isTwin() bool {
	self := twin.This()
	return self != nil && self.Work == Work
}

// own marks nodes of ours.
type own struct{}

// underWay is set when the first node runs. From then on the tree is complete: what is constructed later is for Ginkgo
// to refuse, or belongs to a suite that a spec runs.
var underWay atomic.Bool

// transform is Ginkgo's NodeArgsTransformer. It takes the location itself, as that counts callers.
func transform(kind types.NodeType, offset ginkgo.Offset, text string, args []any) (string, []any, []error) {
	if underWay.Load() {
		return text, args, nil
	}
	if p := thePerformer; p != nil {
		p.settleFresh()
		if rest, ok := p.addFresh(kind, text, args); ok {
			return text, rest, nil
		}
	}
	var location types.CodeLocation
	lent := kind == types.NodeTypeContainer && isTwin() && thePerformer == nil && tree.current == tree.top
	if !lent { // else it is Ginkgo's, in construct
		location = types.NewCodeLocation(int(offset))
	}
	for i, arg := range args {
		if _, ok := arg.(own); ok {
			return text, append(args[:i:i], args[i+1:]...), nil
		}
	}
	if kind.Is(reportNodes) { // reports are the original's, and some are added there alone
		if i := slices.IndexFunc(args, func(arg any) bool { _, ok := arg.(Decorator); return ok }); i >= 0 {
			return text, nil, []error{(&node{kind: kind, location: location}).decorate([]Decorator{args[i].(Decorator)})}
		}
		if isTwin() {
			args = slices.Clone(args)
			silence(args)
		}
		return text, args, nil
	}
	n, rest, err := add(kind, text, location, args)
	if err != nil {
		return text, nil, []error{err}
	}
	if isTwin() {
		if n.kind == types.NodeTypeIt && thePerformer.leavesOut(n) {
			rest = []any{ginkgo.Pending}
		} else {
			rest = n.performed(rest)
		}
	} else {
		rest = n.delegated(rest)
	}
	if lent {
		return text, append(rest, places(args)...), nil
	}
	return text, append(rest, n.location), nil
}

// places are those of a node's arguments that say where it is.
func places(args []any) []any {
	return slices.DeleteFunc(slices.Clone(args), func(arg any) bool {
		switch arg.(type) {
		case types.CodeLocation, ginkgo.Offset:
			return false
		}
		return true
	})
}

// silence makes bodies do nothing.
func silence(args []any) {
	for i, arg := range args {
		if t := reflect.TypeOf(arg); t != nil && t.Kind() == reflect.Func {
			args[i] = reflect.MakeFunc(t, func([]reflect.Value) []reflect.Value {
				out := make([]reflect.Value, t.NumOut())
				for j := range out {
					out[j] = reflect.Zero(t.Out(j))
				}
				return out
			}).Interface()
		}
	}
}

// delegated are the arguments of a node in the original: its bodies ask a twin first. They need not where there are no
// twins, which is known inside of containers.
func (n *node) delegated(args []any) []any {
	bodies := 0
	for i, arg := range args {
		switch v := arg.(type) {
		case types.AroundNodeDecorator:
			args[i] = aroundHere(v)
			continue
		case func():
			if n.kind == types.NodeTypeContainer {
				args[i] = func() {
					ginkgo.GinkgoHelper()
					defer n.enter()()
					v()
				}
				continue
			}
		}
		if t := reflect.TypeOf(arg); t == nil || t.Kind() != reflect.Func || theOriginal == nil && n.container != tree.top {
			continue
		}
		bodies++
		switch { // what is for process 1 alone is for the original
		case n.kind == types.NodeTypeSynchronizedBeforeSuite && bodies == 1:
			args[i] = handOut(arg)
		case n.kind == types.NodeTypeSynchronizedAfterSuite && bodies == 2:
		case n.kind == types.NodeTypeSynchronizedBeforeSuite:
			args[i] = n.delegate(takeIn(arg))
		default:
			args[i] = n.delegate(arg)
		}
	}
	return args
}

// delegate is a body that lets a twin run the node, and body where that is not wanted.
func (n *node) delegate(body any) any {
	return unless(func(ctx context.Context, data []byte) bool { return theOriginal.run(ctx, n, data) }, body)
}

// unless is a body that runs only if done says that it has not been taken care of. It takes what body takes: from that
// Ginkgo knows whether the node can be cancelled. It is a helper, and no reflection, so that locations and stack traces
// are as they are without us.
func unless(done func(context.Context, []byte) bool, body any) any {
	switch body := body.(type) {
	case func():
		return func() {
			ginkgo.GinkgoHelper()
			if !done(nil, nil) {
				body()
			}
		}
	case func(ginkgo.SpecContext):
		return func(ctx ginkgo.SpecContext) {
			ginkgo.GinkgoHelper()
			if !done(ctx, nil) {
				body(ctx)
			}
		}
	case func(context.Context):
		return func(ctx context.Context) {
			ginkgo.GinkgoHelper()
			if !done(ctx, nil) {
				body(ctx)
			}
		}
	case func(ginkgo.Done): //nolint:staticcheck // deprecated, and still the suite's choice
		return func(d ginkgo.Done) { //nolint:staticcheck // likewise
			ginkgo.GinkgoHelper()
			if !done(nil, nil) {
				body(d)
			}
		}
	case func([]byte):
		return func(data []byte) {
			ginkgo.GinkgoHelper()
			if !done(nil, data) {
				body(data)
			}
		}
	case func(ginkgo.SpecContext, []byte):
		return func(ctx ginkgo.SpecContext, data []byte) {
			ginkgo.GinkgoHelper()
			if !done(ctx, data) {
				body(ctx, data)
			}
		}
	case func(context.Context, []byte):
		return func(ctx context.Context, data []byte) {
			ginkgo.GinkgoHelper()
			if !done(ctx, data) {
				body(ctx, data)
			}
		}
	}
	return body // Ginkgo refuses it
}

// aroundHere leaves out what the user has put around a node that a twin runs: there it is around the node itself.
func aroundHere(d types.AroundNodeDecorator) types.AroundNodeDecorator {
	around := d.Body
	d.Body = func(ctx context.Context, body func(context.Context)) {
		if theOriginal.delegates() {
			body(ctx)
			return
		}
		around(ctx, body)
	}
	return d
}

// performed are the arguments of a node in a twin: bodies as they are, but without timeouts, which the original keeps.
func (n *node) performed(args []any) []any {
	var out []any
	bodies := 0
	for _, arg := range args {
		switch v := arg.(type) {
		case ginkgo.NodeTimeout, ginkgo.SpecTimeout, ginkgo.GracePeriod, ginkgo.PollProgressAfter, ginkgo.PollProgressInterval:
			continue
		case func():
			if n.kind == types.NodeTypeContainer {
				out = append(out, func() { thePerformer.construct(n, v) })
				continue
			}
		}
		if t := reflect.TypeOf(arg); t != nil && t.Kind() == reflect.Func {
			bodies++
			arg = n.perform(arg, bodies)
		}
		out = append(out, arg)
	}
	return out
}

// perform is a body in a twin: the same, but for those of suite nodes that are the original's.
func (n *node) perform(body any, number int) any {
	switch {
	case n.kind == types.NodeTypeSynchronizedBeforeSuite && number == 1:
		return func() []byte { return thePerformer.job.Data }
	case n.kind == types.NodeTypeSynchronizedAfterSuite && number == 2:
		return func() {}
	case n.kind.Is(suiteSetup | suiteTeardown):
		return unless(func(context.Context, []byte) bool { return n.belongsHere() }, body)
	}
	return body
}

// belongsHere reports whether a suite node is the original's alone: it says so itself, or is to tear down what one has
// set up that does.
func (n *node) belongsHere() bool {
	return n.inProcess || n.kind.Is(suiteTeardown) && slices.ContainsFunc(tree.top.children, func(m *node) bool {
		return m.kind.Is(suiteSetup) && m.inProcess
	})
}
