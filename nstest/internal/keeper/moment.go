package keeper

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/lan"
	"github.com/hermetic-go/nstest/nstest/internal/pcapng"
	"github.com/hermetic-go/nstest/nstest/internal/record"
)

// A moment is when something happened to a cable, or a fault came into force or was healed. The next packet in each capture has
// it as a comment.
type moment struct {
	time time.Time
	text string
}

// The next packet has to find room beside what waits for it in the smallest file that there may be.
const (
	maxMoments = 32      // that wait for a packet, of which the first ones go
	maxAbout   = 1 << 10 // bytes of the text of each
)

// An audience is the captures under way, the record's among them.
type audience struct {
	mu   sync.Mutex // not held while a capture's is taken
	list []*capture
}

// join has a capture hear of what happens from now on, and of the faults that are in force.
func (a *audience) join(c *capture, inForce []record.FaultState) {
	for _, f := range inForce {
		c.note(record.Event{Time: f.Since, Kind: record.KindFault, Fault: f.Fault, Text: f.Text})
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list = append(a.list, c)
}

func (a *audience) leave(c *capture) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list = slices.DeleteFunc(a.list, func(other *capture) bool { return other == c })
}

// happened writes down what happened to a cable, or becomes of a fault: in the record and in the captures.
func (e *environment) happened(event record.Event) {
	event.Time = time.Now()
	e.record(event)
	e.audience.mu.Lock()
	list := slices.Clone(e.audience.list)
	e.audience.mu.Unlock()
	for _, c := range list {
		c.note(event)
	}
}

// note has the next packet tell of an event.
func (c *capture) note(event record.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	event.Text = strings.ToValidUTF8(event.Text[:min(len(event.Text), maxAbout)], "")
	text := eventText(event)
	if event.Fault != 0 {
		if c.inForce == nil {
			c.inForce = map[int]string{}
		}
		if c.inForce[event.Fault] = text; event.State == healed {
			delete(c.inForce, event.Fault)
		}
	}
	c.remember(moment{event.Time, text})
}

func (c *capture) remember(m moment) {
	c.notes = append(c.notes, m)
	c.notes = slices.Delete(c.notes, 0, max(0, len(c.notes)-maxMoments))
}

// remind has the next packet tell what faults are in force, as far as there is room: no earlier one is in the file. The mutex is
// held.
func (c *capture) remind() {
	for _, text := range c.inForce {
		if len(c.notes) >= maxMoments {
			return
		}
		if !slices.ContainsFunc(c.notes, func(m moment) bool { return m.text == text }) {
			c.notes = slices.Insert(c.notes, 0, moment{text: text})
		}
	}
}

// before are the moments before a time, as comments, and those that are not. The mutex is held.
func (c *capture) before(t time.Time) (comments []string, rest []moment) {
	for _, m := range c.notes {
		if m.time.After(t) {
			rest = append(rest, m)
		} else {
			comments = append(comments, m.text)
		}
	}
	return comments, rest
}

// eventText is an event in a line: "fault 3: partition of a | b is in force since 10:00:00.000000 UTC".
func eventText(e record.Event) string {
	at := e.Time.UTC().Format("15:04:05.000000 UTC")
	switch {
	case e.Kind == record.KindFault && e.State == healed:
		return faultText(e.Fault, e.Text) + " was healed at " + at
	case e.Kind == record.KindFault && e.Fault != 0:
		return faultText(e.Fault, e.Text) + " is in force since " + at
	case e.Kind == record.KindFault: // such as a cable that was pulled before
		return e.Text + " since " + at
	case e.Host == "":
		return fmt.Sprintf("network %s: %s at %s", e.Network, e.Text, at)
	}
	return fmt.Sprintf("link of %s to %s: %s at %s", e.Host, e.Network, e.Text, at)
}

// seeDrop writes a frame that the switch of a network has dropped, with the reason.
func (c *capture) seeDrop(e *environment, n *network, d lan.Drop) {
	from, to := n.label(d.From), n.label(d.To)
	if !c.wants(from) && !c.wants(to) {
		return
	}
	way := ""
	if from.host != "" {
		way += " from " + from.host
	}
	if to.host != "" {
		way += " to " + to.host
	}
	comments := []string{fmt.Sprintf("dropped on the way%s: %s", way, strings.ToValidUTF8(d.Name, ""))}
	if d.Missed > 0 {
		comments = append(comments, fmt.Sprintf("%d that were dropped before are missing here, as they came too fast", d.Missed))
	}
	c.take(e, label{place: place{n.name, "switch"}, about: "what the switch of network " + n.name + " drops"}, d.Frame, pcapng.Unknown, comments...)
}

// label is what hangs on a port; nothing where it leads to another switch.
func (n *network) label(port lan.PortID) label {
	l, ok := n.labels.Load(port)
	if !ok {
		return label{}
	}
	return l.(label)
}
