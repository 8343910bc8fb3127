package page

import (
	"cmp"
	_ "embed" // of the template
	"fmt"
	"html/template"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/analysis"
	"github.com/hermetic-go/nstest/nstest/bundle"
)

//go:embed assets/summary.html
var summaryHTML string

// A Summary is of several bundles.
type Summary struct {
	reports []report
	errors  []string
}

// A report is what a summary says of a bundle.
type report struct {
	bundle.Manifest
	Href, Where, Message string
	Findings             []finding
}

// killed is the state of a test of which nobody has written how it ended.
const killed = "killed, or still running"

// Add adds a bundle, whose own page is in a file beside the summary's; file is its name.
func (s *Summary) Add(a *analysis.Analysis, file string) {
	r := report{Manifest: a.Manifest, Href: (&url.URL{Path: "./" + file}).String()}
	r.Test = analysis.Clip(cmp.Or(r.Test, "(a test without a name)"), maxName)
	r.Suite, r.Package, r.State = analysis.Clip(r.Suite, maxName), analysis.Clip(r.Package, maxName), analysis.Clip(r.State, maxName)
	if r.State == "running" {
		r.State = killed
	}
	where := []string{r.Suite, r.Package}
	if len(r.Failures) > 0 {
		r.Message = analysis.Clip(r.Failures[0].Message, 2000)
		where = append(where, analysis.Clip(r.Failures[0].Location, maxName))
	}
	if !r.Began.IsZero() {
		where = append(where, r.Began.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	r.Where = strings.Join(slices.DeleteFunc(where, func(s string) bool { return s == "" }), " · ")
	for _, f := range a.Findings[:min(len(a.Findings), 3)] {
		n := finding{Class: "level-odd", Title: f.Title, Count: f.Count}
		if f.Level == analysis.Bad {
			n.Class = "level-bad"
		}
		r.Findings = append(r.Findings, n)
	}
	s.reports = append(s.reports, r)
}

// Fail adds a bundle that could not be read.
func (s *Summary) Fail(err error) { s.errors = append(s.errors, err.Error()) }

// A ranking is a table whose rows lead to reports.
type ranking struct {
	Caption string
	Head    []head
	Rows    []ranked
}

type ranked struct {
	Cells []string
	Links []link
}

type link struct{ Text, Href string }

// maxRanked is how many rows a ranking has.
const maxRanked = 20

// Write writes the page. version is that of nstest.
func (s *Summary) Write(w io.Writer, version string) error {
	slices.SortStableFunc(s.reports, func(a, b report) int { return a.Began.Compare(b.Began) })
	tests := map[string]bool{}
	var first, last time.Time
	for _, r := range s.reports {
		tests[r.Package+"\x00"+r.Test] = true
		if first.IsZero() || r.Began.Before(first) {
			first = r.Began
		}
		if r.Ended.After(last) {
			last = r.Ended
		}
	}
	view := struct {
		Title, Policy, Version string
		Live                   *Live
		CSS                    template.CSS
		Facts                  []analysis.Fact
		Reports                []report
		Flaky                  *ranking
		Frequent, Slow         ranking
		Errors                 []string
	}{
		Title: s.title(len(tests)), Policy: policy(), Version: version, CSS: template.CSS(css),
		Reports: s.reports, Flaky: s.flaky(), Frequent: s.frequent(), Slow: s.slow(), Errors: s.errors,
	}
	if !first.IsZero() {
		view.Facts = append(view.Facts, analysis.Fact{Name: "Began", Value: first.UTC().Format("2006-01-02 15:04:05 UTC")})
	}
	if last.After(first) {
		view.Facts = append(view.Facts, analysis.Fact{Name: "Took", Value: round(last.Sub(first))})
	}
	t, err := template.New("summary").Parse(headHTML + summaryHTML)
	if err != nil {
		return fmt.Errorf("the template of the summary: %w", err)
	}
	return t.Execute(w, view)
}

// title counts what the reports are about: failures, and tests that were still running when everything was killed.
func (s *Summary) title(tests int) string {
	gone := 0
	for _, r := range s.reports {
		if r.State == killed {
			gone++
		}
	}
	var parts []string
	if failed := len(s.reports) - gone; failed > 0 || gone == 0 {
		parts = append(parts, counted(failed, "failure"))
	}
	if gone > 0 {
		parts = append(parts, strconv.Itoa(gone)+" killed")
	}
	return strings.Join(parts, " and ") + " of " + counted(tests, "test")
}

func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return strconv.Itoa(n) + " " + what
}

// group groups the reports by a key, the largest groups first.
func (s *Summary) group(key func(report) string) [][]report {
	index := map[string]int{}
	var out [][]report
	for _, r := range s.reports {
		k := key(r)
		i, known := index[k]
		if !known {
			i = len(out)
			index[k] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], r)
	}
	slices.SortStableFunc(out, func(a, b []report) int { return len(b) - len(a) })
	return out
}

// flaky are the tests that have failed several times; nil if there are none.
func (s *Summary) flaky() *ranking {
	r := &ranking{Caption: "Tests that failed more than once", Head: heads("times>", "in different ways>", "test", "reports")}
	for _, list := range s.group(func(r report) string { return r.Package + "\x00" + r.Test }) {
		if len(list) < 2 || len(r.Rows) == maxRanked {
			break
		}
		ways := map[string]bool{}
		for _, one := range list {
			ways[alike(one.Message)] = true
		}
		r.Rows = append(r.Rows, ranked{Cells: []string{strconv.Itoa(len(list)), strconv.Itoa(len(ways)), list[0].Test}, Links: links(list)})
	}
	if len(r.Rows) == 0 {
		return nil
	}
	return r
}

func (s *Summary) frequent() ranking {
	r := ranking{Caption: "Messages by how often they were", Head: heads("times>", "message", "reports")}
	for _, list := range s.group(func(r report) string { return alike(r.Message) }) {
		if len(r.Rows) == maxRanked {
			break
		}
		r.Rows = append(r.Rows, ranked{Cells: []string{strconv.Itoa(len(list)), cmp.Or(list[0].Message, "(none)")}, Links: links(list)})
	}
	return r
}

func (s *Summary) slow() ranking {
	r := ranking{Caption: "How long environments took to make", Head: heads("took>", "test", "reports")}
	list := slices.Clone(s.reports)
	slices.SortStableFunc(list, func(a, b report) int { return cmp.Compare(b.Opened, a.Opened) })
	for _, one := range list[:min(len(list), maxRanked)] {
		r.Rows = append(r.Rows, ranked{Cells: []string{round(one.Opened), one.Test}, Links: links([]report{one})})
	}
	return r
}

func links(list []report) []link {
	var out []link
	for i, r := range list[:min(len(list), maxRanked)] {
		text := "report"
		if len(list) > 1 {
			text = strconv.Itoa(i + 1)
		}
		out = append(out, link{text, r.Href})
	}
	return out
}

var numbers = regexp.MustCompile(`0x[0-9a-fA-F]+|[0-9a-fA-F:]*::[0-9a-fA-F:]*|\d+`)

// alike is a message without what differs from time to time.
func alike(message string) string { return numbers.ReplaceAllString(analysis.Clip(message, 1000), "0") }
