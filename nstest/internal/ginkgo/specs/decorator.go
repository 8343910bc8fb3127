package specs

import (
	"fmt"

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

// decorate applies d to n, which must be a node that it can mean something for.
func (n *node) decorate(d Decorator) error {
	switch {
	case !n.kind.Is(types.NodeTypeContainer | types.NodeTypeIt | suiteSetup | suiteTeardown):
		return fmt.Errorf("%s at %s: %s is for containers, specs and suite nodes: what sets a spec up runs where the spec runs", n.kind, n.location, d.name())
	case n.group() != nil && n.group() != n:
		return fmt.Errorf("%s at %s: %s is inside an Ordered container, whose specs share one environment: decorate the outermost Ordered container", n.kind, n.location, d.name())
	}
	n.inProcess = n.inProcess || d.inProcess
	if d.config != nil {
		n.config = d.config
	}
	return nil
}
