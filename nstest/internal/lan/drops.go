package lan

import (
	"fmt"
	"slices"
	"sync"

	"github.com/hermetic-go/nstest/nstest/internal/nflog"
	"github.com/hermetic-go/nstest/nstest/internal/tap"
)

// A Drop is a frame that what is blocked has kept from a port.
type Drop struct {
	From, To PortID
	Name     string    // of the Cut that has dropped it
	Frame    tap.Frame // when it was dropped, more or less; good until the call returns
	Missed   int       // how many were dropped before it that came faster than they were taken
}

// A DropWatch sees what a switch drops. Its methods may be called concurrently, and by nobody who is seeing a drop.
type DropWatch struct {
	owner *Switch
	see   func(Drop)
}

// dropGroup is the group of nftables' log that dropped frames go to.
const dropGroup = 1

// Drops has see called for each frame that Block drops and that came after Drops has returned: once for each port that it was
// on its way to. see is called by one goroutine at a time and must be quick. The kernel tells it where it can log
// (CONFIG_NFT_LOG, CONFIG_NETFILTER_NETLINK_LOG; Err). The caller closes the watch; the end of the lease does too.
func (s *Switch) Drops(see func(Drop)) (*DropWatch, error) {
	b, done, err := s.use()
	if err != nil {
		return nil, fmt.Errorf("watch the switch: %w", err)
	}
	defer done()
	s.portMu.Lock()
	defer s.portMu.Unlock()
	if s.released.Err() != nil {
		return nil, fmt.Errorf("watch the switch: %w", ErrReleased)
	}
	if b.drops != nil { // what was before is for those that watch already
		if err := b.drops.Drain(); err != nil {
			return nil, fmt.Errorf("watch the switch: %w", err)
		}
	}
	w := &DropWatch{s, see}
	s.watching.Lock()
	s.watches = append(slices.Clone(s.watches), w)
	s.watching.Unlock()
	if len(b.cuts) > 0 && !b.logged {
		if err := s.enforce(b, b.cuts); err != nil {
			s.unwatch(w)
			return nil, fmt.Errorf("watch the switch: %w", err)
		}
	}
	return w, nil
}

func (s *Switch) unwatch(w *DropWatch) {
	s.watching.Lock()
	defer s.watching.Unlock()
	s.watches = slices.DeleteFunc(slices.Clone(s.watches), func(other *DropWatch) bool { return other == w })
}

// enforce has the bridge drop what does not pass, and tell it if anybody watches. That it cannot tell is no error. portMu is held.
func (s *Switch) enforce(b *bridge, cuts []Cut) error {
	if len(cuts) == 0 || !s.watched() {
		return b.block(cuts, false)
	}
	if err := s.listen(b); err != nil {
		s.mute = err
		return b.block(cuts, false)
	}
	err := b.block(cuts, true)
	if err == nil {
		s.mute = nil
		return nil
	}
	if plain := b.block(cuts, false); plain != nil {
		return plain
	}
	s.mute = err
	return nil
}

func (s *Switch) watched() bool {
	s.watching.Lock()
	defer s.watching.Unlock()
	return len(s.watches) > 0
}

// listen has the bridge's listener tell this lease. It stays with the bridge, as the kernel takes some milliseconds to close one.
func (s *Switch) listen(b *bridge) (err error) {
	if b.drops == nil {
		hear := &hearing{}
		listener, err := nflog.Open(b.net, dropGroup, hear.see)
		if err != nil {
			return err
		}
		b.drops, b.hearing = listener, hear
	}
	if b.hearing.is(s) {
		return nil
	}
	if err = b.drops.Drain(); err == nil { // what is left of an earlier lease is for nobody
		b.hearing.set(s)
	}
	return err
}

// A hearing is which lease is told of what a bridge has dropped.
type hearing struct {
	mu    sync.Mutex
	lease *Switch // nil for none
	begun bool    // it was told of something: what was missed is its own from there on
}

func (h *hearing) is(s *Switch) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lease == s
}

func (h *hearing) set(s *Switch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lease, h.begun = s, false
}

func (h *hearing) see(p nflog.Packet) {
	h.mu.Lock()
	s := h.lease
	if !h.begun {
		h.begun, p.Missed = true, 0
	}
	h.mu.Unlock()
	if s != nil {
		s.dropped(p)
	}
}

// dropped tells those that watch.
func (s *Switch) dropped(p nflog.Packet) {
	s.watching.Lock()
	watches := s.watches
	s.watching.Unlock()
	if len(watches) == 0 {
		return
	}
	frame := slices.Concat(p.Header, p.Data)
	d := Drop{
		From: PortID(p.In), To: PortID(p.Out), Name: p.Prefix, Missed: p.Missed,
		Frame: tap.Frame{Device: p.In, Time: p.Time, Data: frame, Length: len(frame)},
	}
	for _, w := range watches {
		w.see(d)
	}
}

// Flush returns when every frame that was dropped before was seen.
func (w *DropWatch) Flush() error {
	b, done, err := w.owner.use()
	if err != nil {
		return nil // the end of the lease has done so
	}
	defer done()
	return w.owner.flushDrops(b)
}

func (s *Switch) flushDrops(b *bridge) error {
	s.portMu.Lock()
	l := b.drops
	s.portMu.Unlock()
	if l == nil {
		return nil
	}
	return l.Drain()
}

// Close ends the watch. What was dropped before is seen, and nothing after Close has returned, but for what is being seen. It
// may be called again.
func (w *DropWatch) Close() error {
	err := w.Flush()
	w.owner.unwatch(w)
	return err
}

// Err is why the kernel does not tell what the switch drops; nil if it does, or nothing was to be dropped.
func (w *DropWatch) Err() error {
	w.owner.portMu.Lock()
	defer w.owner.portMu.Unlock()
	return w.owner.mute
}

// endDrops is the end of the lease for those that watch.
func (s *Switch) endDrops(b *bridge) error {
	err := s.flushDrops(b)
	s.portMu.Lock()
	h := b.hearing
	s.portMu.Unlock()
	if h != nil && h.is(s) {
		h.set(nil)
	}
	s.watching.Lock()
	defer s.watching.Unlock()
	s.watches = nil
	return err
}

// closeDrops is for a bridge that nobody leases any more.
func (b *bridge) closeDrops() error {
	if b.drops == nil {
		return nil
	}
	return b.drops.Close()
}
