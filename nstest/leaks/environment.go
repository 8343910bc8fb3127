package leaks

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"github.com/hermetic-go/nstest/nstest/internal/census"
)

func environments() []entry {
	var list []entry
	for _, e := range census.Entries() {
		var at strings.Builder
		frames := runtime.CallersFrames(e.PCs)
		for {
			f, more := frames.Next()
			if f.Function != "" && !strings.HasPrefix(f.Function, "runtime.") {
				fmt.Fprintf(&at, "opened by %s\n\t%s:%d\n", f.Function, f.File, f.Line)
			}
			if !more {
				break
			}
		}
		id := strconv.Itoa(e.Number)
		list = append(list, entry{class: id, id: id, what: e.Name, origin: at.String()})
	}
	return list
}
