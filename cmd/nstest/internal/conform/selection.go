package conform

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"

	"github.com/hermetic-go/nstest/suites/all"
	"github.com/hermetic-go/nstest/suites/property"
)

// ErrUsage is in the error of Run for a wrong option.
var ErrUsage = errors.New("wrong option")

// A spec is one of a property.
type spec struct {
	id     string
	labels []string
	serial bool // not beside others
}

// specs are all of them. The tree can be built once a process.
var specs = sync.OnceValue(func() []spec {
	all.Register()
	var list []spec
	for _, r := range ginkgo.PreviewSpecs(suiteName).SpecReports {
		if id := propertyOf(r); id != "" {
			list = append(list, spec{id, r.Labels(), r.IsSerial})
		}
	}
	return list
})

// propertyOf is the id of the property that a spec is for, "" if it is for none.
func propertyOf(r types.SpecReport) string {
	for _, label := range r.Labels() {
		if slices.ContainsFunc(property.All(), func(p property.Property) bool { return p.ID == label }) {
			return label
		}
	}
	return ""
}

// A selection is what to look into.
type selection struct {
	specs  []spec
	absent []property.Absence // for which there is no spec
}

// pick picks by label filters, of which one has to hold; all if there is none.
func pick(filters []string) (selection, error) {
	matches := func([]string) bool { return len(filters) == 0 }
	for _, text := range filters {
		filter, err := types.ParseLabelFilter(text)
		if err != nil {
			return selection{}, fmt.Errorf("%w: --label %s: %w", ErrUsage, text, err)
		}
		before := matches
		matches = func(labels []string) bool { return before(labels) || filter(labels) }
	}
	var s selection
	for _, candidate := range specs() {
		if matches(candidate.labels) {
			s.specs = append(s.specs, candidate)
		}
	}
	for _, a := range property.Absent() {
		if a.Where == property.Suite && matches([]string{a.ID, subject(a.ID)}) {
			s.absent = append(s.absent, a)
		}
	}
	if len(s.specs)+len(s.absent) == 0 {
		return s, fmt.Errorf("%w: no property has a label that fits %s: give an id such as U1, a suite such as uts, or an expression such as \"uts && !U6\"",
			ErrUsage, strings.Join(filters, ", "))
	}
	return s, nil
}

// subject is the suite in which one would look for a property, by the letter that its id begins with.
func subject(id string) string {
	return map[byte]string{
		'U': "uts", 'I': "ipc", 'P': "pid", 'M': "mount", 'N': "network", 'R': "user", 'C': "cgroup", 'T': "time", 'S': "proc", 'H': "hygiene", 'D': "devices",
	}[id[0]]
}

// shares are the ids for so many workers at a time, and those for one that is alone.
func (s selection) shares(workers int) (beside [][]string, alone []string) {
	beside = make([][]string, workers)
	next := 0
	for _, candidate := range s.specs {
		if candidate.serial {
			alone = append(alone, candidate.id)
			continue
		}
		beside[next%workers] = append(beside[next%workers], candidate.id)
		next++
	}
	return beside[:min(next, workers)], alone
}
