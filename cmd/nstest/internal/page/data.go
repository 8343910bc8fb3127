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

// maxTexts is how many bytes all texts of items have together.
const maxTexts = 48 << 20

// data is what the script shows.
func (v *view) data() (template.JS, error) {
	a := v.a
	c := columns{Begin: v.base.UTC().Format(time.RFC3339Nano), End: a.End.Sub(v.base).Microseconds(), Kinds: analysis.Kinds, Hosts: a.Hosts, Facts: map[int][][2]string{}}
	if c.Hosts == nil {
		c.Hosts = []string{}
	}
	if len(a.Items) == 0 { // null is no column
		c.Time, c.Text = []int64{}, []string{}
	}
	hosts := map[string]int{}
	for i, h := range a.Hosts {
		hosts[h] = i + 1
	}
	var last int64
	room, left := maxTexts, 0
	for n, i := range a.Items {
		at := i.Time.Sub(v.base).Microseconds()
		took := i.Took.Microseconds()
		if i.Lasts {
			took = -1
		}
		text := i.Text
		if room -= len(text); room < 0 {
			text = ""
			left++
		}
		c.Time, c.Took, c.Text = append(c.Time, at-last), append(c.Took, took), append(c.Text, text)
		last = at
		c.Kind, c.Level = append(c.Kind, slices.Index(analysis.Kinds, i.Kind)), append(c.Level, i.Level)
		c.Host, c.To = append(c.Host, hosts[i.Host]), append(c.To, hosts[i.To])
		c.Proc, c.Conn, c.Packet, c.Fault = append(c.Proc, i.Process), append(c.Conn, i.Conn), append(c.Packet, i.Packet), append(c.Fault, i.Fault)
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
