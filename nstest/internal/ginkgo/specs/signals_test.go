package specs

import (
	"github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// Where a newer Ginkgo waits for signals elsewhere, every spec begins a tenth of a second later and nothing else says so.
var _ = ginkgo.It("sees the goroutine of Ginkgo's that waits for signals", func() {
	Eventually(awaitingSignals).Should(BeNumerically(">", 0))
})
