package draw

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Sizes of the drawing, in pixels.
const (
	nameText  = 13
	smallText = 10
	lineStep  = 14
	hexagon   = 14 // how far the points of a router's shape stick out
	markWidth = 24
	maxText   = 44 // characters of a line
)

// A line is a line of text in a box.
type line struct {
	text string
	name bool // in large
}

func machineLines(m *Machine) []line {
	out := []line{{short(m.Name, maxText), true}}
	for _, c := range m.Cables {
		for i, a := range c.Addrs {
			if len(m.Cables) > 1 && i == 0 {
				a = c.Interface + " " + a
			}
			out = append(out, line{text: short(a, maxText)})
		}
	}
	for _, f := range m.Facts {
		out = append(out, line{text: short(f, maxText)})
	}
	return out
}

func barLines(n Network) []line {
	out := []line{{short(n.Name, maxText), true}}
	for _, f := range n.Facts {
		out = append(out, line{text: short(f, maxText)})
	}
	return out
}

// wideBarLines are barLines where there is room beside each other.
func wideBarLines(n Network) []line {
	if len(n.Facts) < 2 {
		return nil
	}
	return []line{{short(n.Name, maxText), true}, {text: short(strings.Join(n.Facts, " · "), 4*maxText)}}
}

// textWidth is about what a text takes. The fonts asked for are monospaced, and of the same width nearly everywhere.
func textWidth(s string, size int) int {
	units := 0
	for _, r := range s {
		units += 62
		if r >= 0x1100 { // mostly scripts with wide characters
			units += 48
		}
	}
	return units*size/100 + 1
}

// size is the room that lines need, with some space around.
func size(lines []line) (w, h int) {
	for _, l := range lines {
		px := smallText
		if l.name {
			px = nameText
		}
		w = max(w, textWidth(l.text, px))
	}
	return w + 2*padX, lineStep*len(lines) + 12
}

// style holds the colours; a drawing has its own background, as it may be shown on any.
const style = `text{font:10px ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,monospace;fill:#59636e;text-anchor:middle}
.name{font-size:13px;font-weight:bold;fill:#1f2328}
.left{text-anchor:start}
.port{text-anchor:start;paint-order:stroke;stroke:#fff;stroke-width:3px}
.back{fill:#fff}
.network{fill:#ddf4ff;stroke:#0969da}
.host{fill:#f6f8fa;stroke:#59636e}
.router{fill:#fff8c5;stroke:#9a6700}
.join{fill:#fff;stroke:#0969da}
.cable{fill:none;stroke:#59636e;stroke-width:1.5}
.trunk{fill:none;stroke:#0969da;stroke-width:3}
.down{stroke:#cf222e;stroke-dasharray:5 4}
.cut{stroke:#8250df;stroke-width:2}
.mark{fill:#8250df}
.marked{fill:#fff;font-weight:bold}
@media (prefers-color-scheme:dark){
text{fill:#9198a1}
.name{fill:#f0f6fc}
.port{stroke:#0d1117}
.back{fill:#0d1117}
.network{fill:#0c2d6b;stroke:#4493f8}
.host{fill:#212830;stroke:#9198a1}
.router{fill:#3b2300;stroke:#d29922}
.join{fill:#0d1117;stroke:#4493f8}
.cable{stroke:#9198a1}
.trunk{stroke:#4493f8}
.down{stroke:#f85149}
.cut{stroke:#ab7df8}
.mark{fill:#ab7df8}
.marked{fill:#0d1117}
}
`

