package property

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/onsi/ginkgo/v2"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/suites/internal/require"
)

// patience is how long a spec may take that says nothing else.
const patience = 2 * time.Minute

// It makes the spec of a property: its text is the table's, its label the id. On a kernel that is too old it is skipped.
// A SpecTimeout among args takes the place of two minutes.
//
// The spec may change whatever it finds around it, because that is its environment. Where it is not in one, as under
// NSTEST_INPROCESS=1, it fails before it begins; unless nstest.InProcess is among args: such a spec only looks.
func It(id string, body func(ginkgo.SpecContext, *Check), args ...any) bool {
	p := Find(id)
	decorators := []any{ginkgo.Label(id), ginkgo.Offset(1), ginkgo.SpecTimeout(patience)}
	if p.Since != "" {
		decorators = append(decorators, ginkgo.SemVerConstraint(">= "+release(p.Since)))
	}
	decorators = append(decorators, args...)
	decorators = append(decorators, func(ctx ginkgo.SpecContext) {
		c := &Check{property: p, evidence: Evidence{ID: id, Text: p.Text}}
		ginkgo.DeferCleanup(c.keep)
		if !slices.Contains(args, any(nstest.InProcess)) {
			NeedEnvironment()
		}
		c.needKernel()
		body(ctx, c)
		c.verify()
	})
	return ginkgo.It(id+" "+p.Text, decorators...)
}

// A Check is a running spec of a property.
type Check struct {
	property Property
	evidence Evidence
	control  *Control // that is being shown
}

// Evidence is what a spec has seen; it is in the reports as an entry named EntryName.
type Evidence struct {
	ID, Text           string
	Positive, Negative []Control
	Absent             string `json:",omitempty"` // why this kernel cannot have the property
}

// EntryName is the name of the report entry that has a spec's Evidence.
const EntryName = "evidence"

// A Control is one that was shown, or why there is none.
type Control struct {
	What  string
	Saw   []Observation `json:",omitempty"`
	None  string        `json:",omitempty"` // why there is none
	Shown bool          // it has not failed
}

// An Observation is a value that was seen.
type Observation struct{ What, Value string }

// Positive shows that the probe can see the leak, or that the call works where it may. show asserts it, and says what was
// seen with Saw, at least once.
func (c *Check) Positive(what string, show func()) {
	ginkgo.GinkgoHelper()
	c.show(&c.evidence.Positive, what, show)
}

// Negative shows the property itself, likewise.
func (c *Check) Negative(what string, show func()) {
	ginkgo.GinkgoHelper()
	c.show(&c.evidence.Negative, what, show)
}

// NoPositive says why there is no positive control. Where the table has one, it has to be shown.
func (c *Check) NoPositive(why string) {
	ginkgo.GinkgoHelper()
	if c.property.Positive != "" {
		ginkgo.Fail(fmt.Sprintf("%s has a positive control in properties.tsv, %q: show it", c.property.ID, c.property.Positive))
	}
	c.evidence.Positive = append(c.evidence.Positive, Control{None: why, Shown: true})
}

// Saw keeps a value that the control sees.
func (c *Check) Saw(what string, value any) {
	ginkgo.GinkgoHelper()
	if c.control == nil {
		ginkgo.Fail(fmt.Sprintf("%s: Saw is called outside of Positive and Negative", c.property.ID))
	}
	c.control.Saw = append(c.control.Saw, Observation{what, fmt.Sprintf("%+v", value)})
}

// Skip ends the spec where the machine lacks what it needs: what that is, and how to get it. With NSTEST_MUST_RUN=1 the
// spec fails, unless absent.tsv allows machines to lack it.
func (c *Check) Skip(reason, remedy string) {
	ginkgo.GinkgoHelper()
	if why := mayLack(c.property.ID); why != "" {
		ginkgo.Skip(reason + "\nWhat to do: " + remedy + "\n(absent.tsv: " + why + ")")
	}
	require.Skip(reason, remedy)
}

// Need is Skip if the machine's answer to a probe is an error.
func (c *Check) Need(have error, remedy string) {
	ginkgo.GinkgoHelper()
	if have != nil {
		c.Skip(have.Error(), remedy)
	}
}

func (c *Check) show(list *[]Control, what string, show func()) {
	ginkgo.GinkgoHelper()
	if c.control != nil {
		ginkgo.Fail(fmt.Sprintf("%s: a control is within another one", c.property.ID))
	}
	control := Control{What: what}
	c.control = &control
	defer func() { // also when it fails
		c.control = nil
		*list = append(*list, control)
	}()
	ginkgo.By(what)
	show()
	if len(control.Saw) == 0 {
		ginkgo.Fail(fmt.Sprintf("%s: the control %q has seen nothing: call Saw", c.property.ID, what))
	}
	control.Shown = true
}

// verify fails the spec if a control was not shown.
func (c *Check) verify() {
	ginkgo.GinkgoHelper()
	if len(c.evidence.Positive) == 0 {
		ginkgo.Fail(fmt.Sprintf("%s: no positive control was shown: %s", c.property.ID, c.property.Positive))
	}
	if len(c.evidence.Negative) == 0 {
		ginkgo.Fail(fmt.Sprintf("%s: no negative control was shown: %s", c.property.ID, c.property.Negative))
	}
}

func (c *Check) keep() {
	ginkgo.AddReportEntry(EntryName, c.evidence, ginkgo.ReportEntryVisibilityFailureOrVerbose)
}

// String is the evidence for people, a line for each observation.
func (e Evidence) String() string {
	var b strings.Builder
	for _, side := range []struct {
		sign string
		list []Control
	}{{"+", e.Positive}, {"-", e.Negative}} {
		for _, c := range side.list {
			if c.None != "" {
				fmt.Fprintf(&b, "%s none: %s\n", side.sign, c.None)
				continue
			}
			fmt.Fprintf(&b, "%s %s\n", side.sign, c.What)
			for _, s := range c.Saw {
				fmt.Fprintf(&b, "    %s: %s\n", s.What, s.Value)
			}
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// needKernel skips on a kernel that is older than the property.
func (c *Check) needKernel() {
	ginkgo.GinkgoHelper()
	if c.property.Since == "" || os.Getenv(anyKernel) == "1" {
		return
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		ginkgo.Fail(err.Error())
	}
	have := unix.ByteSliceToString(u.Release[:])
	if older(have, c.property.Since) {
		c.evidence.Absent = "it came with Linux " + c.property.Since + ", and this is " + have
		c.Skip(c.evidence.Absent, "run it on Linux "+c.property.Since+" or later")
	}
}

// anyKernel, set to 1, has specs try what their kernel's number says it lacks: distributions port features back.
const anyKernel = "NSTEST_ANY_KERNEL"

// older reports whether one release comes before another. What follows the numbers does not count.
func older(a, b string) bool {
	x, y := numbers(a), numbers(b)
	for i := range x {
		if x[i] != y[i] {
			return x[i] < y[i]
		}
	}
	return false
}

func numbers(release string) (n [3]int) {
	_, _ = fmt.Sscanf(release, "%d.%d.%d", &n[0], &n[1], &n[2]) // what is not there is 0
	return n
}

// release is a version with three numbers.
func release(since string) string {
	n := numbers(since)
	return fmt.Sprintf("%d.%d.%d", n[0], n[1], n[2])
}
