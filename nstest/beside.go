package nstest

import (
	"regexp"

	"github.com/hermetic-go/nstest/nstest/internal/record"
	"github.com/hermetic-go/nstest/nstest/internal/scribe"
	"github.com/hermetic-go/nstest/nstest/internal/twin"
)

// beginFor begins the bundle of an environment beside a test.
func (r *recording) beginFor(tb TB, name string) error {
	if r == nil {
		return nil
	}
	m := record.Manifest{Test: name, Package: scribe.Package()}
	if isGoTest(tb) {
		m.Repeat = scribe.Repeat(m.Package, twin.Pattern(tb.Name()))
	} else { // a spec, of a suite whose description nobody tells
		m.Repeat = scribe.Repeat(m.Package, ".", "-ginkgo.focus= "+regexp.QuoteMeta(tb.Name())+"$")
	}
	if err := r.Begin(m); err != nil {
		return err
	}
	r.Ready()
	return nil
}

// lookAt takes what is gone with the environment, if the test has failed. It is called before the environment ends.
func (r *recording) lookAt(tb TB) {
	tb.Helper()
	t, ok := tb.(interface{ Failed() bool })
	if r == nil || !ok || !t.Failed() || r.current() == nil {
		return
	}
	notice := r.Failed(r.current().Test(), record.Failure{Message: "the test has failed", State: "failed"}, twin.Stacks)
	_ = r.collect(r.current().Test())
	if notice == nil {
		return
	}
	path := r.place(notice.Path)
	if dir := artifactDir(tb); dir != "" {
		path = r.Move(dir)
	}
	if notice.Last != "" {
		tb.Logf("What processes have printed last:\n%s", notice.Last)
	}
	tb.Logf("nstest bundle: %s", path)
}
