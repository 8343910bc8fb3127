package specs

import (
	"context"
	"strings"
	"testing"
)

// unknown is the context of a node of a Ginkgo whose insides are others.
type unknown struct {
	context.Context
	value any
}

func (u unknown) Value(any) any { return u.value }

// A Ginkgo that is not as expected is refused, by an error that says what is missing and what to do.
func TestInsideOfAnotherGinkgo(t *testing.T) {
	type suite struct{ current string }
	type specContext struct{ suite *suite }
	for name, test := range map[string]struct {
		value any
		want  string
	}{
		"no context of Ginkgo's": {nil, "the context of a node is none of Ginkgo's"},
		"no suite":               {&struct{ group int }{}, "has no suite"},
		"another suite":          {&specContext{&suite{"node"}}, "suite has no currentNode"},
	} {
		in, err := inside(unknown{t.Context(), test.value})
		if in != nil || err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "NSTEST_INPROCESS=1") {
			t.Errorf("%s: %v, %v; want %q", name, in, err, test.want)
		}
	}
}
