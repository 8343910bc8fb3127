package bench

import (
	"context"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/nsx"
	"github.com/hermetic-go/nstest/suites/internal/inside"
)

// nullCalls makes system calls that do nothing, and returns how long each took.
var nullCalls = nsx.Register("bench/null-calls", func(_ *nsx.Parent, n int) (nanoseconds float64, err error) {
	begin := time.Now()
	for range n {
		_, _, _ = unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
	}
	return float64(time.Since(begin).Nanoseconds()) / float64(n), nil
})

// BenchmarkSeccomp is the price that every system call pays for the filter of environments, against the same calls
// outside. They take turns, because the speed of a machine changes.
func BenchmarkSeccomp(b *testing.B) {
	const calls = 200_000
	if !pattern(b).MatchString("seccomp") {
		b.SkipNow()
	}
	env := nstest.New(b, nstest.Config{})
	var with, without []float64
	for range max(*rounds/10, 3) {
		for _, side := range []struct {
			took *[]float64
			run  func() (float64, error)
		}{
			{&with, func() (float64, error) {
				return inside.Run(env.Self(), nullCalls, calls)
			}},
			{&without, func() (float64, error) { return nsx.Run(context.Background(), nsx.Spec{}, nullCalls, calls) }},
		} {
			took, err := side.run()
			if err != nil {
				b.Fatal(err)
			}
			*side.took = append(*side.took, took)
		}
	}
	b.ReportMetric(median(with), "filtered-ns")
	b.ReportMetric(median(without), "bare-ns")
	b.ReportMetric(median(with)/median(without), "ratio")
	b.ReportMetric(0, "ns/op") // says nothing here
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}
