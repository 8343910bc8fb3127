package specs

import (
	"fmt"
	"slices"

	"github.com/onsi/ginkgo/v2/types"
)

// A Decorator is for nodes of a suite. Ginkgo never sees it.
type Decorator struct {
	inProcess bool
	config    any
}

// InProcess keeps a node in the suite's process.
var InProcess = Decorator{inProcess: true}

// With says what the environment is like. The config is the launcher's business.
func With(config any) Decorator { return Decorator{config: config} }

func (d Decorator) name() string {
	if d.inProcess {
		return "nstest.InProcess"
	}
	return "nstest.With"
}

const (
	suiteSetup    = types.NodeTypeBeforeSuite | types.NodeTypeSynchronizedBeforeSuite
	suiteTeardown = types.NodeTypeAfterSuite | types.NodeTypeSynchronizedAfterSuite
	specNodes     = types.NodeTypeIt | types.NodeTypeBeforeEach | types.NodeTypeJustBeforeEach | types.NodeTypeAfterEach |
		types.NodeTypeJustAfterEach | types.NodeTypeBeforeAll | types.NodeTypeAfterAll
	reportNodes = types.NodeTypeReportBeforeEach | types.NodeTypeReportAfterEach | types.NodeTypeReportBeforeSuite | types.NodeTypeReportAfterSuite
)

// ForAll takes the decorators from among RunSpecs' arguments, and applies them to the whole tree.
func ForAll(args []any) []any {
	return slices.DeleteFunc(slices.Clone(args), func(arg any) bool {
		d, ok := arg.(Decorator)
		if ok {
			tree.top.apply(d)
		}
		return ok
	})
}

// decorate applies decorators to n, which must be a node that they can mean something for.
func (n *node) decorate(decorators []Decorator) error {
	refuse := func(d Decorator, why string) error {
		return fmt.Errorf("%s at %s: %s %s", n.kind, n.location, d.name(), why)
	}
	for _, d := range decorators {
		switch {
		case n.kind.Is(reportNodes):
			return refuse(d, "means nothing for reports, which are always made in the suite's process: leave it out")
		case !n.kind.Is(types.NodeTypeContainer | types.NodeTypeIt | suiteSetup | suiteTeardown):
			return refuse(d, "is for containers, specs and suite nodes: what sets a spec up runs where the spec runs, so decorate the spec or its container")
		case n.group() != nil && n.group() != n:
			return refuse(d, "is inside an Ordered container, whose specs share one environment: decorate the outermost Ordered container")
		case d.config != nil && n.config != nil:
			return refuse(d, "is there twice: say all in one")
		}
		n.apply(d)
	}
	if n.config != nil && n.staysHere() {
		return refuse(Decorator{config: n.config}, "is for what runs in an environment, and this is nstest.InProcess: leave one of them out")
	}
	return nil
}

func (n *node) apply(d Decorator) {
	n.inProcess = n.inProcess || d.inProcess
	if d.config != nil {
		n.config = d.config
	}
}
