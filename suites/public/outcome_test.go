package public

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/onsi/ginkgo/v2/types"
)

// An outcome is how a suite ended.
type outcome struct {
	specs  []spec
	status int
	took   time.Duration
	output []byte
}

// A spec is a spec, or a node of a suite's own.
type spec struct {
	name    string // unique: the type of the node, the full text, and a number where others have the same
	text    string
	state   types.SpecState
	failure types.Failure
}

func readOutcome(report string) (o outcome, err error) {
	data, err := os.ReadFile(report)
	if err != nil {
		return o, err
	}
	var reports []types.Report
	if err := json.Unmarshal(data, &reports); err != nil {
		return o, err
	}
	seen := map[string]int{}
	for _, r := range reports {
		for _, s := range r.SpecReports {
			name := fmt.Sprintf("[%s] %s", s.LeafNodeType, s.FullText())
			seen[name]++
			if n := seen[name]; n > 1 {
				name += fmt.Sprintf(" (%d)", n)
			}
			o.specs = append(o.specs, spec{name, s.FullText(), s.State, s.Failure})
		}
	}
	return o, nil
}

// count is how many specs ended in one of the states.
func (o outcome) count(states types.SpecState) (n int) {
	for _, s := range o.specs {
		if s.state.Is(states) && s.text != "" {
			n++
		}
	}
	return n
}

func (o outcome) String() string {
	return fmt.Sprintf("%d/%d/%d", o.count(types.SpecStatePassed), o.count(types.SpecStateFailureStates), o.count(types.SpecStateSkipped|types.SpecStatePending))
}

// A difference is a spec that ended in two ways.
type difference struct{ native, hermetic spec }

func (d difference) String() string {
	text := fmt.Sprintf("%s %s natively, and hermetically %s", d.native.name, d.native.state, d.hermetic.state)
	for _, s := range []spec{d.native, d.hermetic} {
		if s.state.Is(types.SpecStateFailureStates) {
			text += fmt.Sprintf("\n%s: %s\n%s", s.failure.Location, s.failure.Message, s.failure.ForwardedPanic)
		}
	}
	return text
}

// compare returns the specs that ended differently.
func compare(native, hermetic outcome) (list []difference) {
	others := map[string]spec{}
	for _, s := range hermetic.specs {
		others[s.name] = s
	}
	for _, s := range native.specs {
		other := others[s.name] // one that is not there is in no state
		delete(others, s.name)
		if other.state != s.state {
			list = append(list, difference{s, other})
		}
	}
	for _, s := range others {
		list = append(list, difference{spec{name: s.name, text: s.text}, s})
	}
	return list
}
