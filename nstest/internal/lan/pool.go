// Package lan makes the switches on which the hosts of an environment hang: each a network namespace of its own with one
// bridge, that never speaks itself. A switch outlives its environment and is used again, because the death of a bridge
// holds the kernel's rtnl lock for 17 ms; a used one cannot be told from a new one.
package lan

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/ns"
)

// ErrClosed is returned by Get after Close.
var ErrClosed = errors.New("the pool of switches is closed")

// Limits of a pool.
const (
	maxIdle    = 4                     // idle switches that are kept without limit; each costs 17 ms when the process ends
	maxEarly   = 64                    // taps that are opened before anybody records, each of 2 MiB; what is recorded then opens its own
	idleGrace  = 2 * time.Second       // how long more than those are kept, for the next burst
	trimPace   = 50 * time.Millisecond // between two that close then
	drainLimit = 30 * time.Second      // after that a switch is not waited for; the kernel's backlog of dead namespaces is shorter
)

// Pool hands out switches. Its methods may be called concurrently.
type Pool struct {
	ctx    context.Context // ends with Close; bounds what goes on in the background
	cancel context.CancelFunc
	wg     sync.WaitGroup // the background

	mu        sync.Mutex
	closed    bool
	idle      []*bridge // the most recently used last
	misses    int       // Gets that found nothing idle
	preparing bool      // a spare is being made
	records   bool      // switches will probably be recorded
	early     int       // bridges that have a tap, or will have one at once, because of that
	trimming  *time.Timer
	stats     PoolStats

	// For tests.
	grace    time.Duration
	limit    time.Duration
	maxEarly int
	sysctls  string // where the sysctls are found
}

// PoolStats are counts since the pool was made, and of Idle and Draining now.
type PoolStats struct {
	Made, Leases, Discarded int
	Idle, Draining          int
}

// NewPool returns an empty pool. Close it to give back what it holds.
func NewPool() *Pool {
	ctx, cancel := context.WithCancel(context.Background())
	return &Pool{ctx: ctx, cancel: cancel, grace: idleGrace, limit: drainLimit, maxEarly: maxEarly, sysctls: ns.Sysctls}
}

// Get leases a switch: an idle one, within a microsecond, or a new one, within a millisecond. Put gives it back.
// Making one needs CAP_SYS_ADMIN in the process's user namespace.
//
// A Get that finds nothing idle, other than the first, also has a spare made in the background for the next.
func (p *Pool) Get(ctx context.Context) (*Switch, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("get switch: %w", err)
	}
	b, spare, err := p.take()
	if err == nil && b == nil {
		b, err = newBridge(p.sysctls)
	}
	if err != nil {
		return nil, fmt.Errorf("get switch: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if b.fresh {
		b.fresh = false
		p.stats.Made++
	}
	p.stats.Leases++
	if p.records && !p.closed && !b.early && p.early < p.maxEarly {
		b.early = true
		p.early++
		p.wg.Go(func() { _, _ = b.openTap() }) // an error will come again, in Record
	}
	if spare && !p.closed && !p.preparing && len(p.idle) == 0 {
		p.preparing = true
		p.wg.Go(p.prepare)
	}
	return newSwitch(b), nil
}

// ExpectRecords has what Record takes long for be done before it, from now on, when a switch is leased: for so many switches
// as one environment may record.
func (p *Pool) ExpectRecords() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.records = true
}

// take removes an idle bridge; nil means that there is none. spare tells whether a spare pays.
func (p *Pool) take() (b *bridge, spare bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, false, ErrClosed
	}
	if n := len(p.idle); n > 0 {
		b = p.idle[n-1]
		p.idle = slices.Delete(p.idle, n-1, n)
		return b, false, nil
	}
	p.misses++
	return nil, p.misses > 1, nil
}

func (p *Pool) prepare() {
	b, err := newBridge(p.sysctls)
	p.mu.Lock()
	p.preparing = false
	if err == nil {
		b.fresh = false
		p.stats.Made++
	}
	p.mu.Unlock()
	if err == nil { // an error will come again, in the Get that needs the switch
		p.keep(b)
	}
}

// Put gives a switch back. Its methods fail from then on, and those that wait return. The faults are undone before Put
// returns; the switch is idle again when its last port has vanished, which the kernel does a while after the hosts'
// network namespaces died. A port whose host lives on for 30 s costs the switch, and the host the port.
//
// Putting a switch twice has no effect, and so has putting nil. After Close, Put closes the switch; it closes at once one
// that had a trunk or spoke the spanning tree protocol, which cannot be made like new.
func (p *Pool) Put(s *Switch) {
	if s == nil {
		return
	}
	b, used := s.release()
	if b == nil {
		return
	}
	err := b.block(nil, false)
	p.mu.Lock()
	closed := p.closed
	spent := closed || err != nil || b.marked // a switch with a fault that stays is of no use to anybody
	if !spent && used {
		p.stats.Draining++
		p.wg.Go(func() { p.drain(b) }) // under the lock: Close waits for those that began before it
	}
	p.mu.Unlock()
	switch {
	case spent && !closed && (b.tapped() || b.drops != nil): // which takes a while to close
		go p.discard(b)
	case spent:
		p.discard(b)
	case !used:
		p.keep(b)
	}
}

func (p *Pool) drain(b *bridge) {
	ctx, cancel := context.WithTimeout(p.ctx, p.limit)
	err := b.drain(ctx)
	cancel()
	p.mu.Lock()
	p.stats.Draining--
	p.mu.Unlock()
	if err != nil {
		p.discard(b)
		return
	}
	p.keep(b)
}

// keep makes b idle, and sees to those that are too many for too long.
func (p *Pool) keep(b *bridge) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		p.discard(b)
		return
	}
	b.idleSince = time.Now()
	p.idle = append(p.idle, b)
	if len(p.idle) > maxIdle && p.trimming == nil {
		p.trimming = time.AfterFunc(p.grace, p.trim)
	}
	p.mu.Unlock()
}

// trim closes the oldest switch too many, and comes back for the next: all at once would hold the kernel's rtnl lock for as
// many times 17 ms.
func (p *Pool) trim() {
	p.mu.Lock()
	p.trimming = nil
	var surplus *bridge
	if !p.closed && len(p.idle) > maxIdle {
		wait := p.grace - time.Since(p.idle[0].idleSince)
		if wait <= 0 {
			surplus = p.idle[0] // in a statement of its own: Delete moves the others to this place
			p.idle = slices.Delete(p.idle, 0, 1)
			wait = trimPace
		}
		if len(p.idle) > maxIdle {
			p.trimming = time.AfterFunc(wait, p.trim)
		}
	}
	p.mu.Unlock()
	if surplus != nil {
		p.discard(surplus)
	}
}

func (p *Pool) discard(b *bridge) {
	_ = b.close() // closing its sockets fails only when they are closed already
	p.mu.Lock()
	p.stats.Discarded++
	if b.early {
		p.early--
	}
	p.mu.Unlock()
}

// Stats counts what the pool did.
func (p *Pool) Stats() PoolStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Idle = len(p.idle)
	return s
}

// Close closes the switches that are not leased; those that are close when they are put back. It waits for what goes on in
// the background, but not for the kernel, which takes the bridges apart on its own. Close is idempotent.
func (p *Pool) Close() error {
	p.cancel()
	p.mu.Lock()
	p.closed = true
	idle := p.idle
	p.idle = nil
	if p.trimming != nil {
		p.trimming.Stop()
	}
	p.mu.Unlock()
	p.wg.Wait()
	for _, b := range idle {
		p.discard(b)
	}
	return nil
}
