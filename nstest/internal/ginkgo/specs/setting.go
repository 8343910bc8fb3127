package specs

import (
	"flag"
	"strconv"
	"time"

	"github.com/onsi/ginkgo/v2/types"
)

// A setting is one of Ginkgo's that is another one in a twin than in the original. The user is shown the original's.
type setting struct {
	flag         string
	theirs, ours string
}

// endless is longer than any test.
const endless = 10000 * time.Hour

// reconfigure makes a suite's configuration a twin's: how long, how many at a time and how to report it is the original's
// business, and so is which specs are meant, where the job is the suite's own nodes.
func (p *performer) reconfigure(suite *types.SuiteConfig, report *types.ReporterConfig) {
	p.settings = []setting{
		{"ginkgo.parallel.process", strconv.Itoa(p.job.Process), "1"},
		{"ginkgo.parallel.total", strconv.Itoa(p.job.Total), "1"},
		{"ginkgo.grace-period", suite.GracePeriod.String(), endless.String()},
		{"ginkgo.timeout", suite.Timeout.String(), "0s"},
		{"ginkgo.poll-progress-after", suite.PollProgressAfter.String(), "0s"},
		{"ginkgo.sleep-on-failure", suite.SleepOnFailure.String(), "0s"},
	}
	for name, on := range map[string]bool{
		"ginkgo.v": report.Verbose, "ginkgo.vv": report.VeryVerbose, "ginkgo.succinct": report.Succinct, "ginkgo.trace": report.FullTrace,
	} {
		p.settings = append(p.settings, setting{name, strconv.FormatBool(on), "false"})
	}
	*report = types.ReporterConfig{NoColor: report.NoColor}
	suite.ParallelTotal, suite.ParallelProcess, suite.ParallelHost = 1, 1, ""
	suite.GracePeriod = endless
	suite.Timeout, suite.PollProgressAfter, suite.SleepOnFailure = 0, 0, 0
	if p.job.Unit != "" || p.job.Among != "" {
		return
	}
	p.settings = append(p.settings, setting{"ginkgo.label-filter", suite.LabelFilter, ""}, setting{"ginkgo.sem-ver-filter", suite.SemVerFilter, ""})
	for name, values := range map[string][]string{
		"ginkgo.focus": suite.FocusStrings, "ginkgo.skip": suite.SkipStrings, "ginkgo.focus-file": suite.FocusFiles, "ginkgo.skip-file": suite.SkipFiles,
	} {
		for _, value := range values { // Ginkgo appends
			p.settings = append(p.settings, setting{name, value, ""})
		}
	}
	suite.LabelFilter, suite.SemVerFilter = "", ""
	suite.FocusStrings, suite.SkipStrings, suite.FocusFiles, suite.SkipFiles = nil, nil, nil, nil
}

// pretend makes Ginkgo's configuration say to the user what the original's does, until it is called off.
func (p *performer) pretend() (off func()) {
	for _, s := range p.settings {
		_ = flag.Set(s.flag, s.theirs)
	}
	return func() {
		for _, s := range p.settings {
			_ = flag.Set(s.flag, s.ours)
		}
	}
}
