package analysis_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/plant"
	"github.com/hermetic-go/nstest/nstest/bundle"
)

// manyProcesses have each printed something, by turns, and have ended badly. The state knows of them too.
func manyProcesses(p *plant.Bundle, many, lines int) {
	var state bundle.State
	host := bundle.HostState{Name: "web"}
	for n := 1; n <= many; n++ {
		p.Event(time.Duration(n)*time.Microsecond, bundle.Event{Kind: bundle.KindStart, Host: "web", Process: n, PID: n, Args: []string{"work", fmt.Sprint(n)}})
		host.Ended = append(host.Ended, bundle.Ended{Number: n, PID: n, State: "exit status 1", Args: []string{"work", fmt.Sprint(n)}})
	}
	for line := range lines {
		for n := 1; n <= many; n++ {
			p.Event(100*ms+time.Duration(line*many+n)*time.Microsecond, bundle.Event{Kind: bundle.KindLog, Host: "web", Process: n, PID: n, Text: fmt.Sprintf("%d says %d", n, line)})
		}
	}
	for n := 1; n <= many; n++ {
		p.Event(time.Second+time.Duration(n)*time.Microsecond, bundle.Event{Kind: bundle.KindExit, Host: "web", Process: n, PID: n, State: "exit status 1", Took: time.Second})
	}
	state.Hosts = append(state.Hosts, host)
	p.State = &state
}

func BenchmarkManyProcesses(b *testing.B) {
	for _, many := range []int{1000, 2000, 4000, 8000} {
		b.Run(fmt.Sprint(many), func(b *testing.B) {
			p := plant.New(b.TempDir())
			manyProcesses(p, many, 8)
			if err := p.Write(); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				analyse(b, p.Dir)
			}
		})
	}
}

// The last words of each are its own, and the last ones.
func TestLastWordsOfManyProcesses(t *testing.T) {
	a := read(t, func(p *plant.Bundle) { manyProcesses(p, 20, 8) })
	seen := 0
	for _, f := range a.Findings {
		var n int
		if _, err := fmt.Sscanf(f.Title, "web: ended: exit status 1 — work %d", &n); err != nil {
			t.Errorf("%q", f.Title)
			continue
		}
		seen++
		var want []string
		for line := 2; line < 8; line++ {
			want = append(want, fmt.Sprintf("%d says %d", n, line))
		}
		if got := f.Detail; got != "its last words: "+strings.Join(want, " ⏎ ") {
			t.Errorf("%d: %q", n, got)
		}
	}
	if seen != 20 {
		t.Errorf("%d processes stand out, want 20", seen)
	}
}
