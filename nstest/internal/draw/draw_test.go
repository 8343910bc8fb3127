package draw

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// random is a graph in which everything happens.
func random(r *rand.Rand) *Graph {
	g := &Graph{Title: "random", Summary: "what came"}
	for i := range r.IntN(12) {
		n := Network{Name: fmt.Sprint("net", i)}
		for range r.IntN(4) {
			n.Facts = append(n.Facts, strings.Repeat("x", r.IntN(60)))
		}
		g.Networks = append(g.Networks, n)
	}
	for i := range r.IntN(40) {
		m := Machine{Name: fmt.Sprint(strings.Repeat("m", r.IntN(50)), i), Router: r.IntN(4) == 0}
		cables := 1
		if len(g.Networks) == 0 {
			cables = 0
		} else if r.IntN(3) == 0 {
			cables = r.IntN(6)
		}
		for k := range cables {
			c := Cable{Network: r.IntN(len(g.Networks)), Interface: fmt.Sprint("eth", k), MAC: "02:00:00:00:00:01", Down: r.IntN(5) == 0}
			for range r.IntN(3) {
				c.Addrs = append(c.Addrs, "fd6e:7374:6573:7401::2")
			}
			m.Cables = append(m.Cables, c)
		}
		for range r.IntN(3) {
			m.Facts = append(m.Facts, "some fact")
		}
		g.Machines = append(g.Machines, m)
	}
	if n := len(g.Networks); n > 1 {
		for range r.IntN(3) {
			from := r.IntN(n)
			g.Joins = append(g.Joins, Join{From: from, To: (from + 1 + r.IntN(n-1)) % n, Label: "trunk"})
		}
	}
	if n := len(g.Machines); n > 3 {
		for range r.IntN(3) {
			perm := r.Perm(n)
			g.Faults = append(g.Faults, Fault{Groups: [][]int{perm[:1], perm[1:3]}})
		}
	}
	return g
}

// each calls f for random graphs, each with a seed that is printed if it fails.
func each(t *testing.T, f func(t *testing.T, g *Graph)) {
	t.Helper()
	first := rand.Uint64()
	for i := range uint64(300) {
		seed := first + i
		if !t.Run("", func(t *testing.T) { f(t, random(rand.New(rand.NewPCG(seed, 0)))) }) {
			t.Fatalf("the graph of seed %d", seed)
		}
	}
}

func (b box) overlaps(o box) bool {
	return b.x < o.x+o.w && o.x < b.x+b.w && b.y < o.y+o.h && o.y < b.y+b.h
}

func (b box) contains(x, y int) bool { return b.x <= x && x <= b.x+b.w && b.y <= y && y <= b.y+b.h }

// places are the rectangles of everything that is drawn.
func (l *layout) places() []box {
	var out []box
	for _, n := range l.nodes {
		if len(n.machines) == 0 {
			out = append(out, box{n.x, n.y, n.w, n.h})
		}
		for _, b := range n.boxes {
			out = append(out, box{n.x + b.x, n.y + b.y, b.w, b.h})
		}
	}
	return out
}

func TestBoxesNeverOverlap(t *testing.T) {
	if !(box{0, 0, 2, 2}).overlaps(box{1, 1, 2, 2}) || (box{0, 0, 2, 2}).overlaps(box{2, 0, 2, 2}) {
		t.Fatal("the test does not know an overlap")
	}
	each(t, func(t *testing.T, g *Graph) {
		l := newLayout(g)
		places := l.places()
		if want := len(g.Networks) + len(g.Machines) + len(g.Joins); len(places) != want {
			t.Errorf("%d places for %d things", len(places), want)
		}
		for i, a := range places {
			if a.x < 0 || a.y < 0 || a.x+a.w > l.width || a.y+a.h > l.height {
				t.Errorf("%v sticks out of %d × %d", a, l.width, l.height)
			}
			for _, b := range places[i+1:] {
				if a.overlaps(b) {
					t.Errorf("%v overlaps %v", a, b)
				}
			}
		}
	})
}

