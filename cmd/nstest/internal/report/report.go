package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// schema is the version of the JSON that this package writes and reads.
const schema = 1

// A Report is what came of one run.
type Report struct {
	Schema     int        `json:"schema"`
	Kind       Kind       `json:"kind"`
	Nstest     string     `json:"nstest"`
	Began      time.Time  `json:"began"`
	Machine    Machine    `json:"machine"`
	Properties []Property `json:"properties"`
}

// Kind is what a report is of.
type Kind string

// The kinds of reports.
const (
	Conform Kind = "conform" // specs of what nstest makes
	Target  Kind = "target"  // what is around the process
)

// New is a report of this machine, from now.
func New(kind Kind, version string) *Report {
	return &Report{Schema: schema, Kind: kind, Nstest: version, Began: time.Now().UTC().Truncate(time.Second), Machine: ThisMachine()}
}

// A Property is one that was looked into.
type Property struct {
	ID       string   `json:"id,omitempty"`
	Check    string   `json:"check,omitempty"`
	Text     string   `json:"text"`
	State    State    `json:"state"`
	Reason   string   `json:"reason,omitempty"`
	Evidence Evidence `json:"evidence"`
}

// Key tells a property from the others in its report, and finds it in another one.
func (p Property) Key() string {
	if p.Check != "" {
		return p.Check
	}
	return p.ID
}

// State is what came of a property.
type State string

// The states. Package report says what they mean.
const (
	Pass    State = "pass"
	Fail    State = "fail"
	Absent  State = "absent"
	Skipped State = "skipped"
)

// Evidence is what was seen.
type Evidence struct {
	Positive []Control     `json:"positive,omitempty"`
	Negative []Control     `json:"negative,omitempty"`
	Seen     []Observation `json:"seen,omitempty"`
}

// A Control is one that was shown, or why there is none.
type Control struct {
	What  string        `json:"what,omitempty"`
	Saw   []Observation `json:"saw,omitempty"`
	None  string        `json:"none,omitempty"`
	Shown bool          `json:"shown"`
}

// An Observation is a value that was seen.
type Observation struct {
	What  string `json:"what"`
	Value string `json:"value"`
}

// Count is how many properties came to a state.
func (r *Report) Count(s State) int {
	n := 0
	for _, p := range r.Properties {
		if p.State == s {
			n++
		}
	}
	return n
}

// Write writes the JSON.
func (r *Report) Write(w io.Writer) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	return out.Encode(r)
}

// ErrNoReport is in the error of Read for a file that can be read and holds something else.
var ErrNoReport = errors.New("this is no report of nstest conform --json")

// Read reads the JSON in a file.
func Read(path string) (*Report, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read report: %w", err)
	}
	var r Report
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("read report: %s: %w: %w", path, ErrNoReport, err)
	}
	if err := r.valid(); err != nil {
		return nil, fmt.Errorf("read report: %s: %w", path, err)
	}
	return &r, nil
}

func (r *Report) valid() error {
	switch {
	case r.Schema == 0 || r.Kind != Conform && r.Kind != Target:
		return ErrNoReport
	case r.Schema != schema:
		return fmt.Errorf("%w of version %d: it has version %d: use the nstest that made it, or make it again", ErrNoReport, schema, r.Schema)
	}
	seen := map[string]bool{}
	for _, p := range r.Properties {
		if p.Key() == "" || seen[p.Key()] || !slices.Contains([]State{Pass, Fail, Absent, Skipped}, p.State) {
			return fmt.Errorf("%w: property %q of state %q", ErrNoReport, p.Key(), p.State)
		}
		seen[p.Key()] = true
	}
	return nil
}

// oneLine is text without line breaks, of at most so many characters.
func oneLine(text string, most int) string {
	line := []rune(strings.Join(strings.Fields(text), " "))
	if len(line) > most {
		return string(line[:most-1]) + "…"
	}
	return string(line)
}
