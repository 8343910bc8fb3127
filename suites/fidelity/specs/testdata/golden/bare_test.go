//go:build bare

package golden

import . "github.com/onsi/ginkgo/v2"

// Without nstest in the program.
var inProcess []any

func runSpecs(t GinkgoTestingT, description string, args ...any) bool {
	return RunSpecs(t, description, args...)
}
