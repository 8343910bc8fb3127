package analysis

import (
	"slices"
	"time"

	"github.com/hermetic-go/nstest/nstest/bundle"
)

// A Live is the timeline of a test that runs: items are appended as events are added, and amended where something ends that had
// begun. It has what events alone tell: packets, states and findings are there when the test is over, for Read.
type Live struct {
	a Analysis
	b builder
}

// NewLive is a timeline without items.
func NewLive() *Live {
	l := &Live{}
	l.b = newBuilder(&l.a)
	return l
}

// Add adds events. Items stay in the order of time: an event that comes after later ones is shown at the time of the last one.
func (l *Live) Add(events []bundle.Event) {
	events = slices.DeleteFunc(events, func(e bundle.Event) bool { return e.Time.IsZero() })
	slices.SortStableFunc(events, func(x, y bundle.Event) int { return x.Time.Compare(y.Time) })
	for _, e := range events {
		if len(l.a.Items) >= maxItems {
			return
		}
		if e.Time.Before(l.a.End) {
			e.Time = l.a.End
		}
		before := len(l.a.Items)
		l.b.add(e)
		for i := before; i < len(l.a.Items); i++ {
			if item := &l.a.Items[i]; item.Time.Before(l.a.End) { // one that tells of its beginning at its end
				item.Time = l.a.End
			}
		}
		l.a.End = e.Time
		if len(l.a.Items) == maxItems {
			l.b.put(Item{Time: e.Time, Kind: Note, Text: "more happens than is shown here: the rest is in the report, if the test fails"})
		}
	}
}

// Items are all so far, by time. They must not be changed, and are valid until the next Add.
func (l *Live) Items() []Item { return l.a.Items }

// Changed are the items that were amended, in the order in which that happened; one may be there several times.
func (l *Live) Changed() []int { return l.b.changed }

// End is when the last event was.
func (l *Live) End() time.Time { return l.a.End }
