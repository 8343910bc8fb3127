package proc

import (
	"os"
	"strconv"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/property"
)

// adjust adds to what the kernel thinks of killing the calling process when memory runs out, and returns the score before and
// after. The file is written in one piece: the error of a buffered write comes too late for many programs to see it.
var adjust = nsx.Register("proc/adjust", func(_ *nsx.Parent, by int) ([2]int, error) {
	const file = "/proc/self/oom_score_adj"
	read := func() (int, error) {
		text, err := os.ReadFile(file)
		if err != nil {
			return 0, err
		}
		return strconv.Atoi(strings.TrimSpace(string(text)))
	}
	before, err := read()
	if err != nil {
		return [2]int{}, err
	}
	if err := os.WriteFile(file, []byte(strconv.Itoa(before+by)), 0); err != nil {
		return [2]int{}, err
	}
	after, err := read()
	return [2]int{before, after}, err
})

func registerOOM() {
	property.It("S5", func(ctx SpecContext, c *property.Check) {
		c.Positive("a process may offer itself", func() {
			score, err := nsx.Run(ctx, nsx.Spec{}, adjust, 100)
			Expect(err).NotTo(HaveOccurred())
			c.Saw("oom_score_adj, before and after", score)
			Expect(score[1]).To(Equal(score[0] + 100))
		})
		c.Negative("and may not spare itself: that is for the machine's root", func() {
			_, err := nsx.Run(ctx, nsx.Spec{}, adjust, -100)
			c.Saw("error", err)
			Expect(err).To(MatchError(unix.EACCES))
		})
	})
}
