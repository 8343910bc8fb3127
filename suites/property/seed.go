package property

import (
	"slices"

	"github.com/onsi/ginkgo/v2"

	"github.com/hermetic-go/nstest/nstest"
)

// Seed makes a spec that is of no row of the table: an experiment that people know, labelled "seed". What is said of It is
// true of Seed: the spec may change whatever it finds around it, because that is its environment, and fails before it begins
// where it is not in one, unless nstest.InProcess is among args. A SpecTimeout among them takes the place of two minutes.
func Seed(text string, body func(ginkgo.SpecContext), args ...any) bool {
	decorators := append([]any{ginkgo.Label("seed"), ginkgo.Offset(1), ginkgo.SpecTimeout(patience)}, args...)
	decorators = append(decorators, func(ctx ginkgo.SpecContext) {
		if !slices.Contains(args, any(nstest.InProcess)) {
			NeedEnvironment()
		}
		body(ctx)
	})
	return ginkgo.It(text, decorators...)
}
