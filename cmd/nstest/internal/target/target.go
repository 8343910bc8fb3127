package target

import (
	"fmt"
	"strings"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/report"
)

// A check is one question. Its id is the property that comes nearest, if there is one.
type check struct {
	name, id, text string
	look           func(s *sight, f *finding)
}

// A finding is the answer to a check. Until one is given it is unknown.
type finding struct {
	state  report.State
	reason string
	seen   []report.Observation
}

func (f *finding) isolated() { f.state, f.reason = report.Pass, "" }

func (f *finding) leaks(format string, args ...any) {
	f.state, f.reason = report.Fail, fmt.Sprintf(format, args...)
}

func (f *finding) unknown(format string, args ...any) {
	f.state, f.reason = report.Skipped, fmt.Sprintf(format, args...)
}

func (f *finding) absent(format string, args ...any) {
	f.state, f.reason = report.Absent, fmt.Sprintf(format, args...)
}

func (f *finding) saw(what string, value any) {
	f.seen = append(f.seen, report.Observation{What: what, Value: fmt.Sprint(value)})
}

// Look is a report of what isolates this process.
func Look(version string) *report.Report {
	r := report.New(report.Target, version)
	s := see()
	for _, list := range [][]check{namespaces, processes, rights, tree, devices, settings, networks, limits} {
		for _, c := range list {
			r.Properties = append(r.Properties, c.ask(s))
		}
	}
	return r
}

func (c check) ask(s *sight) report.Property {
	f := finding{state: report.Skipped, reason: "it cannot be told from inside"}
	c.look(s, &f)
	return report.Property{ID: c.id, Check: c.name, Text: c.text, State: f.state, Reason: f.reason, Evidence: report.Evidence{Seen: f.seen}}
}

// some are the first of a list, and how many others there are.
func some(list []string) string {
	const most = 4
	if len(list) <= most {
		return strings.Join(list, " ")
	}
	return fmt.Sprintf("%s and %d others", strings.Join(list[:most], " "), len(list)-most)
}
