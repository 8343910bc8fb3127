package specs

import (
	"context"

	"github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// Where a newer Ginkgo waits for signals in another way, every spec begins a tenth of a second later and nothing else says so.
var _ = ginkgo.It("sees the end of Ginkgo's goroutine that waits for signals", func(ctx context.Context) {
	in, err := inside(ctx)
	Expect(err).NotTo(HaveOccurred())
	Expect(in.leaveSignals()()).To(BeTrue())
})
