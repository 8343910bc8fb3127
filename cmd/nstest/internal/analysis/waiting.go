package analysis

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/traffic"
)

// slow is how long an answer may take before that stands out.
const slow = 500 * time.Millisecond

// A call is where a request and its answer go: a connection, with HTTP/2 a stream of one.
type call struct {
	conn   int
	stream uint32
}

// requests finds those of HTTP that nobody has answered, be it that the connection has ended or that the test has, or not soon.
func (f *finder) requests() {
	unanswered := map[call][]int{} // items of requests
	ended := map[int]int64{}
	gaveUp := map[int]int64{} // by the item
	for n, i := range f.a.Items {
		at := call{i.Conn, i.stream}
		waiting := unanswered[at]
		switch {
		case i.Conn == 0:
		case i.Kind == Conn && i.Took > 0:
			ended[i.Conn] = i.Time.Add(i.Took).UnixNano()
		case i.Kind != HTTP:
		case i.role == traffic.Unknown:
			maps.DeleteFunc(unanswered, func(c call, _ []int) bool { return c.conn == i.Conn })
		case i.role == traffic.Asks:
			unanswered[at] = append(waiting, n)
		case i.role == traffic.GivesUp && len(waiting) > 0:
			gaveUp[waiting[0]] = i.Time.UnixNano()
		case i.role == traffic.Answers && len(waiting) > 0:
			asked := f.a.Items[waiting[0]]
			if took := i.Time.Sub(asked.Time); took >= slow {
				f.seen(Odd, waiting[0], fmt.Sprintf("Slow answer: %s → %s: %s", asked.Host, asked.To, asked.Text), "it has taken "+since(int64(took)))
			}
			unanswered[at] = waiting[1:]
		}
	}
	for _, n := range slices.Sorted(slices.Values(slices.Concat(slices.Collect(maps.Values(unanswered))...))) {
		i := f.a.Items[n]
		until := f.a.failed()
		if end, known := ended[i.Conn]; known {
			until = min(until, end)
		}
		if end, known := gaveUp[n]; known {
			until = min(until, end)
		}
		if asked := i.Time.UnixNano(); asked < until { // else the test has not waited for it
			f.seen(Bad, n, fmt.Sprintf("No answer: %s → %s: %s", i.Host, i.To, i.Text), "the client had waited for "+since(until-asked))
		}
	}
}
