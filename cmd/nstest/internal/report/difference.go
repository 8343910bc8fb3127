package report

import (
	"fmt"
	"io"
	"slices"
)

// A Difference is what has changed from one report to another.
type Difference struct {
	before, after *Report
	changes       []change // regressions first
	same          int
}

// A change is a property whose state is another one. A nil side is a report that does not have it.
type change struct{ before, after *Property }

// Compare finds what has changed. The reports must be of one kind.
func Compare(before, after *Report) (*Difference, error) {
	if before.Kind != after.Kind {
		return nil, fmt.Errorf("compare reports: %w: one is of kind %q, made with --target or without, and the other of kind %q", ErrNoReport, before.Kind, after.Kind)
	}
	d := &Difference{before: before, after: after}
	for i := range before.Properties {
		d.add(change{&before.Properties[i], after.find(before.Properties[i].Key())})
	}
	for i := range after.Properties {
		if before.find(after.Properties[i].Key()) == nil {
			d.add(change{nil, &after.Properties[i]})
		}
	}
	slices.SortStableFunc(d.changes, func(a, b change) int { return a.rank() - b.rank() })
	return d, nil
}

func (d *Difference) add(c change) {
	if c.before.state() == c.after.state() {
		d.same++
		return
	}
	d.changes = append(d.changes, c)
}

func (r *Report) find(key string) *Property {
	i := slices.IndexFunc(r.Properties, func(p Property) bool { return p.Key() == key })
	if i < 0 {
		return nil
	}
	return &r.Properties[i]
}

// state is "" for a property that a report does not have.
func (p *Property) state() State {
	if p == nil {
		return ""
	}
	return p.State
}

// The kinds of changes, in the order in which they are shown.
const (
	regressed = iota
	improved
	changed
)

func (c change) rank() int {
	before, after := c.before.state(), c.after.state()
	switch {
	case before == Pass && (after == Fail || after == Absent):
		return regressed
	case after == Pass && (before == Fail || before == Absent):
		return improved
	}
	return changed
}

// Regressions is how many properties held and do not any more, or are not there any more.
func (d *Difference) Regressions() int { return d.count(regressed) }

func (d *Difference) count(rank int) int {
	n := 0
	for _, c := range d.changes {
		if c.rank() == rank {
			n++
		}
	}
	return n
}

// Print prints a table of changes, and the summary.
func (d *Difference) Print(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "A: %v\nB: %v\n", d.before.Machine, d.after.Machine); err != nil {
		return err
	}
	if err := d.printChanges(w); err != nil {
		return err
	}
	if err := d.printOptions(w); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%d regressions, %d improvements, %d other changes, %d the same.\n", d.Regressions(), d.count(improved), d.count(changed), d.same)
	return err
}

func (d *Difference) printChanges(w io.Writer) error {
	if len(d.changes) == 0 {
		return nil
	}
	t := newTable("", "ID", "PROPERTY", "A", "B", "WHY")
	for _, c := range d.changes {
		p, why := c.after, "A has not looked into it"
		switch {
		case c.after == nil:
			p, why = c.before, "B has not looked into it"
		case c.before != nil:
			why = p.brief()
		}
		t.row([]string{"REGRESSION", "improvement", "change"}[c.rank()], p.Key(), oneLine(p.Text, textWidth), d.word(c.before), d.word(c.after), oneLine(why, reasonWidth))
	}
	return t.print(w)
}

func (d *Difference) word(p *Property) string {
	if p == nil {
		return "-"
	}
	return d.before.word(p.State)
}

// printOptions prints what differs in the kernels' configurations, where both are known.
func (d *Difference) printOptions(w io.Writer) error {
	a, b := d.before.Machine.Kernel.Options, d.after.Machine.Kernel.Options
	if a == nil || b == nil {
		return nil
	}
	t := newTable("OPTION", "A", "B")
	for _, name := range options {
		if a[name] != b[name] {
			t.row("CONFIG_"+name, orDash(a[name]), orDash(b[name]))
		}
	}
	if len(t.rows) == 1 {
		return nil
	}
	return t.print(w)
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
