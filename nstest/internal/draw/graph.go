// Package draw renders networks and the machines on them: as a text for a terminal, in the language of Graphviz, and as a
// drawing in SVG with a layout of its own. It knows nothing of namespaces, and takes every string as it comes.
package draw

import "strings"

// A Graph is what is drawn. The same graph gives the same text, always.
type Graph struct {
	Title    string
	Summary  string // one line: what there is
	Networks []Network
	Machines []Machine
	Joins    []Join
	Faults   []Fault
}

// A Network is drawn as a bar.
type Network struct {
	Name    string
	Facts   []string // in a word or two each: prefixes, kind
	Details []string // besides the facts, for the text and for who points at the drawing
}

// A Machine is drawn as a box, or as a hexagon if it is a router.
type Machine struct {
	Name    string
	Router  bool
	Cables  []Cable
	Facts   []string // in a few words each, for the drawing
	Details []string // in full, for the text and for who points at the drawing
}

// A Cable leads from a machine to a network.
type Cable struct {
	Network   int // of Graph.Networks
	Interface string
	Addrs     []string
	MAC       string
	Down      bool
}

// A Join is between networks of Graph.Networks.
type Join struct {
	From, To int
	Label    string // "trunk", "over"
}

// A Fault is machines of Graph.Machines in groups that are cut from each other.
type Fault struct{ Groups [][]int }

// marks are the names of the groups that a machine is in: "1a" is the first one of the first fault.
func (g *Graph) marks(machine int) []string {
	var out []string
	for f, fault := range g.Faults {
		for i, group := range fault.Groups {
			for _, m := range group {
				if m == machine {
					out = append(out, mark(f, i))
				}
			}
		}
	}
	return out
}

func mark(fault, group int) string { return decimal(fault+1) + letters(group) }

// letters counts a, b, … z, aa, ab, …
func letters(n int) string {
	s := string(rune('a' + n%26))
	if n >= 26 {
		return letters(n/26-1) + s
	}
	return s
}

// legend says which machines a fault cuts from each other.
func (g *Graph) legend(f int) string {
	var groups []string
	for i, group := range g.Faults[f].Groups {
		var names []string
		for _, m := range group {
			names = append(names, g.Machines[m].Name)
		}
		groups = append(groups, mark(f, i)+" "+strings.Join(names, ", "))
	}
	return strings.Join(groups, " | ")
}
