package public

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

func TestPublic(t *testing.T) {
	if os.Getenv("NSTEST_SOAK") != "1" {
		t.Skip("this takes minutes\nWhat to do: run `make soak`, or set NSTEST_SOAK=1")
	}
	if os.Geteuid() == 0 {
		for _, program := range []string{"unshare", "ip"} {
			if _, err := exec.LookPath(program); err != nil {
				unavailable(t, program+" is not on this machine", "install it with the machine's package manager (util-linux, iproute2)")
			}
		}
	}
	t.Setenv("GOFLAGS", "-mod=mod -buildvcs=false")
	var rows []row
	for _, m := range catalogue {
		t.Run(m.name(), func(t *testing.T) {
			dir := m.checkOut(t)
			for _, s := range m.suites {
				t.Run(s.pkg, func(t *testing.T) {
					if s.root && os.Geteuid() != 0 {
						t.Skip("natively this suite needs root\nWhat to do: run it as root as well")
					}
					native := s.run(t, dir, s.build(t, dir, "native", nil), true)
					hermetic := s.run(t, dir, s.build(t, dir, "hermetic", s.hermetic(t, dir)), false)
					rows = append(rows, row{path.Join(m.name(), s.pkg), native, hermetic})
					s.judge(t, native, hermetic)
				})
			}
		})
	}
	fmt.Print(table(rows))
}

// judge fails the test where the two differ and the catalogue does not say so, or says so and they do not.
func (s suite) judge(t *testing.T, native, hermetic outcome) {
	if len(native.specs) == 0 {
		t.Errorf("no specs ran:\n%s", lastLines(native.output, 40))
	}
	excused := map[string]bool{}
	for _, d := range compare(native, hermetic) {
		if s.differs[d.native.text] == "" && s.unsteady[d.native.text] == "" {
			t.Error(d)
		}
		excused[d.native.text] = true
	}
	for text := range s.differs {
		if !excused[text] {
			t.Errorf("%q ends the same way in both: take it out of the catalogue", text)
		}
	}
	if len(s.differs)+len(s.unsteady) == 0 && native.status != hermetic.status {
		t.Errorf("the exit status is %d natively, and hermetically %d:\n%s", native.status, hermetic.status, lastLines(hermetic.output, 40))
	}
}

// A row is a suite in the table.
type row struct {
	name             string
	native, hermetic outcome
}

func table(rows []row) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "suite\tnative: passed/failed/skipped\ttime\thermetic\ttime\tdifferent")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%v\t%v\t%v\t%v\t%d\n", r.name, r.native, r.native.took.Round(10*time.Millisecond), r.hermetic, r.hermetic.took.Round(10*time.Millisecond),
			len(compare(r.native, r.hermetic)))
	}
	_ = w.Flush() // a strings.Builder takes everything
	return b.String()
}
