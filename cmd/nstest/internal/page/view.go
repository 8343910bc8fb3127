package page

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"html/template"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/analysis"
	"github.com/hermetic-go/nstest/nstest/bundle"
)

// A view is what the template shows.
type view struct {
	Title, Policy, Path, Version string
	Live                         *Live // nil unless it is one
	CSS                          template.CSS
	JS, Data                     template.JS

	Manifest     bundle.Manifest
	Facts        []analysis.Fact
	Sections     []section
	Failures     []failure
	MoreFailures string
	Findings     []finding
	Follow       []finding // that may follow from those
	Drawing      template.URL
	Cables       *table
	Faults       []finding
	StateAt      string
	Hosts        []host
	Cgroup       *table
	Logs         []log
	Goroutines   []analysis.Goroutine // the test's own
	Others       []analysis.Goroutine
	Files        *table
	Notes        []string

	a    *analysis.Analysis
	base time.Time // the beginning of the axis of time
}

type section struct {
	ID, Title string
	Count     int
}

type failure struct {
	bundle.Failure
	At, Href string
	Rest     string // of the message: what a value is made of
}

type finding struct {
	Class, Word, Title, Detail, Href string
	Count                            int
}

// maxFailures and maxNotes are how many are shown.
const (
	maxFailures = 20
	maxNotes    = 100
	maxMessage  = 64 << 10 // bytes
	maxName     = 2000     // bytes
)

func newView(b *bundle.Bundle, a *analysis.Analysis) (*view, error) {
	m := a.Manifest
	m.Test = analysis.Clip(cmp.Or(m.Test, "(a test without a name)"), maxName)
	m.Suite, m.Package, m.State, m.Repeat = analysis.Clip(m.Suite, maxName), analysis.Clip(m.Package, maxName), analysis.Clip(m.State, maxName), analysis.Clip(m.Repeat, maxMessage)
	v := &view{Title: m.Test + " · " + m.State, Policy: policy(js), CSS: template.CSS(css), JS: template.JS(js), Path: b.Path(), Manifest: m, a: a}
	if strings.HasPrefix(v.Path, "/proc/self/fd/") { // it has no name, and is gone with the program
		v.Path = ""
	}
	v.base = m.Began
	if len(a.Items) > 0 && v.base.IsZero() { // what was done for the test before it began has times below 0
		v.base = a.Items[0].Time
	}
	data, err := v.data()
	if err != nil {
		return nil, err
	}
	v.Data = data
	v.facts()
	v.failures()
	v.findings()
	v.topology()
	v.state()
	v.logs()
	for _, g := range a.Goroutines {
		if g.Own() {
			v.Goroutines = append(v.Goroutines, g)
		} else {
			v.Others = append(v.Others, g)
		}
	}
	if err := v.files(b); err != nil {
		return nil, err
	}
	v.sections()
	return v, nil
}

// at is when something was, from the beginning.
func (v *view) at(t time.Time) string { return clock(t.Sub(v.base)) }

// clock is a time since the beginning: "0.001234 s".
func clock(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', 4, 64) + " s"
}

func (v *view) facts() {
	m := v.Manifest
	add := func(name, value string) {
		if value != "" && value != "0" {
			v.Facts = append(v.Facts, analysis.Fact{Name: name, Value: value})
		}
	}
	add("State", m.State)
	add("Attempt", strconv.Itoa(m.Attempt))
	if !m.Began.IsZero() {
		add("Began", m.Began.UTC().Format("2006-01-02 15:04:05.000 UTC"))
	}
	if m.Ended.After(m.Began) {
		add("Took", round(m.Ended.Sub(m.Began)))
	}
	if m.Opened > 0 {
		add("Environment made in", round(m.Opened))
	}
	add("Seed", strconv.FormatInt(m.Seed, 10))
	add("Package", m.Package)
	if k := m.Machine; k.Kernel != "" {
		add("Machine", fmt.Sprintf("Linux %s, %s, %d CPUs, %s", k.Kernel, k.Arch, k.CPUs, k.Mode))
	}
	add("Go", m.Machine.Go)
	if m.Of != "" {
		add("Made by the test of", filepath.Join(v.Path, m.Of))
	}
	add("Further environments", strings.Join(m.Further, " "))
}

func round(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.String()
}

