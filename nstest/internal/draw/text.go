package draw

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Text is the graph for a terminal: a line for each network and each cable, in columns.
func (g *Graph) Text() string {
	var networks, hosts, routers, faults table
	for _, n := range g.Networks {
		networks.add(slices.Concat([]string{n.Name}, n.Facts, n.Details)...)
	}
	for _, j := range g.Joins {
		networks.add(g.Networks[j.From].Name, j.Label+" "+g.Networks[j.To].Name)
	}
	addrs := 0
	for _, m := range g.Machines {
		for _, c := range m.Cables {
			addrs = max(addrs, len(c.Addrs))
		}
	}
	for _, m := range g.Machines {
		if m.Router {
			g.rows(&routers, m, addrs)
		} else {
			g.rows(&hosts, m, addrs)
		}
	}
	for f := range g.Faults {
		faults.add(g.legend(f))
	}
	share(&hosts, &routers)

	var b strings.Builder
	b.WriteString(clean(g.Title) + ": " + clean(g.Summary) + "\n")
	networks.write(&b, "networks")
	hosts.write(&b, "hosts")
	routers.write(&b, "routers")
	faults.write(&b, "partitions")
	return b.String()
}

// rows appends what there is to say about a machine, whose cables have room for so many addresses.
func (g *Graph) rows(t *table, m Machine, addrs int) {
	name := m.Name
	for _, c := range m.Cables {
		row := make([]string, 3+addrs, 3+addrs+2)
		row[0], row[1], row[2] = name, c.Interface, g.Networks[c.Network].Name
		copy(row[3:], c.Addrs)
		row = append(row, c.MAC)
		if c.Down {
			row = append(row, "down")
		}
		t.add(row...)
		name = ""
	}
	if len(m.Cables) == 0 {
		t.add(name)
	}
	for _, d := range m.Details {
		t.remark(d)
	}
}

// A table is rows of cells in columns, with remarks between them that begin in the second column.
type table struct {
	rows    [][]string
	columns []int // widths
}

func (t *table) add(cells ...string) {
	for i, c := range cells {
		cells[i] = clean(c)
		if i == len(t.columns) {
			t.columns = append(t.columns, 0)
		}
		t.columns[i] = max(t.columns[i], utf8.RuneCountInString(cells[i]))
	}
	t.rows = append(t.rows, cells)
}

// remark is add for a cell that may be wider than its column.
func (t *table) remark(s string) { t.rows = append(t.rows, []string{"", clean(s)}) }

// share gives two tables the same columns.
func share(a, b *table) {
	if len(a.columns) < len(b.columns) {
		a, b = b, a
	}
	for i, w := range b.columns {
		a.columns[i] = max(a.columns[i], w)
	}
	b.columns = a.columns
}

func (t *table) write(b *strings.Builder, heading string) {
	if len(t.rows) == 0 {
		return
	}
	b.WriteString(heading + "\n")
	for _, row := range t.rows {
		line := " "
		for i, cell := range row {
			line += " " + cell
			if i < len(t.columns) {
				line += strings.Repeat(" ", max(0, t.columns[i]-utf8.RuneCountInString(cell))+1)
			}
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}
