package inspect

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/hermetic-go/nstest/nstest/internal/record"
)

// bad are parts of the names of counters that count what went wrong.
var bad = []string{
	"Abort", "Bad", "CsumError", "Discard", "DestUnreach", "Drop", "Err", "Fail", "Full", "Invalid", "Lost", "MemoryPressure", "NoPort", "NoRoute", "OutOf",
	"OutRst", "Overflow", "Prune", "RcvQ", "Refused", "Reset", "Retrans", "Timeout", "TooBig", "Unknown", "Unreach", "ZeroWindow",
}

// Statistics are the counters of the namespace that count what went wrong, and are not zero (netstat -s).
func (n *Net) Statistics() ([]record.Statistic, []string) {
	var list []record.Statistic
	var notes []string
	for _, f := range n.statistics {
		read := pairs
		if strings.HasSuffix(f.Name(), "6") {
			read = singles
		}
		err := read(f, func(group, name, value string) {
			v, err := strconv.ParseInt(value, 10, 64)
			if err == nil && v != 0 && slices.ContainsFunc(bad, func(part string) bool { return strings.Contains(name, part) }) {
				list = append(list, record.Statistic{Name: group + " " + name, Value: v})
			}
		})
		if err != nil {
			notes = append(notes, fmt.Sprintf("statistics: %v", err))
		}
	}
	return list, notes
}

// pairs reads a line of names and then one of values, for each group.
func pairs(r io.Reader, each func(group, name, value string)) error {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		names := strings.Fields(s.Text())
		if !s.Scan() {
			break
		}
		values := strings.Fields(s.Text())
		for i := 1; i < min(len(names), len(values)); i++ {
			each(strings.TrimSuffix(names[0], ":"), names[i], values[i])
		}
	}
	return s.Err()
}

// singles reads a name and a value a line, the name beginning with that of a group.
func singles(r io.Reader, each func(group, name, value string)) error {
	s := bufio.NewScanner(r)
	for s.Scan() {
		f := strings.Fields(s.Text())
		if len(f) != 2 {
			continue
		}
		if at := strings.IndexByte(f[0], '6'); at > 0 {
			each(f[0][:at+1], f[0][at+1:], f[1])
		}
	}
	return s.Err()
}
