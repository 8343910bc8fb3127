package analysis

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// slow is how long an answer may take before that stands out.
const slow = 500 * time.Millisecond

// requests finds those of HTTP that nobody has answered, be it that the connection has ended or that the test has, or not soon.
func (f *finder) requests() {
	unanswered := map[int][]int{} // items of requests, by connection
	ended := map[int]int64{}
	for n, i := range f.a.Items {
		switch {
		case i.Conn == 0:
		case i.Kind == Conn && i.Took > 0:
			ended[i.Conn] = i.Time.Add(i.Took).UnixNano()
		case i.Kind != HTTP || i.Text == "HTTP/2":
		case !strings.HasPrefix(i.Text, "HTTP/"):
			unanswered[i.Conn] = append(unanswered[i.Conn], n)
		case len(unanswered[i.Conn]) > 0:
			asked := f.a.Items[unanswered[i.Conn][0]]
			if took := i.Time.Sub(asked.Time); took >= slow {
				f.seen(Odd, unanswered[i.Conn][0], fmt.Sprintf("Slow answer: %s → %s: %s", asked.Host, asked.To, asked.Text), "it has taken "+since(int64(took)))
			}
			unanswered[i.Conn] = unanswered[i.Conn][1:]
		}
	}
	var list []int
	for _, items := range unanswered {
		list = append(list, items...)
	}
	slices.Sort(list)
	for _, n := range list {
		i := f.a.Items[n]
		until := f.a.failed()
		if end, known := ended[i.Conn]; known {
			until = min(until, end)
		}
		if asked := i.Time.UnixNano(); asked < until { // else the test has not waited for it
			f.seen(Bad, n, fmt.Sprintf("No answer: %s → %s: %s", i.Host, i.To, i.Text), "the client had waited for "+since(until-asked))
		}
	}
}
