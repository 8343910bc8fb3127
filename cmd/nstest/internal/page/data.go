package page

import (
	"encoding/json"
	"fmt"
	"html/template"
	"slices"
	"time"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/analysis"
)

// The columns of the items, for the script: a number or a text for each. Times are microseconds from the beginning.
type columns struct {
	Begin  string              `json:"begin"`
	End    int64               `json:"end"`
	Kinds  []analysis.Kind     `json:"kinds"`
	Hosts  []string            `json:"hosts"`
	Time   []int64             `json:"t"` // from the one before
	Took   []int64             `json:"d"` // -1 = until the end
	Kind   []int               `json:"k"` // of Kinds
	Level  []analysis.Level    `json:"l"`
	Host   []int               `json:"h"` // of Hosts, from 1 on
	To     []int               `json:"o"`
	Text   []string            `json:"x"`
	Proc   []int               `json:"p"`
	Conn   []int               `json:"c"`
	Packet []int               `json:"n"`
	Fault  []int               `json:"f"`
	Facts  map[int][][2]string `json:"facts"`
}

// newColumns are those of no items: null is no column.
func newColumns() *columns {
	return &columns{
		Kinds: analysis.Kinds, Hosts: []string{}, Facts: map[int][][2]string{},
		Time: []int64{}, Took: []int64{}, Kind: []int{}, Level: []analysis.Level{}, Host: []int{}, To: []int{}, Text: []string{},
		Proc: []int{}, Conn: []int{}, Packet: []int{}, Fault: []int{},
	}
}

// add adds an item, at microseconds from the one before, and between hosts of these numbers.
func (c *columns) add(i analysis.Item, after int64, from, to int) {
	c.Time, c.Took, c.Text = append(c.Time, after), append(c.Took, took(i)), append(c.Text, i.Text)
	c.Kind, c.Level = append(c.Kind, slices.Index(analysis.Kinds, i.Kind)), append(c.Level, i.Level)
	c.Host, c.To = append(c.Host, from), append(c.To, to)
	c.Proc, c.Conn, c.Packet, c.Fault = append(c.Proc, i.Process), append(c.Conn, i.Conn), append(c.Packet, i.Packet), append(c.Fault, i.Fault)
}

func took(i analysis.Item) int64 {
	if i.Lasts {
		return -1
	}
	return i.Took.Microseconds()
}

// maxTexts is how many bytes all texts of items have together.
const maxTexts = 48 << 20

// data is what the script shows.
func (v *view) data() (template.JS, error) {
	a := v.a
	c := newColumns()
	c.Begin, c.End = v.base.UTC().Format(time.RFC3339Nano), a.End.Sub(v.base).Microseconds()
	hosts := map[string]int{}
	for i, h := range a.Hosts {
		c.Hosts = append(c.Hosts, h)
		hosts[h] = i + 1
	}
	var last int64
	room, left := maxTexts, 0
	for n, i := range a.Items {
		at := i.Time.Sub(v.base).Microseconds()
		if room -= len(i.Text); room < 0 {
			i.Text = ""
			left++
		}
		c.add(i, at-last, hosts[i.Host], hosts[i.To])
		last = at
		for _, f := range i.Facts {
			if room -= len(f.Value); room < 0 {
				break
			}
			c.Facts[n] = append(c.Facts[n], [2]string{f.Name, f.Value})
		}
	}
	if left > 0 {
		a.Notes = append(a.Notes, fmt.Sprintf("the texts of the last %d events are not shown: there is too much text", left))
	}
	text, err := json.Marshal(c) // which escapes <, > and &, so that no text ends the element
	return template.JS(text), err
}
