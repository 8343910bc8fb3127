// Package property is the table of what namespaces isolate, and the idiom by which each row becomes one spec.
//
// A row is a property of the kernel or of an environment, with two controls. The positive one shows the probe what it
// looks for: that the leak can be seen where there is one, or that the refused call works where it is allowed. The negative
// one is the property itself. A spec that has not shown both has shown nothing, and fails:
//
//	property.It("U1", func(ctx SpecContext, c *property.Check) {
//		c.Positive("a clone without CLONE_NEWUTS renames us", func() {
//			...
//			c.Saw("our name", name)
//		})
//		c.Negative("one with CLONE_NEWUTS does not", func() { ... })
//	})
//
// What is implemented nowhere is listed in absent.tsv with the reason; suites/all compares.
package property

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// A Property is a row of properties.tsv.
type Property struct {
	ID       string // "U1"; the spec's label
	Text     string
	Positive string // what shows that the probe can see the leak; "" if the table knows of nothing
	Negative string // what is asserted; "" if Text says it all
	Since    string // the Linux that it needs, "5.12"; "" if any will do
	Peer     string // tests of others for the same
	Needs    string // what rights it takes, as it stands in the table; "" for none in particular
}

// An Absence is a row of absent.tsv.
type Absence struct {
	ID     string
	Where  Where
	Reason string
}

// Where is what lacks a property.
type Where string

// What can lack it.
const (
	// Suite: no spec is for the property.
	Suite Where = "suite"
	// Machine: there is a spec, and it may be skipped even where NSTEST_MUST_RUN=1: few machines have what it needs.
	Machine Where = "machine"
)

var (
	//go:embed properties.tsv
	properties string
	//go:embed absent.tsv
	absent string
)

// All are the properties, in the table's order.
var All = sync.OnceValue(func() []Property {
	var list []Property
	for _, f := range rows(properties, 7) {
		list = append(list, Property{f[0], f[1], f[2], f[3], f[4], f[5], f[6]})
	}
	return list
})

// Absent are those that some machine, or the suites, do without.
var Absent = sync.OnceValue(func() []Absence {
	var list []Absence
	for _, f := range rows(absent, 3) {
		list = append(list, Absence{f[0], Where(f[1]), f[2]})
	}
	return list
})

// Find is the property with an id, and panics if there is none.
func Find(id string) Property {
	i := slices.IndexFunc(All(), func(p Property) bool { return p.ID == id })
	if i < 0 {
		panic(fmt.Sprintf("property: no %q in properties.tsv: add a row, or correct the id", id))
	}
	return All()[i]
}

// mayLack is the reason why a machine may lack what a property needs; "" if there is none.
func mayLack(id string) string {
	for _, a := range Absent() {
		if a.ID == id && a.Where == Machine {
			return a.Reason
		}
	}
	return ""
}

// rows are those of a table below its heading; "-" is an empty field.
func rows(table string, width int) [][]string {
	var list [][]string
	for i, line := range slices.Collect(strings.Lines(table)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(fields) != width {
			panic(fmt.Sprintf("property: line %d has %d fields, not %d: %q", i+1, len(fields), width, line))
		}
		for k, f := range fields {
			if f == "-" {
				fields[k] = ""
			}
		}
		if i > 0 {
			list = append(list, fields)
		}
	}
	return list
}
