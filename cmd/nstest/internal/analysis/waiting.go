package analysis

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hermetic-go/nstest/nstest/bundle"
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

// waiting is how the runtime calls the wait for a lock that another goroutine has to give up.
var waiting = regexp.MustCompile(`^goroutine \d+ [^\[]*\[(sync\.(?:RW)?Mutex\.R?Lock|semacquire)[,\]]`)

// locks finds goroutines of the test's process that wait for locks. One may be about to get it; two may wait for each other.
func (f *finder) locks(b *bundle.Bundle) {
	dump, err := readFile(b, bundle.GoroutinesFile)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			f.a.note("%s: %v", bundle.GoroutinesFile, err)
		}
		return
	}
	var where []string
	count := 0
	for block := range strings.SplitSeq(string(dump), "\n\n") {
		title, stack, _ := strings.Cut(strings.TrimSpace(block), "\n")
		if !waiting.MatchString(title) {
			continue
		}
		count++
		if at := caller(stack); at != "" && !slices.Contains(where, at) && len(where) < maxErrors {
			where = append(where, at)
		}
	}
	switch {
	case count == 1:
		f.add(Finding{Level: Odd, Title: "A goroutine waits for a lock", Detail: strings.Join(where, ", "), Count: 1, Item: -1})
	case count > 1:
		f.add(Finding{Level: Bad, Title: fmt.Sprintf("%d goroutines wait for locks, perhaps for each other", count), Detail: strings.Join(where, ", "), Count: 1, Item: -1})
	}
}

// caller is the place in a stack, as file:line, from which a lock was asked for: the first that is not of package sync or the
// runtime.
func caller(stack string) string {
	lines := strings.Split(stack, "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		name := lines[i]
		if slices.ContainsFunc([]string{"sync.", "internal/sync.", "runtime."}, func(p string) bool { return strings.HasPrefix(name, p) }) {
			continue
		}
		at, _, _ := strings.Cut(strings.TrimSpace(lines[i+1]), " +0x")
		return at
	}
	return ""
}
