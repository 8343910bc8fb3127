package page_test

import (
	"context"
	_ "embed" // of the checks
	"fmt"
	"html"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/analysis"
	"github.com/hermetic-go/nstest/cmd/nstest/internal/page"
	"github.com/hermetic-go/nstest/cmd/nstest/internal/plant"
	"github.com/hermetic-go/nstest/nstest/bundle"
)

//go:embed testdata/check.js
var check string

// keys works through the page by keyboard alone.
func keys(p *tab) {
	p.until(ready)
	p.press(kb.Tab)
	if text := eval[string](p, `document.activeElement.textContent`); text != "Skip to the failure" {
		p.Errorf("the first stop is %q", text)
	}
	p.press(kb.Enter)
	p.until(`document.activeElement.id === 'main'`)
	// From there to the end, and to the beginning again: in the order of the page, and nothing holds the focus.
	p.do(chromedp.Evaluate[chromedp.Void](`window.stops = []; document.addEventListener('focusin', (e) => stops.push(e.target))`))
	for range 20 {
		p.press(strings.Repeat(kb.Tab, 10))
		if eval[bool](p, `stops.some((e) => e.matches('.skip'))`) {
			break
		}
	}
	if !eval[bool](p, `stops.splice(stops.findIndex((e) => e.matches('.skip'))).length > 0`) {
		p.Error("the focus does not come to the end of the page")
	}
	if !eval[bool](p, `stops.slice(1).every((e, i) => stops[i].compareDocumentPosition(e) & Node.DOCUMENT_POSITION_FOLLOWING)`) {
		p.Errorf("the focus does not follow the order of the page: %q", eval[[]string](p, `stops.map((e) => e.tagName + ' ' + e.textContent.trim().slice(0, 20))`))
	}
	for _, stop := range []string{"repeat", "search", "zoom-in", "canvas", "events", "sequence"} {
		if !eval[bool](p, fmt.Sprintf(`stops.some((e) => e.id === %q)`, stop)) {
			p.Errorf("a keyboard does not reach %s", stop)
		}
	}
	// The timeline.
	p.do(chromedp.Focus("#canvas"))
	p.press(kb.Home)
	p.until(selected + ` === 'BeforeEach'`)
	p.press(kb.ArrowRight)
	p.until(selected + ` !== 'BeforeEach'`)
	p.press(kb.ArrowLeft)
	p.until(selected + ` === 'BeforeEach'`)
	p.until(`document.querySelector('#said').textContent.includes('BeforeEach')`)
	p.press(kb.ArrowDown)
	p.until(selected + ` !== 'BeforeEach'`)
	p.press("f")
	p.until(selected + `.startsWith('Expected')`)
	before := eval[string](p, `document.querySelector('#canvas').toDataURL()`)
	p.press("-", "-")
	p.until(fmt.Sprintf(`document.querySelector('#canvas').toDataURL() !== %q`, before))
	// The list.
	p.do(chromedp.Focus("#events"))
	p.press(kb.Home, kb.ArrowDown, kb.ArrowDown, kb.ArrowUp)
	p.until(`document.getElementById(document.querySelector('#events').getAttribute('aria-activedescendant')).getAttribute('aria-rowindex') === '2'`)
	p.press(kb.Enter)
	p.until(`document.activeElement.id === 'detail'`)
	p.quiet()
}

// forEverybody checks the page in light and dark, wide and narrow.
func forEverybody(t *testing.T, browser context.Context) {
	file := shop(t)
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{1280, 400} {
			t.Run(fmt.Sprintf("%s %d", scheme, width), func(t *testing.T) {
				p := open(t, browser, file, func(ctx context.Context) error { return chromedp.Do(ctx, chromedp.EmulateViewport(width, 900)) },
					command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}))
				p.until(ready)
				p.do(chromedp.Evaluate[chromedp.Void](`for (const d of document.querySelectorAll('details')) d.open = true`))
				for _, wrong := range eval[[]string](p, check) {
					t.Error(wrong)
				}
				p.quiet()
			})
		}
	}
	// The control is a page with everything wrong.
	control := filepath.Join(t.TempDir(), "control.html")
	content := `<style>p{color:#999;background:#fff}</style><h1>x</h1><h3>y</h3><img src="data:,"><button></button><input id=a><i id=a></i><table><tr><td>x</table><div style="width:3000px">wide</div><b tabindex=3 aria-labelledby=nobody>b</b>` + strings.Repeat("<p>pale</p>", 10)
	if err := os.WriteFile(control, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	found := strings.Join(eval[[]string](open(t, browser, control), check), "\n")
	for _, want := range []string{"has no name: <button", "has no name: <input", "has no alternative", "aria-labelledby is nowhere", "there twice", "there are 0 of main", "skips a level", "no caption", "order of the focus", "no language", "contrast 2.8", "wide, and the window"} {
		if !strings.Contains(found, want) {
			t.Errorf("the control is not found to have %q in:\n%s", want, found)
		}
	}
}

