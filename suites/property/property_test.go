package property

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hermetic-go/nstest/nstest"
)

// fixture names, in the environment of this program, the spec that it is to run.
const fixture = "PROPERTY_FIXTURE"

// U1 is one with both controls in the table, U7 one without a positive one.
var fixtures = map[string]struct {
	id      string
	body    func(ginkgo.SpecContext, *Check)
	want    string // what is said; "" for a spec that passes
	mustRun string
	changes bool // what is around it
	seed    bool // it is of no row
}{
	"a seed that is not in an environment": {want: "would change the machine's own namespaces", changes: true, seed: true, body: func(ginkgo.SpecContext, *Check) {
		panic("the body was run")
	}},
	"not in an environment": {id: "U1", want: "would change the machine's own namespaces", changes: true, body: func(ginkgo.SpecContext, *Check) {
		panic("the body was run")
	}},
	"both controls": {id: "U1", body: func(_ ginkgo.SpecContext, c *Check) {
		c.Positive("can be seen", func() { c.Saw("a leak", 1) })
		c.Negative("is not there", func() { c.Saw("a leak", 0) })
	}},
	"no positive control": {id: "U1", want: "U1: no positive control was shown: after a clone without CLONE_NEWUTS", body: func(_ ginkgo.SpecContext, c *Check) {
		c.Negative("is not there", func() { c.Saw("a leak", 0) })
	}},
	"no negative control": {id: "U1", want: "U1: no negative control was shown: with CLONE_NEWUTS", body: func(_ ginkgo.SpecContext, c *Check) {
		c.Positive("can be seen", func() { c.Saw("a leak", 1) })
	}},
	"a control that sees nothing": {id: "U1", want: `the control "can be seen" has seen nothing`, body: func(_ ginkgo.SpecContext, c *Check) {
		c.Positive("can be seen", func() {})
	}},
	"a control that fails": {id: "U1", want: "to equal", body: func(_ ginkgo.SpecContext, c *Check) {
		c.Positive("can be seen", func() { c.Saw("a leak", 0); Expect(0).To(Equal(1)) })
	}},
	"a control without need of one": {id: "U1", want: "has a positive control in properties.tsv", body: func(_ ginkgo.SpecContext, c *Check) {
		c.NoPositive("we have not looked")
	}},
	"none where the table has none": {id: "U7", body: func(_ ginkgo.SpecContext, c *Check) {
		c.NoPositive("a kernel has one release")
		c.Negative("is the same", func() { c.Saw("release", "6.1") })
	}},
	"a value that no control sees": {id: "U1", want: "Saw is called outside", body: func(_ ginkgo.SpecContext, c *Check) { c.Saw("a leak", 1) }},
	"a machine that lacks something": {id: "U1", want: "no such thing", mustRun: "1", body: func(_ ginkgo.SpecContext, c *Check) {
		c.Skip("no such thing", "get one")
	}},
	"the same without NSTEST_MUST_RUN": {id: "U1", body: func(_ ginkgo.SpecContext, c *Check) { c.Skip("no such thing", "get one") }},
}

func TestFixture(t *testing.T) {
	f, ok := fixtures[os.Getenv(fixture)]
	if !ok {
		t.Skip("this is run by TestASpecHasToShowItsControls")
	}
	RegisterFailHandler(ginkgo.Fail)
	var args []any
	if !f.changes {
		args = append(args, nstest.InProcess)
	}
	if f.seed {
		Seed("fixture", func(ctx ginkgo.SpecContext) { f.body(ctx, nil) })
	} else {
		It(f.id, f.body, args...)
	}
	ginkgo.RunSpecs(t, "Fixture")
}

func TestASpecHasToShowItsControls(t *testing.T) {
	for name, f := range fixtures {
		t.Run(name, func(t *testing.T) {
			if init, err := os.ReadFile("/proc/1/comm"); f.changes && (err != nil || string(init) == "nstest-init\n") {
				t.Skip("this test is in an environment itself: run it outside as well")
			}
			cmd := exec.Command(os.Args[0], "-test.run=^TestFixture$", "-ginkgo.no-color", "-ginkgo.v")
			cmd.Env = append(os.Environ(), fixture+"="+name, "NSTEST_MUST_RUN="+f.mustRun)
			out, err := cmd.CombinedOutput()
			if passed := err == nil; passed != (f.want == "") || !strings.Contains(string(out), f.want) {
				t.Errorf("%v; want %q in\n%s", err, f.want, out)
			}
		})
	}
}

func TestReleasesAreCompared(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{{"6.1.0-18-amd64", "5.12", false}, {"5.4.0", "5.12", true}, {"5.12", "5.12", false}, {"4.19.0", "5.0", true}, {"6.18.44-x", "6.18.45", true}} {
		if got := older(c.a, c.b); got != c.want {
			t.Errorf("%s is older than %s: %t", c.a, c.b, got)
		}
	}
}

func TestEveryPropertyHasAnIDAndAText(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range All() {
		if p.ID == "" || p.Text == "" || seen[p.ID] {
			t.Errorf("%+v: the id or the text is missing, or the id is another one's", p)
		}
		seen[p.ID] = true
	}
}
