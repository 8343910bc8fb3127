package specs

import (
	"reflect"
	"slices"
	"unsafe"

	"github.com/onsi/ginkgo/v2/types"
)

// Ginkgo takes time for every node that is constructed beside a spec, even if it is left out: in a container of n specs
// it looks at n² nodes. So a twin takes out of the tree, while it is being constructed, what its job does not need.

// layout says where Ginkgo keeps the tree: offsets of fields. The original finds them, where it has a suite whose type it
// can look into, and tells its twins, which are the same program. Where it does not find them nothing is taken out.
type layout struct {
	Tree     uintptr // in the suite: the container that is constructed
	Parent   uintptr // in a container
	Children uintptr
	Location uintptr // in a container or any other node
}

// suiteUnderConstruction is Ginkgo's variable, and nil where Ginkgo has none of that name.
//
//go:linkname suiteUnderConstruction github.com/onsi/ginkgo/v2/internal/global.Suite
var suiteUnderConstruction unsafe.Pointer

// layoutOf is nil where the suite is not as we expect.
func layoutOf(suite reflect.Value) *layout {
	offset := func(t reflect.Type, name string, want reflect.Type) (reflect.StructField, bool) {
		f, ok := t.FieldByName(name)
		return f, ok && (want == nil || f.Type == want)
	}
	tree, ok := offset(suite.Type(), "tree", nil)
	if !ok || suite.Addr().UnsafePointer() != suiteUnderConstruction || tree.Type.Kind() != reflect.Pointer || tree.Type.Elem().Kind() != reflect.Struct {
		return nil
	}
	t := tree.Type.Elem()
	parent, ok1 := offset(t, "Parent", tree.Type)
	children, ok2 := offset(t, "Children", nil)
	node, ok3 := offset(t, "Node", nil)
	if !ok1 || !ok2 || !ok3 || children.Type.Kind() != reflect.Slice || children.Type.Elem() != tree.Type || node.Type.Kind() != reflect.Struct {
		return nil
	}
	location, ok := offset(node.Type, "CodeLocation", reflect.TypeFor[types.CodeLocation]())
	if !ok {
		return nil
	}
	return &layout{Tree: tree.Offset, Parent: parent.Offset, Children: children.Offset, Location: node.Offset + location.Offset}
}

// container is the one that is constructed.
func (l *layout) container() unsafe.Pointer {
	return *(*unsafe.Pointer)(unsafe.Add(suiteUnderConstruction, l.Tree))
}

// children are those of a container.
func (l *layout) children(container unsafe.Pointer) *[]unsafe.Pointer {
	return (*[]unsafe.Pointer)(unsafe.Add(container, l.Children))
}

// location is that of a container or any other node.
func (l *layout) location(c unsafe.Pointer) *types.CodeLocation {
	return (*types.CodeLocation)(unsafe.Add(c, l.Location))
}

// keep takes out of the container that is constructed those of its nodes that are known and f does not want.
func (l *layout) keep(f func(*node) bool) {
	if l == nil {
		return
	}
	l.filter(func(c unsafe.Pointer) bool {
		n := at(*l.location(c))
		return n == nil || f(n)
	})
}

// filter takes out of the container that is constructed what is in it already and f does not want.
func (l *layout) filter(f func(unsafe.Pointer) bool) {
	children := l.children(l.container())
	*children = slices.DeleteFunc(*children, func(c unsafe.Pointer) bool { return !f(c) })
}

// leave takes the container that is constructed, and so is the last one in its parent, out of that.
func (l *layout) leave() {
	if l == nil {
		return
	}
	c := l.container()
	parent := *(*unsafe.Pointer)(unsafe.Add(c, l.Parent))
	if siblings := l.children(parent); len(*siblings) > 0 && (*siblings)[len(*siblings)-1] == c {
		*siblings = (*siblings)[:len(*siblings)-1]
	}
}

// last is the last node in the container that is constructed, nil if there is none.
func (l *layout) last() unsafe.Pointer {
	if children := *l.children(l.container()); len(children) > 0 {
		return children[len(children)-1]
	}
	return nil
}

// drop takes it out of there.
func (l *layout) drop() {
	children := l.children(l.container())
	last := len(*children) - 1
	(*children)[last] = nil
	*children = (*children)[:last]
}

// allRun reports whether no spec is left out of the suite that runs.
func allRun() bool {
	found.Lock()
	defer found.Unlock()
	return found.insides != nil && found.stats.SpecsThatWillRun == found.stats.TotalSpecs
}

// knownLayout is that of the suite that runs, and nil before its first node.
func knownLayout() *layout {
	found.Lock()
	defer found.Unlock()
	if found.insides == nil {
		return nil
	}
	return found.layout
}
