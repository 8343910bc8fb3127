package property

import "github.com/onsi/ginkgo/v2"

// Seed makes a spec that is of no row of the table: an experiment that people know, labelled "seed". As with It, it may
// change whatever it finds around it, because that is its environment, and fails before it begins where it is not in one:
// under NSTEST_INPROCESS=1 it would change the machine. A SpecTimeout among args takes the place of two minutes.
func Seed(text string, body func(ginkgo.SpecContext), args ...any) bool {
	decorators := append([]any{ginkgo.Label("seed"), ginkgo.Offset(1), ginkgo.SpecTimeout(patience)}, args...)
	decorators = append(decorators, func(ctx ginkgo.SpecContext) {
		NeedEnvironment()
		body(ctx)
	})
	return ginkgo.It(text, decorators...)
}
