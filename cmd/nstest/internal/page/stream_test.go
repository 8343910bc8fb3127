package page_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/analysis"
	"github.com/hermetic-go/nstest/cmd/nstest/internal/page"
	"github.com/hermetic-go/nstest/nstest/bundle"
)

// Times of an increment are from the test's beginning, before which its environment was made, and never go back.
func TestStreamBeginsBeforeTheTest(t *testing.T) {
	base := time.Now()
	l := analysis.NewLive()
	s := page.NewStream(base)
	next := func(events ...bundle.Event) (after []int64) {
		t.Helper()
		l.Add(events)
		data, more, err := s.Next(l)
		if err != nil || more {
			t.Fatal(err, more)
		}
		var n struct {
			T []int64 `json:"t"`
		}
		if err := json.Unmarshal(data, &n); err != nil {
			t.Fatal(err)
		}
		return n.T
	}
	note := func(at time.Duration) bundle.Event {
		return bundle.Event{Time: base.Add(at), Kind: bundle.KindNote, Text: at.String()}
	}
	if got, want := next(note(-3*time.Millisecond), note(2*time.Millisecond)), []int64{-3000, 5000}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got, want := next(note(-time.Millisecond), note(4*time.Millisecond)), []int64{0, 2000}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
