package tap_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/hermetic-go/nstest/nstest/internal/tap"
)

func TestSeesNothingWhileItRests(t *testing.T) {
	n := newNetwork(t)
	p, err := tap.Open(n.file, tap.Config{Idle: true}, nil)
	check(t, err)
	defer p.Close()
	for round := range 20 {
		n.send(t, []byte("before"))
		var w witness
		check(t, p.Resume(0, w.see))
		var want [][]byte
		for i := range round * 7 { // of which some fill the block, at every place in it
			want = append(want, bytes.Repeat([]byte{byte(round)}, i*137+1))
			n.send(t, want[i])
		}
		check(t, p.Rest())
		n.send(t, []byte("after"))
		seen, lost, err := p.Statistics()
		if got := len(w.all()); got != 2*len(want) || seen != uint64(got) || lost != 0 || err != nil {
			t.Fatalf("round %d: saw %d frames of %d, counted %d, lost %d, %v", round, got, 2*len(want), seen, lost, err)
		}
		for i, f := range w.all() {
			if !bytes.Equal(f.Data[headers:], want[i/2]) {
				t.Errorf("round %d: frame %d has %d bytes, not %d", round, i, len(f.Data)-headers, len(want[i/2]))
			}
		}
	}
}

func TestKeepsTheBeginningsThatItIsResumedWith(t *testing.T) {
	n := newNetwork(t)
	p, err := tap.Open(n.file, tap.Config{Idle: true}, nil)
	check(t, err)
	for _, snap := range []int{20, 100, 0} {
		var w witness
		check(t, p.Resume(snap, w.see))
		n.send(t, make([]byte, 500))
		check(t, p.Rest())
		want := snap
		if snap == 0 {
			want = headers + 500
		}
		for _, f := range w.all() {
			if len(f.Data) != want || f.Length != headers+500 {
				t.Errorf("%d bytes of %d, not %d", len(f.Data), f.Length, want)
			}
		}
		if len(w.all()) != 2 {
			t.Error(fmt.Sprint(len(w.all()), " frames"))
		}
	}
	check(t, p.Close())
	if p.Resume(0, func(tap.Frame) {}) == nil || p.Rest() == nil {
		t.Error("a tap that was closed goes on")
	}
}

// Frames that come after others have filled the ring are counted as lost, and those of the next time are seen.
func TestCountsWhatIsLostAnewEachTime(t *testing.T) {
	n := newNetwork(t)
	p, err := tap.Open(n.file, tap.Config{Idle: true, Blocks: 2}, nil)
	check(t, err)
	defer p.Close()
	free := make(chan struct{})
	check(t, p.Resume(0, func(tap.Frame) { <-free }))
	for range 100 {
		n.send(t, make([]byte, 50_000))
	}
	close(free)
	check(t, p.Rest())
	seen, lost, err := p.Statistics()
	check(t, err)
	if lost == 0 || seen+lost != 200 {
		t.Errorf("%d seen and %d lost of 200", seen, lost)
	}
	var w witness
	check(t, p.Resume(0, w.see))
	n.send(t, []byte("x"))
	check(t, p.Rest())
	if seen, lost, err := p.Statistics(); seen != 2 || lost != 0 || err != nil || len(w.all()) != 2 {
		t.Errorf("%d seen, %d lost, %v", seen, lost, err)
	}
}
