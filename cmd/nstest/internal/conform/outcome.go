package conform

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/onsi/ginkgo/v2/types"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/report"
	"github.com/hermetic-go/nstest/suites/property"
)

// outcomeOf is what came of a spec, as the report has it.
func outcomeOf(r types.SpecReport) (report.Property, error) {
	id := propertyOf(r)
	out := report.Property{ID: id, Text: property.Find(id).Text, State: report.Fail, Reason: strings.TrimSpace(r.Failure.Message)}
	evidence, err := evidenceOf(r)
	if err != nil {
		return out, fmt.Errorf("read evidence of %s: %w", id, err)
	}
	switch {
	case r.State.Is(types.SpecStatePassed):
		out.State, out.Reason = report.Pass, ""
	case r.State.Is(types.SpecStateSkipped | types.SpecStatePending):
		out.State = report.Skipped
		if evidence.Absent != "" {
			out.State, out.Reason = report.Absent, evidence.Absent
		}
	default:
		out.Reason = strings.TrimSpace(out.Reason + " " + r.Failure.ForwardedPanic)
	}
	if out.Reason == "" && out.State != report.Pass {
		out.Reason = r.State.String()
	}
	if l := r.Failure.Location; out.State == report.Fail && l.FileName != "" {
		dir, file := filepath.Split(l.FileName)
		out.Reason += fmt.Sprintf("\n(%s/%s:%d)", filepath.Base(dir), file, l.LineNumber)
	}
	out.Evidence = report.Evidence{Positive: controls(evidence.Positive), Negative: controls(evidence.Negative)}
	return out, nil
}

// evidenceOf is the evidence that a spec has left; none if it did not come so far.
func evidenceOf(r types.SpecReport) (e property.Evidence, err error) {
	i := slices.IndexFunc(r.ReportEntries, func(e types.ReportEntry) bool { return e.Name == property.EntryName })
	if i < 0 {
		return e, nil
	}
	// The value was made in the spec's process: what we have of it is its JSON.
	data, err := json.Marshal(r.ReportEntries[i].Value)
	if err != nil {
		return e, err
	}
	var value types.ReportEntryValue
	if err := json.Unmarshal(data, &value); err != nil {
		return e, err
	}
	return e, json.Unmarshal([]byte(value.AsJSON), &e)
}

func controls(list []property.Control) []report.Control {
	var out []report.Control
	for _, c := range list {
		control := report.Control{What: c.What, None: c.None, Shown: c.Shown}
		for _, o := range c.Saw {
			control.Saw = append(control.Saw, report.Observation{What: o.What, Value: o.Value})
		}
		out = append(out, control)
	}
	return out
}

// lacking is a property for which there is no spec.
func lacking(a property.Absence) report.Property {
	return report.Property{ID: a.ID, Text: property.Find(a.ID).Text, State: report.Absent, Reason: "nstest has no spec for it: " + a.Reason}
}