// SVG is the graph as a drawing that needs nothing else, has no script, and is readable on light and dark.
func (g *Graph) SVG() string {
	s := &svg{layout: newLayout(g)}
	legend := s.wrapLegend(max(s.width, 360) - 2*margin)
	height := s.height
	if len(legend) > 0 {
		s.width = max(s.width, 360)
		height += lineStep*len(legend) + margin/2
	}
	s.printf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-labelledby="title desc">`+"\n", s.width, height, s.width, height)
	s.printf("<title id=\"title\">%s</title>\n<desc id=\"desc\">%s</desc>\n", escape(g.Title), escape(g.describe()))
	s.printf("<style>\n%s</style>\n", style)
	s.printf("<rect class=\"back\" width=\"%d\" height=\"%d\"/>\n", s.width, height)
	for _, e := range s.edges {
		s.edge(e)
	}
	for _, n := range s.nodes {
		s.node(n)
	}
	for _, e := range s.edges {
		s.port(e)
	}
	for i, text := range legend {
		s.printf("<text class=\"left\" x=\"%d\" y=\"%d\">%s</text>\n", margin, s.height+lineStep*i, escape(text))
	}
	s.printf("</svg>\n")
	return s.out.String()
}

// describe is the graph for those who do not see it.
func (g *Graph) describe() string {
	on := make([][]string, len(g.Networks))
	for _, m := range g.Machines {
		for _, c := range m.Cables {
			name := m.Name
			if m.Router {
				name = "router " + name
			}
			if c.Down {
				name += " (cable pulled)"
			}
			on[c.Network] = append(on[c.Network], name)
		}
	}
	text := g.Summary + "."
	for i, n := range g.Networks {
		who := "nobody"
		if len(on[i]) > 0 {
			who = strings.Join(on[i], ", ")
		}
		text += "\nNetwork " + n.Name + ": " + who + "."
	}
	for f := range g.Faults {
		text += "\nPartition: " + g.legend(f) + "."
	}
	return text
}

// An svg is a drawing while it is made.
type svg struct {
	*layout
	out strings.Builder
}

func (s *svg) printf(format string, args ...any) { fmt.Fprintf(&s.out, format, args...) }

// escape makes a text one of XML. Lines stay lines.
func escape(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = markup.Replace(clean(l))
	}
	return strings.Join(lines, "\n")
}

var markup = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;")

// edge draws a cable: straight through its layer, in a bow to the next one, and on a stack along its side.
func (s *svg) edge(e *edge) {
	class := "cable"
	title := ""
	switch {
	case e.machine < 0:
		class = "trunk"
	default:
		m := s.g.Machines[e.machine]
		c := m.Cables[e.cable]
		title = m.Name + " " + c.Interface + ", " + s.g.Networks[c.Network].Name
		if c.Down {
			class += " down"
			title += ", pulled"
		}
	}
	up, down, upX, downX := e.bar, e.other, e.barX, e.otherX
	if e.other.layer < e.bar.layer {
		up, down, upX, downX = e.other, e.bar, e.otherX, e.barX
	}
	middle := (up.floor + down.y) / 2
	path := fmt.Sprintf("M%d %d", upX, up.y+up.h)
	if up.y+up.h != up.floor && upX != downX {
		path += fmt.Sprintf("V%d", up.floor)
	}
	if upX == downX {
		path += fmt.Sprintf("V%d", down.y)
	} else {
		path += fmt.Sprintf("C%d %d %d %d %d %d", upX, middle, downX, middle, downX, down.y)
	}
	if len(e.other.machines) > 1 {
		b := e.other.boxes[e.member]
		path += fmt.Sprintf("V%dH%d", e.other.y+b.y+b.h/2, e.other.x+b.x)
	}
	if title == "" {
		s.printf("<path class=\"%s\" d=\"%s\"/>\n", class, path)
		return
	}
	s.printf("<path class=\"%s\" d=\"%s\"><title>%s</title></path>\n", class, path, escape(title))
}

func (s *svg) node(n *node) {
	switch {
	case n.join >= 0:
		s.printf("<rect class=\"join\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"10\"/>\n", n.x, n.y, n.w, n.h)
		s.printf("<text x=\"%d\" y=\"%d\">%s</text>\n", n.x+n.w/2, n.y+14, escape(short(s.g.Joins[n.join].Label, maxText)))
	case n.network >= 0:
		network := s.g.Networks[n.network]
		s.printf("<g><title>%s</title>\n<rect class=\"network\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"%d\"/>\n",
			escape(strings.Join(slices.Concat([]string{network.Name}, network.Facts, network.Details), "\n")), n.x, n.y, n.w, n.h, min(n.h/2, corner))
		lines := barLines(network)
		if wide := wideBarLines(network); len(wide) > 0 && n.h < lineStep*len(lines)+12 {
			lines = wide
		}
		s.lines(lines, n.x+n.w/2, n.y)
		s.printf("</g>\n")
	default:
		for k, i := range n.machines {
			b := n.boxes[k]
			s.machine(i, box{n.x + b.x, n.y + b.y, b.w, b.h})
		}
	}
}

func (s *svg) machine(i int, b box) {
	m := &s.g.Machines[i]
	about := []string{m.Name}
	for _, c := range m.Cables {
		about = append(about, strings.Join(append([]string{c.Interface, s.g.Networks[c.Network].Name, c.MAC}, c.Addrs...), " "))
	}
	s.printf("<g><title>%s</title>\n", escape(strings.Join(append(about, m.Details...), "\n")))
	marks := s.g.marks(i)
	class := "host"
	if m.Router {
		class = "router"
	}
	if len(marks) > 0 {
		class += " cut"
	}
	if m.Router {
		s.printf("<path class=\"%s\" d=\"M%d %dh%dl%d %dl%d %dh%dl%d %dz\"/>\n", class, b.x+hexagon, b.y, b.w-2*hexagon,
			hexagon, b.h/2, -hexagon, b.h-b.h/2, -(b.w - 2*hexagon), -hexagon, -(b.h - b.h/2))
	} else {
		s.printf("<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"3\"/>\n", class, b.x, b.y, b.w, b.h)
	}
	s.lines(machineLines(m), b.x+b.w/2, b.y)
	for k, text := range marks {
		x := b.x + b.w - (k+1)*(markWidth+4) + 12
		s.printf("<rect class=\"mark\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"14\" rx=\"7\"/><text class=\"marked\" x=\"%d\" y=\"%d\">%s</text>\n",
			x, b.y-7, markWidth, x+markWidth/2, b.y+4, text)
	}
	s.printf("</g>\n")
}

func (s *svg) lines(lines []line, x, y int) {
	for _, l := range lines {
		y += lineStep
		class := ""
		if l.name {
			class = " class=\"name\""
			y += 3
		}
		s.printf("<text%s x=\"%d\" y=\"%d\">%s</text>\n", class, x, y, escape(l.text))
	}
}

// port writes the name of an interface beside its cable, where a machine has several.
func (s *svg) port(e *edge) {
	if e.machine < 0 || len(s.g.Machines[e.machine].Cables) < 2 {
		return
	}
	y := e.other.y - 4
	if e.bar.layer > e.other.layer {
		y = e.other.y + e.other.h + 11
	}
	s.printf("<text class=\"port\" x=\"%d\" y=\"%d\">%s</text>\n", e.otherX+3, y, escape(short(s.g.Machines[e.machine].Cables[e.cable].Interface, 15)))
}

// wrapLegend is what there is to say about the faults, in lines that fit.
func (s *svg) wrapLegend(width int) []string {
	var out []string
	room := width * 100 / (62 * smallText)
	for f := range s.g.Faults {
		line := "partition " + decimal(f+1) + ":"
		for word := range strings.FieldsSeq(clean(s.g.legend(f))) {
			if utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > room {
				out = append(out, line)
				line = "   "
			}
			line += " " + word
		}
		out = append(out, line)
	}
	return out
}
