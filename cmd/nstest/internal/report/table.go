package report

import (
	"fmt"
	"io"
	"strings"
)

// A table is printed with aligned columns. What is below a row is indented, and does not widen them.
type table struct {
	rows  [][]string
	below map[int][]string // lines, by the row that they are below
	width []int
}

func newTable(heading ...string) *table {
	t := &table{below: map[int][]string{}, width: make([]int, len(heading))}
	t.row(heading...)
	return t
}

func (t *table) row(cells ...string) {
	t.rows = append(t.rows, cells)
	for i, cell := range cells {
		t.width[i] = max(t.width[i], len([]rune(cell)))
	}
}

// under adds lines below the last row.
func (t *table) under(text string) {
	i := len(t.rows) - 1
	t.below[i] = append(t.below[i], strings.Split(text, "\n")...)
}

func (t *table) print(w io.Writer) error {
	var b strings.Builder
	for i, cells := range t.rows {
		line := ""
		for k, cell := range cells {
			line += cell + strings.Repeat(" ", t.width[k]-len([]rune(cell))+2)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
		for _, line := range t.below[i] {
			b.WriteString("      " + line + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// How many characters a column has, so that a row stays a line.
const (
	textWidth   = 58
	reasonWidth = 90
)

// Print prints the table and the summary; verbosely, with all evidence.
func (r *Report) Print(w io.Writer, verbose bool) error {
	if _, err := fmt.Fprintln(w, r.Machine); err != nil {
		return err
	}
	t := newTable("ID", "PROPERTY", "STATE", "EVIDENCE")
	if r.Kind == Target {
		t = newTable("ID", "WHAT", "VERDICT", "EVIDENCE")
	}
	for _, p := range r.Properties {
		id := p.ID
		if id == "" {
			id = "-"
		}
		if verbose {
			t.row(id, oneLine(p.Text, textWidth), r.word(p.State), oneLine(p.Reason, reasonWidth))
			if text := p.verbose(); text != "" {
				t.under(text)
			}
			continue
		}
		t.row(id, oneLine(p.Text, textWidth), r.word(p.State), oneLine(p.brief(), reasonWidth))
	}
	if err := t.print(w); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, r.summary())
	return err
}

// word is a state as the table has it.
func (r *Report) word(s State) string {
	if r.Kind == Target {
		return map[State]string{Pass: "isolated", Fail: "not isolated", Absent: "absent", Skipped: "unknown"}[s]
	}
	return map[State]string{Pass: "pass", Fail: "FAIL", Absent: "absent", Skipped: "skip"}[s]
}

func (r *Report) summary() string {
	if r.Kind == Target {
		return fmt.Sprintf("%d isolated, %d not isolated, %d unknown, %d absent.", r.Count(Pass), r.Count(Fail), r.Count(Skipped), r.Count(Absent))
	}
	return fmt.Sprintf("%d properties: %d hold, %d failed, %d absent, %d skipped.", len(r.Properties), r.Count(Pass), r.Count(Fail), r.Count(Absent), r.Count(Skipped))
}

// brief is the reason, or what shows the property best: the last negative control.
func (p Property) brief() string {
	if p.Reason != "" {
		return p.Reason
	}
	e := p.Evidence
	if len(e.Negative) == 0 {
		return observed(e.Seen)
	}
	last := e.Negative[len(e.Negative)-1]
	return last.What + ": " + observed(last.Saw)
}

func observed(list []Observation) string {
	var parts []string
	for _, o := range list {
		parts = append(parts, strings.TrimSpace(o.What+" "+o.Value))
	}
	return strings.Join(parts, ", ")
}

// verbose is the evidence, a line for each observation, after a reason that is longer than its column.
func (p Property) verbose() string {
	var lines []string
	if oneLine(p.Reason, reasonWidth) != strings.TrimSpace(p.Reason) {
		lines = append(lines, strings.Split(strings.TrimSpace(p.Reason), "\n")...)
	}
	for _, side := range []struct {
		sign string
		list []Control
	}{{"+", p.Evidence.Positive}, {"-", p.Evidence.Negative}} {
		for _, c := range side.list {
			switch {
			case c.None != "":
				lines = append(lines, side.sign+" none: "+c.None)
			case c.Shown:
				lines = append(lines, side.sign+" "+c.What)
			default:
				lines = append(lines, side.sign+" "+c.What+" (FAILED)")
			}
			lines = append(lines, indented(c.Saw)...)
		}
	}
	return strings.Join(append(lines, indented(p.Evidence.Seen)...), "\n")
}

func indented(list []Observation) []string {
	var lines []string
	for _, o := range list {
		lines = append(lines, "    "+o.What+": "+strings.ReplaceAll(strings.TrimSpace(o.Value), "\n", "\n      "))
	}
	return lines
}