// The drawing is read, not the layout: a path for each cable, from the bar to its machine, and over no other box.
func TestEveryCableIsDrawn(t *testing.T) {
	number := regexp.MustCompile(`[A-Z]|-?\d+`)
	each(t, func(t *testing.T, g *Graph) {
		l := newLayout(g)
		var drawn [][]string
		d := xml.NewDecoder(strings.NewReader(g.SVG()))
		down := 0
		for {
			token, err := d.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			e, ok := token.(xml.StartElement)
			if !ok || e.Name.Local != "path" {
				continue
			}
			attr := map[string]string{}
			for _, a := range e.Attr {
				attr[a.Name.Local] = a.Value
			}
			if strings.HasPrefix(attr["class"], "cable") || attr["class"] == "trunk" {
				drawn = append(drawn, number.FindAllString(attr["d"], -1))
			}
			if strings.Contains(attr["class"], "down") {
				down++
			}
		}
		cables, pulled := 2*len(g.Joins), 0
		for _, m := range g.Machines {
			cables += len(m.Cables)
			for _, c := range m.Cables {
				if c.Down {
					pulled++
				}
			}
		}
		if len(drawn) != cables || down != pulled {
			t.Fatalf("%d cables are drawn of %d, %d pulled of %d", len(drawn), cables, down, pulled)
		}
		for i, e := range l.edges {
			points := trace(t, drawn[i])
			bar := box{e.bar.x, e.bar.y, e.bar.w, e.bar.h}
			end := box{e.other.x, e.other.y, e.other.w, e.other.h}
			if len(e.other.boxes) > 0 {
				b := e.other.boxes[e.member]
				end = box{e.other.x + b.x, e.other.y + b.y, b.w, b.h}
			}
			first, last := points[0], points[len(points)-1]
			if e.other.layer < e.bar.layer {
				first, last = last, first
			}
			if !bar.contains(first[0], first[1]) || !end.contains(last[0], last[1]) {
				t.Errorf("cable %d goes from %v to %v, not from %v to %v", i, first, last, bar, end)
			}
			for _, p := range points {
				for _, b := range l.places() {
					if b.contains(p[0], p[1]) && b != bar && b != end {
						t.Errorf("cable %d goes through %v at %v", i, b, p)
					}
				}
			}
		}
	})
}

// trace is points on a path that has M, V, H and C.
func trace(t *testing.T, words []string) (points [][2]int) {
	t.Helper()
	pop := func() int {
		n, err := strconv.Atoi(words[0])
		if err != nil {
			t.Fatal(err)
		}
		words = words[1:]
		return n
	}
	x, y := 0, 0
	to := func(nx, ny int) {
		for k := range 11 {
			points = append(points, [2]int{x + (nx-x)*k/10, y + (ny-y)*k/10})
		}
		x, y = nx, ny
	}
	for len(words) > 0 {
		command := words[0]
		words = words[1:]
		switch command {
		case "M":
			x, y = pop(), pop()
			points = append(points, [2]int{x, y})
		case "V":
			to(x, pop())
		case "H":
			to(pop(), y)
		case "C":
			x0, y0 := float64(x), float64(y)
			c := [6]int{pop(), pop(), pop(), pop(), pop(), pop()}
			for k := range 21 {
				s := float64(k) / 20
				at := func(p0 float64, p1, p2, p3 int) int {
					return int((1-s)*(1-s)*(1-s)*p0 + 3*(1-s)*(1-s)*s*float64(p1) + 3*(1-s)*s*s*float64(p2) + s*s*s*float64(p3))
				}
				points = append(points, [2]int{at(x0, c[0], c[2], c[4]), at(y0, c[1], c[3], c[5])})
			}
			x, y = c[4], c[5]
		default:
			t.Fatalf("path with %q", command)
		}
	}
	return points
}

func TestTheSameGraphIsDrawnTheSame(t *testing.T) {
	each(t, func(t *testing.T, g *Graph) {
		for _, draw := range []func() string{g.SVG, g.DOT, g.Text} {
			if first, second := draw(), draw(); first != second {
				t.Error("two drawings of one graph differ")
			}
		}
	})
}

