package conform

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/onsi/ginkgo/v2/types"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/report"
	"github.com/hermetic-go/nstest/suites/property"
)

func TestPick(t *testing.T) {
	for _, test := range []struct {
		labels []string
		want   string
	}{
		{[]string{"U1"}, "U1"},
		{[]string{"u2", "U1"}, "U1 U2"},
		{[]string{"uts && !U6"}, "U1 U2 U3 U4 U5 U7"},
		{[]string{"/^U[67]$/"}, "U6 U7"},
	} {
		s, err := pick(test.labels)
		if err != nil {
			t.Errorf("%q: %v", test.labels, err)
		}
		var got []string
		for _, candidate := range s.specs {
			got = append(got, candidate.id)
		}
		slices.Sort(got)
		if strings.Join(got, " ") != test.want {
			t.Errorf("%q picks %v, want %s", test.labels, got, test.want)
		}
	}
	for _, labels := range [][]string{{"U1 &&"}, {"nothing"}} {
		if s, err := pick(labels); !errors.Is(err, ErrUsage) {
			t.Errorf("%q picks %+v, %v", labels, s, err)
		}
	}
	all, err := pick(nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(all.specs) + len(all.absent); n != len(property.All()) {
		t.Errorf("all are %d, want %d", n, len(property.All()))
	}
	for _, a := range all.absent {
		if subject(a.ID) == "" {
			t.Errorf("%s has no suite in which one would look for it", a.ID)
		}
		if p := lacking(a); p.State != report.Absent || !strings.Contains(p.Reason, a.Reason) {
			t.Errorf("%s is %s, because %q", a.ID, p.State, p.Reason)
		}
	}
}

func TestSharesAreEverySpecOnce(t *testing.T) {
	s := selection{specs: []spec{{id: "a"}, {id: "b", serial: true}, {id: "c"}, {id: "d"}}}
	for workers, want := range map[int]string{1: "[[a c d]]", 2: "[[a d] [c]]", 8: "[[a] [c] [d]]"} {
		beside, alone := s.shares(workers)
		if got := fmt.Sprint(beside); got != want || fmt.Sprint(alone) != "[b]" {
			t.Errorf("%d workers: %s and alone %s, want %s and b", workers, got, fmt.Sprint(alone), want)
		}
	}
}

func TestOutcome(t *testing.T) {
	evidence := func(e property.Evidence) types.ReportEntries {
		return types.ReportEntries{{Name: property.EntryName, Value: types.WrapEntryValue(e)}}
	}
	seen := property.Evidence{ID: "U1", Positive: []property.Control{{What: "is seen", Saw: []property.Observation{{What: "a", Value: "b"}}, Shown: true}}}
	for name, test := range map[string]struct {
		in     types.SpecReport
		state  report.State
		reason string
	}{
		"passed":   {types.SpecReport{State: types.SpecStatePassed, ReportEntries: evidence(seen)}, report.Pass, ""},
		"failed":   {types.SpecReport{State: types.SpecStateFailed, Failure: types.Failure{Message: "leaks", Location: types.CodeLocation{FileName: "/home/me/suites/uts/name.go", LineNumber: 7}}, ReportEntries: evidence(seen)}, report.Fail, "leaks\n(uts/name.go:7)"},
		"panicked": {types.SpecReport{State: types.SpecStatePanicked, Failure: types.Failure{Message: "Test Panicked", ForwardedPanic: "oh"}, ReportEntries: evidence(seen)}, report.Fail, "Test Panicked oh"},
		"late":     {types.SpecReport{State: types.SpecStateTimedout, ReportEntries: evidence(seen)}, report.Fail, "timedout"},
		"skipped":  {types.SpecReport{State: types.SpecStateSkipped, Failure: types.Failure{Message: "no root"}, ReportEntries: evidence(seen)}, report.Skipped, "no root"},
		"too old": {types.SpecReport{State: types.SpecStateSkipped, Failure: types.Failure{Message: "old\nWhat to do: ..."}, ReportEntries: evidence(property.Evidence{
			Positive: seen.Positive, Absent: "it came with Linux 7.0",
		})}, report.Absent, "it came with Linux 7.0"},
	} {
		test.in.LeafNodeLabels = []string{"U1"}
		got, err := outcomeOf(test.in)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got.ID != "U1" || got.State != test.state || got.Reason != test.reason {
			t.Errorf("%s: %s is %s, because %q", name, got.ID, got.State, got.Reason)
		}
		if p := got.Evidence.Positive; len(p) != 1 || p[0].What != "is seen" || p[0].Saw[0].Value != "b" || !p[0].Shown {
			t.Errorf("%s: the evidence is %+v", name, got.Evidence)
		}
	}
}

func TestAWorkerThatDiesIsNoticed(t *testing.T) {
	r := &run{report: &report.Report{}}
	said := `{"Property": {"id": "U2", "state": "pass"}}
{"Property": {"id": "I1", "state": "skipped"}}
{"Property": {"id": "U1", "st`
	missing, err := r.receive(strings.NewReader(said), []string{"U1", "U2", "U3"})
	if err != nil || fmt.Sprint(missing) != "[U1 U3]" {
		t.Errorf("missing %v, %v; want U1 and U3", missing, err)
	}
	if got := r.report.Properties; len(got) != 1 || got[0].ID != "U2" {
		t.Errorf("%+v came of the specs; want U2 alone, as I1 is not the worker's", got)
	}
	if _, err := r.receive(strings.NewReader(`{"Failed": "no evidence"}`), []string{"U1"}); err == nil || err.Error() != "no evidence" {
		t.Errorf("a worker that cannot say what came of a spec: %v", err)
	}
}
