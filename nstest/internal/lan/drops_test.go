package lan

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
)

// told are the drops that a watch has seen.
type told struct {
	mu    sync.Mutex
	drops []Drop
}

func (l *told) see(d Drop) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d.Frame.Data = bytes.Clone(d.Frame.Data)
	l.drops = append(l.drops, d)
}

// of are those of frames that contain text, as "NAME: FROM to TO".
func (l *told) of(text string) (list []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.drops {
		if bytes.HasSuffix(d.Frame.Data, []byte(text)) && d.Frame.Length == 14+20+8+len(text) && d.Missed == 0 && !d.Frame.Time.IsZero() {
			list = append(list, fmt.Sprintf("%s: %d to %d", d.Name, d.From, d.To))
		}
	}
	return list
}

// What is dropped is told to those who watch, with the cut that it was, in each lease of a switch its own.
func TestDropsAreTold(t *testing.T) {
	p := newPool(t)
	var before *told
	for round := range 3 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			s := get(t, p)
			a, b, c := newHost(t, 1), newHost(t, 2), newHost(t, 3)
			ids := attach(t, s, a, b, c)
			from, to, other := a.listen(t, a.v4), b.listen(t, b.v4), c.listen(t, c.v4)
			mustReach(t, "one host by the other", from, to)
			mustReach(t, "the third", from, other)
			send := func(text string) {
				t.Helper()
				for _, to := range []interface{ LocalAddr() net.Addr }{to, other} {
					if _, err := from.WriteTo([]byte(text), to.LocalAddr()); err != nil {
						t.Fatal(err)
					}
				}
			}
			cuts := []Cut{
				{Name: "the first", Pairs: []Pair{{ids[1], ids[0]}}},
				{Name: "the second", Pairs: []Pair{{ids[0], ids[1]}, {ids[0], ids[2]}}},
			}
			var early, late told
			var watch *DropWatch
			var err error
			begin := func(l *told) {
				t.Helper()
				if watch, err = s.Drops(l.see); err != nil {
					t.Fatal(err)
				}
			}
			if round != 1 {
				begin(&early)
			}
			if err := s.Block(cuts...); err != nil {
				t.Fatal(err)
			}
			want := []string{fmt.Sprintf("the first: %d to %d", ids[0], ids[1]), fmt.Sprintf("the second: %d to %d", ids[0], ids[2])}
			mustTell := func(w *DropWatch, l *told, text string) {
				t.Helper()
				send(text)
				eventually(t, "it is told of "+text, func() bool { return w.Flush() == nil && len(l.of(text)) >= len(want) })
				if got := l.of(text); !slices.Equal(got, want) {
					t.Errorf("told %q, want %q", got, want)
				}
			}
			first := watch
			if first != nil {
				mustTell(first, &early, "before")
			}
			begin(&late) // while it is in force
			mustTell(watch, &late, "after")
			for _, w := range []*DropWatch{first, watch} {
				if w == nil {
					continue
				}
				if err := w.Err(); err != nil {
					t.Errorf("the kernel does not tell: %v", err)
				}
			}
			if err := watch.Close(); err != nil {
				t.Fatal(err)
			}
			if first != nil {
				mustTell(first, &early, "at the end")
			}
			p.Put(s)
			for _, text := range []string{"before", "at the end"} {
				if got := late.of(text); len(got) > 0 {
					t.Errorf("told of what was %s: %q", text, got)
				}
			}
			if before != nil && len(before.of("after")) != 2 {
				t.Errorf("an earlier lease was told: %+v", before.drops)
			}
			before = &late
			if _, err := s.Drops(late.see); err == nil {
				t.Error("a switch that was put back is watched")
			}
		})
		eventually(t, "the switch is idle again", func() bool { return p.Stats().Idle == 1 })
	}
}
