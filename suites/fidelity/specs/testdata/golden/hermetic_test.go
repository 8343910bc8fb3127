//go:build !bare

package golden

import (
	"os"

	. "github.com/onsi/ginkgo/v2"

	"github.com/hermetic-go/nstest/nstest"
)

var inProcess = []any{nstest.InProcess}

// hermetic reports whether nstest runs the specs.
var hermetic = os.Getenv("GOLDEN_NATIVE") != "1"

func runSpecs(t GinkgoTestingT, description string, args ...any) bool {
	if hermetic {
		return nstest.RunSpecs(t, description, args...)
	}
	return RunSpecs(t, description, args...)
}
