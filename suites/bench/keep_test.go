package bench

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

// keptSpecs is how many specs the suite of BenchmarkKeep has.
const keptSpecs = 100

// A keeping is a suite that is run with NSTEST_KEEP or without.
type keeping struct {
	suite suite
	time  row
	cpu   row
}

func newKeeping(name, keep string) *keeping {
	return &keeping{
		suite: suite{containers: 1, specs: keptSpecs, spares: 1, keep: keep, whole: true},
		time:  row{name: "time/" + name}, cpu: row{name: "cpu/" + name},
	}
}

// run runs the suite once, and counts it.
func (k *keeping) run() error {
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestSuite$", "-ginkgo.succinct")
	cmd.Env = k.suite.environ()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	begin := time.Now()
	cpu, uncounted, err := cpuTime(cmd)
	took := time.Since(begin)
	if err != nil {
		return fmt.Errorf("the suite: %w\n%s", err, out.Bytes())
	}
	k.time.add(took)
	if k.cpu.missing = uncounted; uncounted == nil {
		k.cpu.add(cpu)
	}
	return nil
}

// add counts a run that took so long, by the spec.
func (r *row) add(took time.Duration) {
	r.took = append(r.took, took/keptSpecs)
	r.elapsed += took / keptSpecs
}

// BenchmarkKeep is what NSTEST_KEEP costs specs that pass. The sides take turns, each as often the first one.
func BenchmarkKeep(b *testing.B) {
	dir := b.TempDir()
	without, with := newKeeping("without", ""), newKeeping("with", dir)
	sides := [2]*keeping{without, with}
	for _, k := range sides { // the first round pays for what the others find
		if err := k.run(); err != nil {
			b.Fatal(err)
		}
		k.time.took, k.time.elapsed, k.cpu.took, k.cpu.elapsed = nil, 0, nil, 0
	}
	for i := range max(*rounds/10, 5) {
		for turn := range sides {
			if err := sides[(i+turn)%2].run(); err != nil {
				b.Fatal(err)
			}
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		b.Fatalf("specs that pass have left %v, %v", left, err)
	}
	r := &race{rows: []*row{&without.time, &with.time, &without.cpu, &with.cpu}}
	for _, row := range r.rows {
		row.sort()
		row.report(b, "specs/s")
	}
	b.Run("ratio", func(b *testing.B) {
		for _, t := range keepTargets {
			t.report(b, r, *gate)
		}
	})
}
