package all

import (
	"os"
	"slices"
	"testing"

	"github.com/onsi/ginkgo/v2"

	"github.com/hermetic-go/nstest/suites/property"
)

// Every property has one spec, or stands in absent.tsv with the reason why it has none.
func TestNoPropertyIsMissing(t *testing.T) {
	Register()
	specs := map[string]int{}
	for _, spec := range ginkgo.PreviewSpecs("all").SpecReports {
		for _, label := range spec.Labels() {
			specs[label]++
		}
	}
	absent := map[string]property.Absence{}
	for _, a := range property.Absent() {
		property.Find(a.ID)
		if _, twice := absent[a.ID]; twice {
			t.Errorf("%s is in absent.tsv twice", a.ID)
		}
		if a.Reason == "" || !slices.Contains([]property.Where{property.Suite, property.Machine}, a.Where) {
			t.Errorf("%s in absent.tsv: %q lacks it, because %q: say where, suite or machine, and why", a.ID, a.Where, a.Reason)
		}
		absent[a.ID] = a
	}
	for _, p := range property.All() {
		a, isAbsent := absent[p.ID]
		none := isAbsent && a.Where == property.Suite
		switch n := specs[p.ID]; {
		case n == 0 && !none:
			t.Errorf("%s (%s) has no spec: write one, or say in absent.tsv why there is none", p.ID, p.Text)
		case n > 0 && none:
			t.Errorf("%s has a spec, and absent.tsv says that there is none: take it out", p.ID)
		case n > 1:
			t.Errorf("%s has %d specs: a property has one", p.ID, n)
		}
	}
	for _, s := range suites { // what conform picks by
		if _, err := os.Stat("../" + s.name); err != nil {
			t.Errorf("the suite %s is named after no folder: %v", s.name, err)
		}
	}
	if len(specs) == 0 {
		t.Error("no spec has a label: the search sees nothing")
	}
}
