package bench

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var (
	rounds = flag.Int("rounds", 400, "rounds of each row and number of workers")
	only   = flag.String("only", "", "only rows whose name matches the regular expression")
	gate   = flag.Bool("gate", false, "fail when a target is missed")
)

var workers = []int{1, 2, 4}

func pattern(b *testing.B) *regexp.Regexp {
	re, err := regexp.Compile(*only)
	if err != nil {
		b.Fatal(err)
	}
	return re
}

// BenchmarkRound makes environments and what they are compared with, and takes them apart.
func BenchmarkRound(b *testing.B) {
	f := compile(b)
	var drain func() error
	if clock, err := f.start(); err == nil {
		drain = func() error { _, err := clock.do('d'); return err }
		defer func() {
			if err := clock.stop(); err != nil {
				b.Error(err)
			}
		}()
	}
	results := map[int]*race{}
	for _, n := range workers {
		r := &race{turn: usualTurn, drain: drain}
		for _, s := range shapes() {
			r.rows = append(r.rows, &row{name: "nstest/" + s.name, enter: s.enter}, &row{name: "floor/" + s.name, enter: f.enter(s.byte)})
		}
		r.rows = append(r.rows, peers()...)
		if err := r.run(b, n, *rounds, pattern(b)); err != nil {
			b.Fatal(err)
		}
		results[n] = r
	}
	for _, n := range workers {
		b.Run("workers="+strconv.Itoa(n), func(b *testing.B) {
			for _, row := range results[n].rows {
				row.report(b, "envs/s")
			}
		})
	}
	b.Run("ratio", func(b *testing.B) {
		for _, t := range targets {
			t.report(b, results[t.workers], *gate)
		}
	})
}

// BenchmarkCall does what tests do in an environment.
func BenchmarkCall(b *testing.B) {
	for _, n := range workers {
		r := &race{rows: calls(), turn: usualTurn}
		if err := r.run(b, n, *rounds, pattern(b)); err != nil {
			b.Fatal(err)
		}
		b.Run("workers="+strconv.Itoa(n), func(b *testing.B) {
			for _, row := range r.rows {
				row.report(b, "calls/s")
			}
		})
	}
}

// BenchmarkSpec runs specs in environments of their own, cold and with spares, and starts and ends the same program.
func BenchmarkSpec(b *testing.B) {
	r := &race{turn: 20}
	for _, s := range suites() {
		r.rows = append(r.rows, &row{name: "spec/" + s.name, enter: s.enter}, &row{name: "bare/" + s.name, enter: s.enterBare})
	}
	if err := r.run(b, 1, *rounds, pattern(b)); err != nil {
		b.Fatal(err)
	}
	for _, row := range r.rows {
		row.report(b, "specs/s")
	}
	b.Run("ratio", func(b *testing.B) {
		for _, t := range specTargets() {
			t.report(b, r, *gate)
		}
	})
}

// BenchmarkMemory is by how much the keeper grows over 1,000 environments with two hosts, after 100 that are not
// counted.
func BenchmarkMemory(b *testing.B) {
	const warm, cycles = 100, 1000
	s := shapes()[len(shapes())-1]
	cycle := func(n int) {
		for range n {
			env, err := s.open()
			if err := errors.Join(err, env.Close()); err != nil {
				b.Fatal(err)
			}
		}
	}
	cycle(warm)
	before, err := keeperMemory()
	if err != nil {
		b.Skip(err)
	}
	cycle(cycles)
	after, err := keeperMemory()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(before), "KiB-before")
	b.ReportMetric(float64(after), "KiB-after")
}

// keeperMemory is the resident set size of this process's keeper, in KiB.
func keeperMemory() (int, error) {
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		return 0, err
	}
	for _, list := range lists {
		pids, err := os.ReadFile(list)
		if err != nil {
			continue // a thread that has ended
		}
		for _, pid := range strings.Fields(string(pids)) {
			line, err := os.ReadFile("/proc/" + pid + "/cmdline")
			if err != nil || !bytes.HasPrefix(line, []byte("nstest-keeper\x00")) {
				continue
			}
			status, err := os.ReadFile("/proc/" + pid + "/status")
			if err != nil {
				return 0, err
			}
			_, rest, _ := strings.Cut(string(status), "VmRSS:")
			var size int
			_, err = fmt.Sscan(rest, &size)
			return size, err
		}
	}
	return 0, errors.New("the keeper is not among the children of this process: /proc/PID/task/TID/children needs CONFIG_PROC_CHILDREN")
}
