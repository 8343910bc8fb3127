package analysis_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/analysis"
	"github.com/hermetic-go/nstest/cmd/nstest/internal/plant"
	"github.com/hermetic-go/nstest/nstest/bundle"
)

// What a timeline has that was told one event after the other is what it has when it is read as a whole, but for packets.
func TestLiveIsTheSame(t *testing.T) {
	dir := t.TempDir()
	if _, err := plant.Shop(dir); err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var events []bundle.Event
	for e, err := range b.Events() {
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	slices.SortStableFunc(events, func(x, y bundle.Event) int { return x.Time.Compare(y.Time) })
	l := analysis.NewLive()
	for piece := range slices.Chunk(events, 3) {
		l.Add(piece)
	}
	count := func(list []analysis.Item) map[string]int {
		out := map[string]int{}
		for _, i := range list {
			if i.Packet == 0 && i.Conn == 0 && i.Kind != analysis.Failure { // of which the manifest has some
				out[i.Time.String()+string(i.Kind)+i.Host+i.Text+i.Took.String()]++
			}
		}
		return out
	}
	got, want := count(l.Items()), count(analysis.Read(b).Items)
	if len(want) < 10 || len(l.Changed()) == 0 {
		t.Fatalf("%d items, %d amendments: too few to tell", len(want), len(l.Changed()))
	}
	if !reflect.DeepEqual(got, want) {
		for k, n := range want {
			if got[k] != n {
				t.Errorf("%q is there %d times, not %d", k, got[k], n)
			}
		}
		for k, n := range got {
			if want[k] == 0 {
				t.Errorf("%q is there %d times, not 0", k, n)
			}
		}
	}
}