func (v *view) failures() {
	for _, f := range v.Manifest.Failures[:min(len(v.Manifest.Failures), maxFailures)] {
		f.Message, f.Stack, f.Location, f.Node = analysis.Clip(f.Message, maxMessage), analysis.Clip(f.Stack, maxMessage), analysis.Clip(f.Location, maxName), analysis.Clip(f.Node, maxName)
		f.State = analysis.Clip(cmp.Or(f.State, v.Manifest.State), maxName)
		n := failure{Failure: f}
		n.Message, n.Rest = shorten(n.Message)
		if !f.Time.IsZero() {
			n.At = v.at(f.Time)
		}
		v.Failures = append(v.Failures, n)
	}
	at := 0
	for n, i := range v.a.Items { // in the same order
		if i.Kind == analysis.Failure && at < len(v.Failures) {
			v.Failures[at].Href = item(n)
			at++
		}
	}
	if more := len(v.Manifest.Failures) - maxFailures; more > 0 {
		v.MoreFailures = fmt.Sprintf("and %d more failures, in %s", more, bundle.ManifestFile)
	}
}

// shorten cuts a message where Gomega begins to tell what a value is made of, after what it says in words.
func shorten(message string) (head, rest string) {
	lines := strings.Split(message, "\n")
	for n, l := range lines {
		if strings.TrimSpace(l) == "{" && n >= 2 && len(lines)-n > 3 {
			return strings.Join(lines[:n], "\n"), strings.Join(lines[n:], "\n")
		}
	}
	return message, ""
}

// item is a link to an item.
func item(n int) string { return "#item-" + strconv.Itoa(n) }

func (v *view) findings() {
	for _, f := range v.a.Findings {
		n := finding{Class: "level-odd", Word: "odd", Title: f.Title, Detail: f.Detail, Count: f.Count}
		if f.Level == analysis.Bad {
			n.Class, n.Word = "level-bad", "bad"
		}
		switch {
		case f.Item >= 0:
			n.Href = item(f.Item)
		case f.Host != "":
			n.Href = "#" + v.stateID(f.Host, f.Table)
		}
		if f.Follows {
			v.Follow = append(v.Follow, n)
		} else {
			v.Findings = append(v.Findings, n)
		}
		if strings.HasPrefix(f.Title, analysis.InForce) {
			n.Title = strings.TrimPrefix(n.Title, analysis.InForce)
			v.Faults = append(v.Faults, n)
		}
	}
}

// topology shows the drawing as an image, in which nothing runs and which loads nothing.
func (v *view) topology() {
	drawing := v.a.Drawing
	if t := v.a.Topology; t != nil {
		drawing = []byte(t.SVG())
		v.Cables = &table{Label: "Hosts and cables", Caption: "Hosts and cables", Head: heads("host", "interface", "network", "addresses", "MAC", "cable")}
		for _, h := range t.Hosts {
			name := h.Name
			if h.Router {
				name += " (router)"
			}
			for _, l := range h.Links {
				var addrs []string
				for _, a := range l.Addrs {
					addrs = append(addrs, a.String())
				}
				cable := "up"
				if l.Down {
					cable = "pulled"
				}
				v.Cables.add(l.Down, name, l.Interface, l.Network, strings.Join(addrs, " "), l.MAC, cable)
			}
		}
	}
	if len(drawing) > 0 {
		v.Drawing = template.URL("data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString(drawing))
	}
}

func (v *view) files(b *bundle.Bundle) error {
	list, err := b.Files(".")
	if err != nil {
		return err
	}
	what := map[string]string{}
	for _, f := range v.Manifest.Files {
		what[f.Path] = f.What
	}
	slices.SortFunc(list, func(x, y bundle.File) int { return cmp.Compare(x.Path, y.Path) })
	v.Files = &table{Label: "Files of the bundle", Caption: "Files", Head: heads("path", "bytes>", "what")}
	for _, f := range list {
		v.Files.add(false, f.Path, strconv.FormatInt(f.Size, 10), what[f.Path])
	}
	v.Notes = v.a.Notes[:min(len(v.a.Notes), maxNotes)]
	return nil
}

func (v *view) sections() {
	add := func(shown bool, id, title string, count int) {
		if shown {
			v.Sections = append(v.Sections, section{id, title, count})
		}
	}
	add(true, "failure", "Failure", 0)
	add(true, "findings", "What stands out", len(v.a.Findings))
	add(v.Drawing != "" || v.Cables != nil || len(v.Faults) > 0, "topology", "Topology", 0)
	add(true, "timeline", "Timeline", len(v.a.Items))
	add(true, "conversation", "Conversation", 0)
	add(len(v.Hosts) > 0, "state", "State", len(v.Hosts))
	add(len(v.Logs) > 0, "logs", "Logs", len(v.Logs))
	add(len(v.a.Goroutines) > 0, "goroutines", "Goroutines", 0)
	add(true, "files", "Files", 0)
}
