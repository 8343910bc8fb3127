package property

import (
	"fmt"
	"os"

	"github.com/onsi/ginkgo/v2"
)

// NeedEnvironment fails a spec that is not in an environment, as under NSTEST_INPROCESS=1, before it changes something. It
// and Seed do so for every spec; this is for the tables beside them.
func NeedEnvironment() {
	ginkgo.GinkgoHelper()
	if init, err := os.ReadFile("/proc/1/comm"); err != nil || string(init) != "nstest-init\n" {
		ginkgo.Fail(fmt.Sprintf("this spec is not in an environment (process 1 is %q, %v) and would change the machine's own namespaces:\n"+
			"run the suite by nstest.RunSpecs, without NSTEST_INPROCESS", init, err))
	}
}
