package shop_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/hermetic-go/nstest/fixtures/ca"
	"github.com/hermetic-go/nstest/nstest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// A bank is the payment provider: code of the spec that answers at a name of the internet. It charges for each order once.
type bank struct {
	host *nstest.Host

	mu      sync.Mutex
	asked   []time.Time    // when
	charges map[string]int // cents by order
	moods   []mood         // of the next requests
	gate    chan struct{}  // requests wait until it is closed; nil if they need not
	waiting int            // requests that have come to the gate
}

// A mood is how the bank answers a request.
type mood string

const (
	out    mood = "out of order"                    // nothing is charged
	silent mood = "silent after it has charged"     // the connection ends without an answer
	strict mood = "of the opinion that it must not" // the payment is refused
)

// newBank opens a bank.
func newBank(authority *ca.CA, host *nstest.Host) *bank {
	GinkgoHelper()
	b := &bank{host: host, charges: map[string]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /charges", b.charge)
	_, err := authority.Handle(host, ":443", mux)
	Expect(err).NotTo(HaveOccurred())
	return b
}

func (b *bank) charge(w http.ResponseWriter, r *http.Request) {
	var body struct{ Cents int }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	how, gate := b.arrive()
	if gate != nil {
		<-gate
	}
	switch how {
	case out:
		http.Error(w, "come back later", http.StatusServiceUnavailable)
		return
	case strict:
		http.Error(w, "no", http.StatusPaymentRequired)
		return
	}
	b.mu.Lock()
	b.charges[r.Header.Get("Idempotency-Key")] = body.Cents // once: a charge with the same key is the same charge
	b.mu.Unlock()
	if how == silent {
		panic(http.ErrAbortHandler)
	}
	fmt.Fprintln(w, "thank you")
}

// arrive takes note of a request.
func (b *bank) arrive() (mood, chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, time.Now())
	var how mood
	if len(b.moods) > 0 {
		how, b.moods = b.moods[0], b.moods[1:]
	}
	if b.gate != nil {
		b.waiting++
	}
	return how, b.gate
}

// next is how the next requests are answered.
func (b *bank) next(moods ...mood) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.moods = moods
}

// hold has requests wait until release is called.
func (b *bank) hold() (release func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	gate := make(chan struct{})
	b.gate, b.waiting = gate, 0
	release = sync.OnceFunc(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.gate = nil
		close(gate)
	})
	DeferCleanup(release)
	return release
}

// held is how many requests have come since the last hold.
func (b *bank) held() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.waiting
}

// requests is how many requests there were.
func (b *bank) requests() int { return len(b.times()) }

// times are those at which the requests came.
func (b *bank) times() []time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.asked)
}

// charged are the charges, in cents by order.
func (b *bank) charged() map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.charges)
}
