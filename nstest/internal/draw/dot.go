package draw

import (
	"fmt"
	"strings"
)

// DOT is the graph in the language of Graphviz, undirected: networks are rounded boxes, hosts boxes, routers hexagons, pulled
// cables dashed.
func (g *Graph) DOT() string {
	var b strings.Builder
	fmt.Fprintf(&b, "graph %s {\n", quote(g.Title))
	fmt.Fprintf(&b, "  graph [label=%s, labelloc=t, fontname=\"sans-serif\", ranksep=0.6];\n", quote(g.Title+": "+g.Summary))
	b.WriteString("  node [fontname=\"sans-serif\", fontsize=10];\n  edge [fontname=\"sans-serif\", fontsize=9];\n")
	for i, n := range g.Networks {
		fmt.Fprintf(&b, "  n%d [shape=box, style=\"rounded,filled\", fillcolor=\"#ddf4ff\", label=%s];\n", i, quote(append([]string{n.Name}, n.Facts...)...))
	}
	for i, m := range g.Machines {
		lines := []string{m.Name}
		for _, c := range m.Cables {
			lines = append(lines, c.Addrs...)
		}
		lines = append(lines, m.Facts...)
		look := "shape=box"
		if m.Router {
			look = "shape=hexagon, style=filled, fillcolor=\"#fff8c5\""
		}
		if marks := g.marks(i); len(marks) > 0 {
			look += ", color=\"#8250df\""
			lines = append(lines, "partition "+strings.Join(marks, " "))
		}
		fmt.Fprintf(&b, "  m%d [%s, label=%s];\n", i, look, quote(lines...))
		for _, c := range m.Cables {
			look := ""
			if c.Down {
				look = ", style=dashed, color=\"#cf222e\""
			}
			fmt.Fprintf(&b, "  m%d -- n%d [label=%s%s];\n", i, c.Network, quote(c.Interface), look)
		}
	}
	for _, j := range g.Joins {
		fmt.Fprintf(&b, "  n%d -- n%d [label=%s, style=bold];\n", j.From, j.To, quote(j.Label))
	}
	b.WriteString("}\n")
	return b.String()
}

// entities keeps Graphviz from reading an "&" as the beginning of an HTML entity, and a backslash as an escape.
var entities = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "&", "&amp;")

// quote is a quoted string of Graphviz with these lines.
func quote(lines ...string) string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = entities.Replace(clean(l))
	}
	return `"` + strings.Join(out, `\n`) + `"`
}