// hostile opens a report of a bundle of which every text tries to be more than one.
func hostile(t *testing.T, browser context.Context) {
	const evil = `</script><script>window.pwned=1</script><img src=x onerror="window.pwned=1">` + "<!--<script>\u2028" + `{{.}}" onload="window.pwned=1` + "\x1b[31m\x00"
	b := plant.New(t.TempDir())
	m := &b.Manifest
	m.Test, m.Suite, m.Package, m.Repeat, m.Hosts, m.Omitted = evil, evil, evil, evil, []string{evil}, []string{evil}
	m.Failures[0] = bundle.Failure{Time: plant.Began, Message: evil, Location: evil, Node: evil, State: evil, Stack: evil}
	m.Files = []bundle.File{{Path: bundle.EventsFile, What: evil}}
	for i, kind := range []bundle.Kind{bundle.KindNode, bundle.KindStep, bundle.KindFailure, bundle.KindFault, bundle.KindStart, bundle.KindLog, bundle.KindExit, bundle.KindQuery, bundle.KindHost, bundle.KindLink, bundle.KindNote, "</script>"} {
		b.Event(time.Duration(i)*time.Millisecond, bundle.Event{Kind: kind, Host: evil, Network: evil, Process: 1, Text: evil, State: evil, Location: evil, Args: []string{evil}, Addrs: []string{evil}, Hosts: []string{evil}, Stream: evil})
	}
	b.State = &bundle.State{Errors: []string{evil}, Faults: []bundle.FaultState{{Fault: 7, Text: evil, Hosts: []string{evil}}}, Hosts: []bundle.HostState{{
		Name: evil, Processes: []bundle.Process{{PID: 1, Args: []string{evil}, State: "Z" + evil, Waits: evil}}, Mounts: []bundle.Mount{{Target: evil, Type: evil, Options: evil, Size: 1}},
		Sockets: []bundle.Socket{{Protocol: "tcp", State: "LISTEN", Local: evil, Receive: 1}}, Counters: []bundle.Counter{{Where: "drop " + evil, Packets: 1}}, Errors: []string{evil},
	}}}
	for name, content := range map[string]string{bundle.GoroutinesFile: "goroutine 1 [" + evil + "]:\n" + evil, "files/" + strings.ReplaceAll(evil[:60], "/", "_"): "x",
		bundle.DrawingFile: `<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9" onload="parent.pwned=1"><script>parent.pwned=1</script><image href="http://127.0.0.1:1/x"/></svg>`} {
		if err := b.File(name, []byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Write(); err != nil {
		t.Fatal(err)
	}
	p := open(t, browser, write(t, b.Dir))
	p.until(ready)
	p.do(chromedp.Evaluate[chromedp.Void](`for (const d of document.querySelectorAll('details')) d.open = true`))
	for range 12 { // everything is shown once
		p.do(chromedp.Focus("#events"))
		p.press(kb.ArrowUp)
	}
	if eval[bool](p, `'pwned' in window`) {
		t.Error("a text of the bundle was run")
	}
	if n := eval[int](p, `document.querySelectorAll('img, script').length`); n != 3 { // the drawing, the data and the script
		t.Errorf("%d images and scripts are in the page", n)
	}
	if text := eval[string](p, `document.querySelector('pre.message').textContent`); !strings.HasPrefix(text, evil[:60]) {
		t.Errorf("the message is %q", text)
	}
	if text := eval[string](p, selected); !strings.Contains(text, evil[:60]) {
		t.Errorf("the selected event is %q", text)
	}
	p.quiet()
}

// manyEvents opens a report of 100,000 events: the document stays small.
func manyEvents(t *testing.T, browser context.Context) {
	b := plant.New(t.TempDir())
	for i := range 100_000 {
		b.Event(time.Duration(i)*20*time.Microsecond, bundle.Event{Kind: bundle.KindLog, Host: fmt.Sprintf("host%d", i%20), Process: 1 + i%20, Text: fmt.Sprintf("line %d of the log", i)})
	}
	if err := b.Write(); err != nil {
		t.Fatal(err)
	}
	p := open(t, browser, write(t, b.Dir))
	p.until(ready)
	const maxLines = 100
	const elements = `document.querySelectorAll('*').length`
	begin := eval[int](p, elements)
	p.do(chromedp.Focus("#events"))
	p.press(kb.Home)
	p.until(selected + ` === 'line 0 of the log'`)
	p.press(kb.PageDown, kb.PageDown, kb.PageDown)
	p.press(kb.End, kb.ArrowUp) // the failure is the last one
	p.until(selected + ` === 'line 99999 of the log'`)
	p.do(chromedp.Click("#search"))
	p.press("77777")
	p.until(shown + ` === 1`)
	p.do(chromedp.Click("#clear"))
	p.until(shown + ` === 100001`)
	// The last lines of each of 20 processes are in the logs as well, and nothing grows by what is looked at.
	if end := eval[int](p, elements); begin > 20*maxLines*4+2000 || end > begin+200 {
		t.Errorf("%d elements are in the document, and later %d", begin, end)
	}
	if n := eval[int](p, `document.querySelectorAll('.row').length`); n > 200 {
		t.Errorf("%d rows are in the document", n)
	}
	p.quiet()
}

// empty opens a report of a bundle that has nothing but its beginning.
func empty(t *testing.T, browser context.Context) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, bundle.ManifestFile), []byte(`{"version":1,"test":"x","state":"running","began":"2026-03-14T09:26:53Z"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	p := open(t, browser, write(t, dir))
	p.until(ready)
	if text := eval[string](p, `document.querySelector('#failure').textContent`); !strings.Contains(text, "everything was killed") {
		t.Errorf("the page says %q", text)
	}
	for _, wrong := range eval[[]string](p, check) {
		t.Error(wrong)
	}
	p.quiet()
}

// summary opens a summary of three bundles, whose links lead to reports.
func summary(t *testing.T, browser context.Context) {
	var s page.Summary
	for i, message := range []string{"took 17 ms, not 3", "took 18 ms, not 3", "<b>other</b>" + strings.Repeat("\nmore", 30)} {
		b := plant.New(t.TempDir())
		b.Manifest.Failures[0].Message = message
		b.Manifest.Opened = time.Duration(i) * time.Millisecond
		if i == 2 {
			b.Manifest.Test = "another test"
		}
		if err := b.Write(); err != nil {
			t.Fatal(err)
		}
		opened, err := bundle.Open(b.Dir)
		if err != nil {
			t.Fatal(err)
		}
		defer opened.Close()
		s.Add(analysis.Read(opened), fmt.Sprintf("a %d?<.html", i))
	}
	s.Fail(fmt.Errorf("no bundle: <i>"))
	file := filepath.Join(t.TempDir(), "summary.html")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := s.Write(f, "of the test"); err != nil {
		t.Fatal(err)
	}
	for _, width := range []int64{400, 1280} {
		p := open(t, browser, file, func(ctx context.Context) error { return chromedp.Do(ctx, chromedp.EmulateViewport(width, 900)) })
		for _, wrong := range eval[[]string](p, check) {
			t.Errorf("%d: %s", width, wrong)
		}
	}
	p := open(t, browser, file)
	if title := eval[string](p, `document.title`); title != "3 failures of 2 tests" {
		t.Errorf("the title is %q", title)
	}
	rows := eval[[]string](p, `[...document.querySelectorAll('tbody tr')].map((r) => [...r.cells].map((c) => c.textContent.trim()).join(' | '))`)
	want := []string{
		"2 | 1 | Shop fails over when the database dies | 1 2",
		"2 | took 17 ms, not 3 | 1 2", "1 | <b>other</b>" + strings.Repeat("\nmore", 30) + " | report",
		"2ms | another test | report", "1ms | Shop fails over when the database dies | report", "0s | Shop fails over when the database dies | report",
	}
	if !slices.Equal(rows, want) {
		t.Errorf("rows %q, want %q", rows, want)
	}
	if href := eval[string](p, `document.querySelector('.reports a').href`); !strings.HasSuffix(href, "/a%200%3F%3C.html") {
		t.Errorf("the link leads to %s", html.EscapeString(href))
	}
	if text := eval[string](p, `document.querySelector('section:last-of-type').textContent`); !strings.Contains(text, "no bundle: <i>") {
		t.Errorf("what could not be read is told as %q", text)
	}
	p.quiet()
}
