package page

import (
	"cmp"
	_ "embed" // of the assets
	"fmt"
	"html/template"
	"io"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/analysis"
	"github.com/hermetic-go/nstest/nstest/bundle"
)

//go:embed assets/live.html
var liveHTML string

//go:embed assets/live.js
var liveJS string

// fetches is what live pages may do besides: ask the server that they come from.
const fetches = "; connect-src 'self'"

// A Live is what makes a page of a test a live one.
type Live struct {
	Source string // the path of the increments, as server-sent events: those of a Stream, and at last "over", with an Over
	Text   string // what is known of the test now
}

// An Over is what a live page is told when the test has ended.
type Over struct {
	Report bool   `json:"report,omitempty"` // the page is the test's report from now on: it loads itself again
	Text   string `json:"text"`
}

// WriteLive writes the page of a test that runs: that of a bundle, with what a Stream brings. version is that of nstest.
func WriteLive(w io.Writer, m bundle.Manifest, live Live, version string) error {
	m.Test = analysis.Clip(cmp.Or(m.Test, "(a test without a name)"), maxName)
	m.Suite, m.Package, m.State = analysis.Clip(m.Suite, maxName), analysis.Clip(m.Package, maxName), "running"
	v := &view{
		Title: m.Test + " · running", Policy: policy(js) + fetches, CSS: template.CSS(css), JS: template.JS(js), Version: version, Live: &live,
		Manifest: m, a: &analysis.Analysis{Manifest: m, End: m.Began}, base: m.Began,
	}
	data, err := v.data()
	if err != nil {
		return err
	}
	v.Data = data
	v.facts()
	v.Sections = []section{{"failure", "It runs", 0}, {"timeline", "Timeline", 0}, {"conversation", "Conversation", 0}}
	return execute(w, pageHTML, v)
}

// WriteOverview writes the page of all tests of a run, of which source brings a list of tests as server-sent events. version is that
// of nstest.
func WriteOverview(w io.Writer, source, version string) error {
	return execute(w, liveHTML, struct {
		Title, Policy, Version string
		Live                   *Live
		CSS                    template.CSS
		JS                     template.JS
	}{
		Title: "Tests · nstest", Policy: policy(liveJS, js) + fetches, // reports that were fetched have their script
		Version: version, Live: &Live{Source: source}, CSS: template.CSS(css), JS: template.JS(liveJS),
	})
}

func execute(w io.Writer, body string, v any) error {
	t, err := template.New("page").Parse(headHTML + body)
	if err != nil {
		return fmt.Errorf("the template of the page: %w", err)
	}
	return t.Execute(w, v)
}
