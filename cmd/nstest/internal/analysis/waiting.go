package analysis

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/traffic"
)

// slow is how long an answer may take before that stands out.
const slow = 500 * time.Millisecond

// An exchange is a request of HTTP, and what has become of it.
type exchange struct {
	asked    int    // an item
	answered int    // an item, -1 = none
	finding  int    // of the finder's, -1 = none
	end      hangUp // of this one alone, if its connection goes on
}

// requests finds those of HTTP that nobody has answered, be it that the connection has ended or that the test has, or not soon,
// or too late. One that waited for another host's answer meanwhile follows from that one.
func (f *finder) requests() {
	list := f.exchanges()
	ends := f.hangUps()
	for n := range list {
		f.judge(&list[n], ends)
	}
	told := slices.DeleteFunc(list, func(x exchange) bool { return x.finding < 0 })
	told = told[:min(len(told), maxExchanges)]
	for n := range told {
		for m := range told {
			if f.waitsFor(told[n], told[m]) {
				f.list[told[n].finding].Follows = true
			}
		}
	}
}

// A call is where a request and its answer go: a connection, with HTTP/2 a stream of one.
type call struct {
	conn   int
	stream uint32
}

// exchanges are the requests, each with its answer: in a call they come in the order of the requests. Those are left out whose
// connection turns into something that cannot be read.
func (f *finder) exchanges() []exchange {
	var list []exchange
	open := map[call][]int{} // of list
	lost := map[int]bool{}   // likewise
	for n, i := range f.a.Items {
		if i.Conn == 0 || i.Kind != HTTP {
			continue
		}
		at := call{i.Conn, i.stream}
		waiting := open[at]
		switch {
		case i.role == traffic.Unknown:
			maps.DeleteFunc(open, func(c call, all []int) bool {
				if c.conn == i.Conn {
					for _, x := range all {
						lost[x] = true
					}
				}
				return c.conn == i.Conn
			})
		case i.role == traffic.Asks:
			open[at] = append(waiting, len(list))
			list = append(list, exchange{asked: n, answered: -1, finding: -1})
		case i.role == traffic.GivesUp && len(waiting) > 0:
			list[waiting[0]].end = hangUp{i.Time, i.Host}
		case i.role == traffic.Answers && len(waiting) > 0:
			list[waiting[0]].answered = n
			open[at] = waiting[1:]
		}
	}
	var whole []exchange
	for n, x := range list {
		if !lost[n] {
			whole = append(whole, x)
		}
	}
	return whole
}

// A hangUp is when a host was the first to close or reset a connection.
type hangUp struct {
	at   time.Time
	host string
}

func (f *finder) hangUps() map[int]hangUp {
	ends := map[int]hangUp{}
	for _, i := range f.a.Items {
		if _, known := ends[i.Conn]; !known && i.Kind == TCP && (strings.HasPrefix(i.Text, "FIN ") || strings.HasPrefix(i.Text, "RST ")) {
			ends[i.Conn] = hangUp{i.Time, i.Host}
		}
	}
	return ends
}

// maxExchanges is among how many those are looked for that wait for each other.
const maxExchanges = 1000

func (f *finder) judge(x *exchange, ends map[int]hangUp) {
	i := f.a.Items[x.asked]
	end, ended := ends[i.Conn]
	if !x.end.at.IsZero() && (!ended || x.end.at.Before(end.at)) {
		end, ended = x.end, true
	}
	what := fmt.Sprintf("%s → %s: %s", i.Host, i.To, i.Text)
	failed := time.Unix(0, f.failed)
	tell := func(level Level, title, detail string) {
		f.seen(level, x.asked, title, detail)
		if at, known := f.at[Clip(title, 300)]; known && f.list[at].Item == x.asked {
			x.finding = at
		}
	}
	switch {
	case x.answered >= 0 && (!ended || end.host != i.Host || !f.a.Items[x.answered].Time.After(end.at)):
		if took := f.a.Items[x.answered].Time.Sub(i.Time); took >= slow {
			tell(Odd, "Slow answer: "+what, "it has taken "+since(int64(took)))
		}
	case i.Time.After(failed) || ended && !end.at.After(i.Time): // the test has not waited for it
	case ended && !end.at.After(failed) && end.host == i.Host:
		detail := fmt.Sprintf("%s had not answered when %s hung up after %s", i.To, i.Host, since(int64(end.at.Sub(i.Time))))
		if x.answered >= 0 {
			detail += fmt.Sprintf("; it did %s later", since(int64(f.a.Items[x.answered].Time.Sub(end.at))))
		}
		tell(Bad, "No answer: "+what, detail)
	case ended && !end.at.After(failed):
		tell(Bad, "No answer: "+what, fmt.Sprintf("%s hung up after %s, without one", end.host, since(int64(end.at.Sub(i.Time)))))
	default:
		tell(Bad, "No answer: "+what, fmt.Sprintf("%s had waited for %s when the test failed", i.Host, since(int64(failed.Sub(i.Time)))))
	}
}

// waitsFor reports whether who was to answer a request has itself waited, most of the time, for the answer to another one.
func (f *finder) waitsFor(x, other exchange) bool {
	if x.finding == other.finding {
		return false
	}
	outer, inner := f.a.Items[x.asked], f.a.Items[other.asked]
	if outer.To != inner.Host || inner.To == outer.Host || inner.Time.Before(outer.Time) {
		return false
	}
	return f.until(other).Sub(inner.Time) >= f.until(x).Sub(outer.Time)/2 && !inner.Time.After(f.until(x))
}

// until is when a request was answered; the failure if it was not.
func (f *finder) until(x exchange) time.Time {
	failed := time.Unix(0, f.failed)
	if x.answered >= 0 && f.a.Items[x.answered].Time.Before(failed) {
		return f.a.Items[x.answered].Time
	}
	return failed
}