func TestTextHasColumns(t *testing.T) {
	g := &Graph{
		Title: "shop", Summary: "two of each",
		Networks: []Network{{Name: "lan", Facts: []string{"10.1.0.0/16"}, Details: []string{"gateway 10.1.0.1"}}, {Name: "backbone", Facts: []string{"10.2.0.0/16"}}},
		Machines: []Machine{
			{Name: "web", Cables: []Cable{{Network: 0, Interface: "eth0", Addrs: []string{"10.1.0.2", "fd00::2"}, MAC: "02:00:00:00:00:02", Down: true}}},
			{Name: "loner"},
			{Name: "gate", Router: true, Details: []string{"route 10.3.0.0/16 via 10.2.0.3", "nat symmetric"}, Cables: []Cable{
				{Network: 0, Interface: "eth0", Addrs: []string{"10.1.0.1"}, MAC: "02:00:00:00:00:01"},
				{Network: 1, Interface: "eth1", Addrs: []string{"10.2.0.200"}, MAC: "02:00:00:00:00:03"},
			}},
		},
		Joins:  []Join{{From: 1, To: 0, Label: "trunk"}},
		Faults: []Fault{{Groups: [][]int{{0, 1}, {2}}}},
	}
	want := `shop: two of each
networks
  lan       10.1.0.0/16  gateway 10.1.0.1
  backbone  10.2.0.0/16
  backbone  trunk lan
hosts
  web    eth0  lan       10.1.0.2    fd00::2  02:00:00:00:00:02  down
  loner
routers
  gate   eth0  lan       10.1.0.1             02:00:00:00:00:01
         eth1  backbone  10.2.0.200           02:00:00:00:00:03
         route 10.3.0.0/16 via 10.2.0.3
         nat symmetric
partitions
  1a web, loner | 1b gate
`
	if got := g.Text(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Graphviz itself reads the language, where it is installed.
func TestGraphvizReadsIt(t *testing.T) {
	dot, err := exec.LookPath("dot")
	if err != nil {
		t.Skip("dot is not on this machine: install graphviz; TestStatements and FuzzNames look at the same")
	}
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	const wide = 1000 // an edge around a box that is much wider is longer than Graphviz can draw
	names := slices.DeleteFunc(slices.Clone(nasty), func(name string) bool { return len(name) > wide })
	for range 5 {
		g := random(r)
		for i := range g.Machines {
			g.Machines[i].Name = names[r.IntN(len(names))]
		}
		cmd := exec.Command(dot, "-Tplain")
		cmd.Stdin = strings.NewReader(g.DOT())
		var complaints strings.Builder
		cmd.Stderr = &complaints
		out, err := cmd.Output()
		if err != nil || strings.Contains(complaints.String(), "syntax error") {
			t.Fatalf("seed %d: %v\n%s\n%s", seed, err, complaints.String(), g.DOT())
		}
		edges := len(g.Joins)
		for _, m := range g.Machines {
			edges += len(m.Cables)
		}
		plain := "\n" + string(out)
		if n, e := strings.Count(plain, "\nnode "), strings.Count(plain, "\nedge "); n != len(g.Networks)+len(g.Machines) || e != edges {
			t.Errorf("seed %d: Graphviz sees %d nodes of %d, and %d edges of %d", seed, n, len(g.Networks)+len(g.Machines), e, edges)
		}
	}
}

func TestStatements(t *testing.T) {
	if statements("graph \"a\" {\n  n0 [label=\"a\"b\"];\n}\n") == nil {
		t.Fatal("the test does not know a broken string")
	}
	each(t, func(t *testing.T, g *Graph) {
		if err := statements(g.DOT()); err != nil {
			t.Error(err)
		}
	})
}

// nasty are names that mean something to somebody.
var nasty = []string{
	"", "web", `"`, `\`, `a\"b`, `\N`, `\n`, "line\nbreak", "<script>alert(1)</script>", "</text>", "&", "&amp;", "&#0;", "]]>", "--", "a--b", "{|}", "-->",
	"\x00", "\x1b[31m", "\xff\xfe", "\u202e", "\ufffe", "日本語", strings.Repeat("x", 10000), "%s%d", "\t", "é", "🙂",
}

func FuzzNames(f *testing.F) {
	for _, n := range nasty {
		f.Add(n, n)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		g := &Graph{
			Title: b, Summary: a,
			Networks: []Network{{a, []string{b}, nil}, {b, nil, []string{a}}},
			Machines: []Machine{
				{Name: a, Facts: []string{b}, Cables: []Cable{{Network: 0, Interface: b, Addrs: []string{a}, MAC: b}}},
				{Name: b, Router: true, Details: []string{a}, Cables: []Cable{{Network: 0, Interface: "eth0"}, {Network: 1, Interface: a}}},
			},
			Joins:  []Join{{From: 0, To: 1, Label: a}},
			Faults: []Fault{{Groups: [][]int{{0}, {1}}}},
		}
		if err := wellFormed(g.SVG()); err != nil {
			t.Error(err)
		}
		if lines := strings.Count(g.Text(), "\n"); lines != 13 {
			t.Errorf("%d lines:\n%s", lines, g.Text())
		}
		for _, out := range []string{g.SVG(), g.DOT(), g.Text()} {
			if !utf8.ValidString(out) || strings.ContainsAny(out, "\x00\x1b\r") {
				t.Errorf("not a plain text: %q", out)
			}
		}
		if err := statements(g.DOT()); err != nil {
			t.Error(err)
		}
	})
}

// wellFormed is nil if a drawing is XML of nothing but what we draw.
func wellFormed(svg string) error {
	elements := map[string]int{}
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if e, ok := token.(xml.StartElement); ok {
			elements[e.Name.Local]++
		}
	}
	for _, known := range []string{"svg", "title", "desc", "style", "rect", "path", "text", "g"} {
		delete(elements, known)
	}
	if len(elements) > 0 {
		return fmt.Errorf("it has %v", elements)
	}
	return nil
}

// statements is nil if each line of a graph is one, with its strings closed on it.
func statements(dot string) error {
	quoted := regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	plain := regexp.MustCompile(`^(graph  \{|\}|  (graph|node|edge|[nm]\d+|[nm]\d+ -- [nm]\d+) \[[a-z0-9=, .]*\];)$`)
	for l := range strings.Lines(dot) {
		if rest := quoted.ReplaceAllString(strings.TrimSuffix(l, "\n"), ""); !plain.MatchString(rest) {
			return errors.New("not a statement: " + l)
		}
	}
	return nil
}
