package page

import (
	"fmt"
	"strings"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/analysis"
)

// A table is one of a page.
type table struct {
	ID, Label, Caption string
	Head               []head
	Rows               []row
	More               string

	count int
}

type head struct {
	Text  string
	Right bool // numbers
}

type row struct {
	Odd   bool
	Cells []string
}

// The bounds of a table.
const (
	maxRows = 500
	maxCell = 1000 // bytes
)

// heads are the heads of columns; those that end in ">" are above numbers.
func heads(names ...string) []head {
	var out []head
	for _, n := range names {
		text, right := strings.CutSuffix(n, ">")
		out = append(out, head{text, right})
	}
	return out
}

func (t *table) add(odd bool, cells ...string) {
	t.count++
	if len(t.Rows) == maxRows {
		t.More = fmt.Sprintf("and %d more", t.count-maxRows)
		return
	}
	for i, c := range cells {
		cells[i] = analysis.Clip(c, maxCell)
	}
	t.Rows = append(t.Rows, row{odd, cells})
}
