package twin

import (
	"flag"
	"regexp"
	"slices"
	"strings"
)

// notForTwins are the flags that say what to run, how often and how to report it: that is the original's business.
var notForTwins = []string{
	"test.bench", "test.benchmem", "test.benchtime", "test.blockprofile", "test.blockprofilerate", "test.count", "test.coverprofile",
	"test.cpuprofile", "test.gocoverdir", "test.list", "test.memprofile", "test.memprofilerate", "test.mutexprofile",
	"test.mutexprofilefraction", "test.outputdir", "test.run", "test.shuffle", "test.skip", "test.testlogfile", "test.timeout", "test.trace",
	"test.v", "test.fuzz", "test.fuzzcachedir", "test.fuzzminimizetime", "test.fuzztime", "test.fuzzworker", "test.artifacts", "test.cpu",
	"ginkgo.gojson-report", "ginkgo.json-report", "ginkgo.junit-report", "ginkgo.teamcity-report", "ginkgo.output-dir",
	"ginkgo.parallel.host", "ginkgo.parallel.process", "ginkgo.parallel.total", "ginkgo.seed",
}

// Arguments are the program's own arguments without the flags that are not for twins, with extra flags before the first
// argument that is none.
func Arguments(args []string, extra ...string) []string {
	var out []string
	for len(args) > 0 {
		name, ok := strings.CutPrefix(args[0], "-")
		name = strings.TrimPrefix(name, "-")
		if !ok || name == "" {
			break
		}
		n := 1
		name, _, assigned := strings.Cut(name, "=")
		if !assigned && !isBool(name) {
			n = min(2, len(args))
		}
		if !slices.Contains(notForTwins, name) {
			out = append(out, args[:n]...)
		}
		args = args[n:]
	}
	return append(append(out, extra...), args...)
}

// Pattern is the value of -test.run that selects the test of this name alone, with its subtests.
func Pattern(name string) string {
	var elements []string
	for e := range strings.SplitSeq(name, "/") {
		elements = append(elements, "^"+regexp.QuoteMeta(e)+"$")
	}
	return strings.Join(elements, "/")
}

func isBool(name string) bool {
	f := flag.Lookup(name)
	if f == nil {
		return true // the program has defined its own; it would have refused a flag that nobody knows
	}
	b, ok := f.Value.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}
