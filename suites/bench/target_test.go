package bench

import (
	"testing"
	"time"
)

// A target is a number that the project has set itself, computed from the rows of a race.
type target struct {
	name    string
	workers int
	of      func(r *race) (value float64, ok bool)
	unit    string
	most    float64 // 0 = unlimited
	least   float64
}

// ratio is the p50 of one row by that of another.
func ratio(above, below string) func(*race) (float64, bool) {
	return func(r *race) (float64, bool) {
		a, b := r.find(above).percentile(50), r.find(below).percentile(50)
		return float64(a) / float64(max(b, 1)), a > 0 && b > 0
	}
}

// relative is one ratio by another.
func relative(above, below func(*race) (float64, bool)) func(*race) (float64, bool) {
	return func(r *race) (float64, bool) {
		a, aok := above(r)
		b, bok := below(r)
		return a / b, aok && bok
	}
}

// adds is by how many milliseconds the p50 of one row exceeds that of another.
func adds(more, less string) func(*race) (float64, bool) {
	return func(r *race) (float64, bool) {
		a, b := r.find(more).percentile(50), r.find(less).percentile(50)
		return float64(a-b) / float64(time.Millisecond), a > 0 && b > 0
	}
}

// spread is a row's p90 by its p50.
func spread(name string) func(*race) (float64, bool) {
	return func(r *race) (float64, bool) {
		p50, p90 := r.find(name).percentile(50), r.find(name).percentile(90)
		return float64(p90) / float64(max(p50, 1)), p50 > 0
	}
}

func rate(name string) func(*race) (float64, bool) {
	return func(r *race) (float64, bool) {
		row := r.find(name)
		return row.perSecond(), len(row.took) > 0
	}
}

const (
	netOnlyMachine = "2-net-only-hosts/machine-root"
	netOnlyPrivate = "2-net-only-hosts/private-root"
	fullMachine    = "2-full-hosts/machine-root"
	fullPrivate    = "2-full-hosts/private-root"
)

var targets = []target{
	{"net-only-hosts-by-floor", 1, ratio("nstest/"+netOnlyMachine, "floor/"+netOnlyMachine), "x", 1.5, 0},
	{"full-hosts-by-floor", 1, ratio("nstest/"+fullMachine, "floor/"+fullMachine), "x", 1.5, 0},
	{"full-hosts-with-root-by-floor", 1, ratio("nstest/"+fullPrivate, "floor/"+fullPrivate), "x", 0, 0},
	{"no-hosts-by-floor", 1, ratio("nstest/no-hosts/machine-root", "floor/no-hosts/machine-root"), "x", 0, 0},
	{"loopback-by-floor", 1, ratio("nstest/loopback/machine-root", "floor/loopback/machine-root"), "x", 0, 0},
	{"ip-batch-by-net-only-hosts", 1, ratio("ip-batch/2-net-only-hosts", "nstest/"+netOnlyMachine), "x", 0, 10},
	{"ip-batch-by-full-hosts", 1, ratio("ip-batch/2-net-only-hosts", "nstest/"+fullPrivate), "x", 0, 0},
	{"unshare-by-loopback", 1, ratio("unshare/true", "nstest/loopback/machine-root"), "x", 0, 0},
	{"bwrap-by-loopback", 1, ratio("bwrap/true", "nstest/loopback/private-root"), "x", 0, 0},
	{"private-root-adds", 1, adds("nstest/no-hosts/private-root", "nstest/no-hosts/machine-root"), "ms", 1, 0},
	{"private-root-adds-to-net-only-hosts", 1, adds("nstest/"+netOnlyPrivate, "nstest/"+netOnlyMachine), "ms", 1, 0},
	{"private-root-adds-to-full-hosts", 1, adds("nstest/"+fullPrivate, "nstest/"+fullMachine), "ms", 1, 0},
	{"net-only-hosts-p90-by-p50", 2, spread("nstest/" + netOnlyMachine), "x", 3, 0},
	{"full-hosts-with-root-p90-by-p50", 2, spread("nstest/" + fullPrivate), "x", 3, 0},
	{"net-only-hosts-a-second", 2, rate("nstest/" + netOnlyMachine), "envs/s", 0, 150},
	{"full-hosts-with-root-a-second", 2, rate("nstest/" + fullPrivate), "envs/s", 0, 150},
	{"floor-net-only-hosts-a-second", 2, rate("floor/" + netOnlyMachine), "envs/s", 0, 0},
	{"floor-full-hosts-with-root-a-second", 2, rate("floor/" + fullPrivate), "envs/s", 0, 0},
}

// specTargets are those of a spec: beside the start of the bare program, and of that of a big suite beside a small one's, which
// takes the bare program itself longer.
func specTargets() []target {
	var list []target
	for _, s := range suites() {
		byBare := ratio("spec/"+s.name, "bare/"+s.name)
		if s.body == 0 {
			list = append(list, target{s.name + "-by-bare", 1, byBare, "x", 3, 0}) // ends and makes environments meanwhile
			continue
		}
		most, small := 1.6, "10/cold"
		if s.spares > 0 {
			most, small = 0.7, "10/warm"
		}
		list = append(list,
			target{s.name + "-by-bare", 1, byBare, "x", most, 0},
			target{s.name + "-p90-by-p50", 1, spread("spec/" + s.name), "x", 2, 0},
		)
		if s.name != small {
			list = append(list,
				target{s.name + "-by-bare-by-10", 1, relative(byBare, ratio("spec/"+small, "bare/"+small)), "x", 1.1, 0},
				target{s.name + "-by-10", 1, ratio("spec/"+s.name, "spec/"+small), "x", 0, 0},
			)
		}
	}
	return list
}

// keepTargets are those of NSTEST_KEEP.
var keepTargets = []target{
	{"time-with-by-without", 1, ratio("time/with", "time/without"), "x", 1.05, 0},
	{"cpu-with-by-without", 1, ratio("cpu/with", "cpu/without"), "x", 1.05, 0},
}

// report shows a target as a sub-benchmark: its value, and the bound where it has one. Missing it fails with gate.
func (t target) report(b *testing.B, r *race, gate bool) {
	value, ok := t.of(r)
	if !ok {
		return
	}
	b.Run(t.name, func(b *testing.B) {
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(value, t.unit)
		missed := t.most > 0 && value > t.most || value < t.least
		switch {
		case t.most > 0:
			b.ReportMetric(t.most, "at-most")
		case t.least > 0:
			b.ReportMetric(t.least, "at-least")
		}
		if missed && gate {
			b.Errorf("%s is %.2f %s", t.name, value, t.unit)
		}
	})
}
