package bench

import (
	"slices"
	"testing"
	"time"
)

// A row is one line of the results: something that is done again and again, and how long it took.
type row struct {
	name  string
	enter func(worker int) (round, error) // an error is the reason why the row is left out

	took    []time.Duration
	elapsed time.Duration // of all turns, with the clearing up
	missing error
}

// A round is one worker's contender. do returns how long it took, which may be less than the time that passes.
type round struct {
	do   func() (time.Duration, error)
	stop func() error
}

// timed makes a round of a function.
func timed(f func() error, stop func() error) round {
	return round{func() (time.Duration, error) {
		begin := time.Now()
		err := f()
		return time.Since(begin), err
	}, stop}
}

// percentile returns the time that p percent of the rounds did not exceed. The times are sorted.
func (r *row) percentile(p int) time.Duration {
	if len(r.took) == 0 {
		return 0
	}
	return r.took[(len(r.took)-1)*p/100]
}

func (r *row) perSecond() float64 { return float64(len(r.took)) / r.elapsed.Seconds() }

func (r *row) sort() { slices.Sort(r.took) }

// report shows the row as a sub-benchmark.
func (r *row) report(b *testing.B, unit string) {
	b.Run(r.name, func(b *testing.B) {
		if r.missing != nil {
			b.Skip(r.missing)
		}
		for _, p := range []int{50, 90, 99} {
			b.ReportMetric(float64(r.percentile(p).Nanoseconds())/1e3, []string{50: "p50-µs", 90: "p90-µs", 99: "p99-µs"}[p])
		}
		b.ReportMetric(r.perSecond(), unit)
		b.ReportMetric(0, "ns/op") // says nothing here
	})
}
