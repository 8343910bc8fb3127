package bench

import (
	"fmt"
	"regexp"
	"sync"
	"testing"
	"time"
)

// usualTurn is enough for the kernel's backlog of dead namespaces to count, and little enough for drift to hit all alike.
const usualTurn = 100

// A race is some rows that take turns.
type race struct {
	rows  []*row
	turn  int          // how many rounds the workers do together before the next row has its turn
	drain func() error // waits for what the kernel does in the background; nil does not wait
}

// run lets every row do rounds, by workers that each do their share, and leaves out the rows that only does not match.
func (r *race) run(b *testing.B, workers, rounds int, only *regexp.Regexp) error {
	var kept []*row
	for _, row := range r.rows {
		if only.MatchString(row.name) {
			kept = append(kept, row)
		}
	}
	r.rows = kept
	contenders := map[*row][]round{}
	defer func() {
		for _, list := range contenders {
			for _, c := range list {
				if err := c.stop(); err != nil {
					b.Error(err)
				}
			}
		}
	}()
	for _, row := range r.rows {
		for w := range workers {
			c, err := row.enter(w)
			if err != nil {
				row.missing = err
				break
			}
			contenders[row] = append(contenders[row], c)
		}
		if row.missing == nil { // the first round pays for what the others find
			if err := r.take(row, contenders[row], 1); err != nil {
				return err
			}
			row.took, row.elapsed = nil, 0
		}
	}
	each := max(r.turn/workers, 1)
	for done := 0; done < rounds; done += workers * each {
		for _, row := range r.rows {
			if row.missing != nil {
				continue
			}
			if err := r.take(row, contenders[row], min(each, (rounds-done+workers-1)/workers)); err != nil {
				return err
			}
		}
	}
	for _, row := range r.rows {
		row.sort()
	}
	return nil
}

// take lets all contenders of a row do n rounds each, at the same time.
func (r *race) take(row *row, contenders []round, n int) error {
	var (
		mu    sync.Mutex
		wg    sync.WaitGroup
		first error
	)
	begin := time.Now()
	for _, c := range contenders {
		wg.Go(func() {
			for range n {
				d, err := c.do()
				mu.Lock()
				row.took = append(row.took, d)
				if err != nil && first == nil {
					first = fmt.Errorf("%s: %w", row.name, err)
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	if first == nil && r.drain != nil {
		first = r.drain()
	}
	row.elapsed += time.Since(begin)
	return first
}

// find returns the row with that name, or one without results.
func (r *race) find(name string) *row {
	for _, row := range r.rows {
		if row.name == name {
			return row
		}
	}
	return &row{name: name}
}
