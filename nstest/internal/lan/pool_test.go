package lan

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestPoolKeepsFourIdleSwitches(t *testing.T) {
	p := newPool(t)
	p.grace = time.Hour
	var leases []*Switch
	for range maxIdle + 3 {
		leases = append(leases, get(t, p))
	}
	for _, s := range leases {
		p.Put(s)
	}
	if idle := p.Stats().Idle; idle < maxIdle+3 {
		t.Errorf("%d idle switches right after a burst, want all of them kept for the next", idle)
	}
	p.mu.Lock()
	p.grace = time.Nanosecond // which have passed
	p.mu.Unlock()
	p.trim()
	eventually(t, "the surplus is closed", func() bool {
		s := p.Stats()
		return s.Idle == maxIdle && s.Discarded == s.Made-maxIdle
	})
	for i := range maxIdle { // none of those that stay was closed in the place of another
		s := get(t, p)
		if _, err := s.Stats(); err != nil {
			t.Errorf("idle switch %d: %v", i, err)
		}
		defer p.Put(s)
	}
}

func TestPoolPreparesASpareFromTheSecondMissOn(t *testing.T) {
	p := newPool(t)
	get(t, p)
	p.wg.Wait()
	if made := p.Stats().Made; made != 1 {
		t.Errorf("after the first lease %d switches were made, want one: a program with one environment needs no spare", made)
	}
	get(t, p)
	p.wg.Wait()
	if s := p.Stats(); s.Made != 3 || s.Idle != 1 {
		t.Errorf("after the second: %+v; want three made, one of them idle", s)
	}
	get(t, p)
	if made := p.Stats().Made; made != 3 {
		t.Errorf("the third lease made another switch (%d), want the spare used", made)
	}
}

func TestPoolGivesUpOnAHostThatLivesOn(t *testing.T) {
	p := newPool(t)
	p.limit = 50 * time.Millisecond
	s := get(t, p)
	a := newHost(t, 1)
	attach(t, s, a)
	p.Put(s)
	eventually(t, "the switch is discarded", func() bool { return p.Stats() == PoolStats{Made: 1, Leases: 1, Discarded: 1} })
	eventually(t, "the cable is gone from the host", func() bool {
		links, err := a.conn.Links()
		return err == nil && len(links) == 1
	})
}

func TestPoolClose(t *testing.T) {
	p := newPool(t)
	files := openFiles(t)
	goroutines := runtime.NumGoroutine()
	leased, draining := get(t, p), get(t, p)
	a := newHost(t, 1)
	attach(t, draining, a)
	p.Put(draining) // cannot finish: the host lives
	p.Put(get(t, p))
	for range 2 {
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Get(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("Get after Close: %v", err)
	}
	if _, err := leased.Stats(); err != nil {
		t.Errorf("a leased switch after Close: %v", err)
	}
	p.Put(leased)
	a.close()
	if s := p.Stats(); s.Idle+s.Draining != 0 || s.Discarded != s.Made {
		t.Errorf("after Close: %+v; want everything discarded", s)
	}
	if now := openFiles(t); len(now) != len(files) {
		t.Errorf("open files afterwards: %v; before: %v", now, files)
	}
	eventually(t, "no goroutine left", func() bool { return runtime.NumGoroutine() <= goroutines })
}

func openFiles(tb testing.TB) []string {
	tb.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		tb.Fatal(err)
	}
	var files []string
	for _, e := range entries {
		if link, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			files = append(files, e.Name()+" "+link)
		}
	}
	return files
}

func TestGetWithAnEndedContext(t *testing.T) {
	p := newPool(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := p.Get(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestPoolConcurrently(t *testing.T) {
	p := newPool(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				s := get(t, p)
				a, b := newHost(t, 1), newHost(t, 2)
				ids, err := tryAttach(within(t, 30*time.Second), s, a, b)
				if err != nil || !slices.Equal(ids, []PortID{3, 4}) {
					t.Errorf("%v, %v", ids, err)
				}
				if err := s.Block(Cut{Pairs: []Pair{{3, 4}}}); err != nil {
					t.Error(err)
				}
				a.close()
				b.close()
				p.Put(s)
			}
		})
	}
	wg.Wait()
	eventually(t, "all switches are idle", func() bool { return p.Stats().Draining == 0 })
	t.Logf("%+v", p.Stats())
}

// BenchmarkLease is a lease with two hosts. µs are those of one worker: switch = Get, Attach and WaitUp, configure = the
// two hosts' addresses, put = Put. The hosts' two namespaces are part of the time of an operation, and of the rate.
func BenchmarkLease(b *testing.B) {
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			p := newPool(b)
			var mu sync.Mutex
			var parts [4][]time.Duration
			work := make(chan struct{})
			var wg sync.WaitGroup
			b.ResetTimer()
			for range workers {
				wg.Go(func() {
					for range work {
						d, err := leaseOnce(b, p)
						if err != nil {
							b.Error(err)
						}
						mu.Lock()
						for i := range d {
							parts[i] = append(parts[i], d[i])
						}
						mu.Unlock()
					}
				})
			}
			for range b.N {
				work <- struct{}{}
			}
			close(work)
			wg.Wait()
			b.StopTimer()
			for i, name := range []string{"hosts", "switch", "configure", "put"} {
				slices.Sort(parts[i])
				b.ReportMetric(float64(parts[i][len(parts[i])/2].Nanoseconds())/1e3, name+"-µs-p50")
				b.ReportMetric(float64(parts[i][len(parts[i])*9/10].Nanoseconds())/1e3, name+"-µs-p90")
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "leases/s")
			s := p.Stats()
			b.ReportMetric(float64(s.Made), "switches")
		})
	}
}

func leaseOnce(b *testing.B, p *Pool) (d [4]time.Duration, err error) {
	ctx := context.Background()
	begin := time.Now()
	lap := func(i int) { d[i] += time.Since(begin); begin = time.Now() }
	hosts := []*host{newBareHost(b, 1), newBareHost(b, 2)}
	lap(0)
	s, err := p.Get(ctx)
	if err != nil {
		return d, err
	}
	ids, err := s.Attach(ctx, hosts[0].port(), hosts[1].port())
	lap(1)
	for _, h := range hosts {
		err = errors.Join(err, h.configure())
	}
	lap(2)
	err = errors.Join(err, s.WaitUp(ctx, ids...))
	lap(1)
	for _, h := range hosts {
		h.close()
	}
	begin = time.Now()
	p.Put(s)
	lap(3)
	return d, err
}

// BenchmarkNewSwitch leaves the switches open until the end, since each that closes holds the rtnl lock: run it with a
// small number of rounds (-benchtime 100x).
func BenchmarkNewSwitch(b *testing.B) {
	requireRights(b)
	for range b.N {
		br, err := newBridge("/proc/sys")
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = br.close() })
	}
}

func BenchmarkBlock(b *testing.B) {
	p := newPool(b)
	s := get(b, p)
	for i := range PortID(10) {
		s.ports[firstPort+i] = true
	}
	var pairs []Pair
	for i := range PortID(5) {
		for j := range PortID(5) {
			pairs = append(pairs, Pair{firstPort + i, firstPort + 5 + j})
		}
	}
	for b.Loop() {
		if err := s.Block(Cut{Pairs: pairs}); err != nil {
			b.Fatal(err)
		}
	}
}
