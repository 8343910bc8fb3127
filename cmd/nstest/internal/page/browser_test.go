package page_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/analysis"
	"github.com/hermetic-go/nstest/cmd/nstest/internal/page"
	"github.com/hermetic-go/nstest/cmd/nstest/internal/plant"
	"github.com/hermetic-go/nstest/nstest"
	"github.com/hermetic-go/nstest/nstest/bundle"
)

// inBrowser runs f in an environment whose only network device is lo, with a browser: whatever that does, nothing leaves.
func inBrowser(t *testing.T, f func(t *testing.T, browser context.Context)) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		const text = "chromium is not on this machine\nWhat to do: install the package chromium"
		if os.Getenv("NSTEST_MUST_RUN") == "1" {
			t.Fatal(text + "\n(NSTEST_MUST_RUN=1 makes this a failure)")
		}
		t.Skip(text)
	}
	nstest.RunWith(t, nstest.Config{Loopback: true}, func(t *testing.T, _ *nstest.Env) {
		options := slices.Concat(chromedp.DefaultExecAllocatorOptions[:], []chromedp.ExecAllocatorOption{
			chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1280, 900),
			chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"), chromedp.Flag("disable-component-update", true),
			chromedp.Env("HOME="+t.TempDir(), "XDG_RUNTIME_DIR="+t.TempDir(), "DBUS_SESSION_BUS_ADDRESS=disabled:", "DBUS_SYSTEM_BUS_ADDRESS=disabled:"),
			chromedp.ModifyCmdFunc(func(cmd *exec.Cmd) { cmd.SysProcAttr = nil }), // whose Pdeathsig is about the thread that forks; the environment ends it
		})
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute) // before that of go test, which says less
		t.Cleanup(cancel)
		ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
		t.Cleanup(cancel)
		ctx, cancel = chromedp.NewContext(ctx)
		t.Cleanup(cancel)
		if err := chromedp.Do(ctx); err != nil {
			t.Fatal(err)
		}
		f(t, ctx)
	})
}

// A tab is a page in the browser, and everything that it has complained of or asked for.
type tab struct {
	*testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string
	requests   []string
}

// A setting is made before a page is opened.
type setting func(ctx context.Context) error

// open opens a file.
func open(t *testing.T, browser context.Context, file string, settings ...setting) *tab {
	t.Helper()
	return visit(t, browser, (&url.URL{Scheme: "file", Path: file}).String(), settings...)
}

// visit opens a page.
func visit(t *testing.T, browser context.Context, address string, settings ...setting) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	p := &tab{T: t, ctx: ctx}
	settings = append([]setting{
		func(ctx context.Context) error { return chromedp.Listen(ctx, p.listen) },
		command(network.Enable, network.EnableParams{}), command(log.Enable, cdp.Empty{}), command(runtime.Enable, cdp.Empty{}),
	}, settings...)
	for _, set := range settings {
		if err := set(ctx); err != nil {
			t.Fatal(err)
		}
	}
	p.do(chromedp.Navigate(address))
	return p
}

// command is the setting that a command of the protocol makes.
func command[P, R any](c cdp.Command[P, R], params P) setting {
	return func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, c, params)
		return err
	}
}

func (p *tab) listen(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		p.complaints = append(p.complaints, fmt.Sprintf("console: %s", e.Type))
	case *runtime.EventExceptionThrown:
		p.complaints = append(p.complaints, fmt.Sprintf("exception: %s %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception))
	case *log.EventEntryAdded:
		p.complaints = append(p.complaints, e.Entry.Text)
	case *network.EventRequestWillBeSent:
		p.requests = append(p.requests, e.Request.URL)
	}
}

// heard are the complaints, and the requests but for what is in the page and the page itself.
func (p *tab) heard() (complaints, requests []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.requests {
		if !strings.HasPrefix(r, "file:///") && !strings.HasPrefix(r, "data:") && !strings.HasPrefix(r, "blob:"+livePage) && !strings.HasPrefix(r, livePage) {
			requests = append(requests, r)
		}
	}
	return slices.Clone(p.complaints), requests
}

// quiet fails the test if the page has complained, or asked for anything.
func (p *tab) quiet() {
	p.Helper()
	if complaints, requests := p.heard(); complaints != nil || requests != nil {
		p.Errorf("the page complains: %q, and asks for %q", complaints, requests)
	}
}

func (p *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	p.Helper()
	if err := chromedp.Do(p.ctx, actions...); err != nil {
		p.Fatal(err)
	}
}

// eval is the value of an expression of JavaScript.
func eval[T any](p *tab, expression string) T {
	p.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		p.Fatalf("%s: %v", expression, err)
	}
	return v
}

// until waits until an expression of JavaScript is true.
func (p *tab) until(expression string) {
	p.Helper()
	_, err := chromedp.Run(p.ctx, chromedp.Poll[bool](expression, chromedp.WithPollingInterval(10*time.Millisecond), chromedp.WithPollingTimeout(2*time.Minute)))
	if err != nil {
		complaints, _ := p.heard()
		p.Fatalf("%s: %v; the page complains %q and is %q", expression, err, complaints, eval[string](p, `[document.title, ...[...document.querySelectorAll('#detail h3, #shown')].map((e) => e.textContent)].join(', ')`))
	}
}

// press presses keys, on what has the focus.
func (p *tab) press(keys ...string) {
	p.Helper()
	for _, k := range keys {
		p.do(chromedp.KeyEvent(k))
	}
}

// write writes the report of a bundle.
func write(t *testing.T, dir string) string {
	t.Helper()
	b, err := bundle.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	f, err := os.Create(filepath.Join(t.TempDir(), "report.html"))
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	if err := errors.Join(page.Write(w, b, analysis.Read(b), "of the test"), w.Flush(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

func shop(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if _, err := plant.Shop(dir); err != nil {
		t.Fatal(err)
	}
	return write(t, dir)
}

const (
	ready    = `document.documentElement.dataset.ready === 'yes'`
	selected = `document.querySelector('#detail h3').textContent`
	shown    = `parseInt(document.querySelector('#shown').textContent)`
)

func TestBrowser(t *testing.T) {
	inBrowser(t, func(t *testing.T, browser context.Context) {
		t.Run("opens quietly", func(t *testing.T) { opensQuietly(t, browser) })
		t.Run("filters", func(t *testing.T) { filters(open(t, browser, shop(t))) })
		t.Run("jumps", func(t *testing.T) { jumps(open(t, browser, shop(t))) })
		t.Run("keys", func(t *testing.T) { keys(open(t, browser, shop(t))) })
		t.Run("for everybody", func(t *testing.T) { forEverybody(t, browser) })
		t.Run("hostile", func(t *testing.T) { hostile(t, browser) })
		t.Run("many events", func(t *testing.T) { manyEvents(t, browser) })
		t.Run("empty", func(t *testing.T) { empty(t, browser) })
		t.Run("summary", func(t *testing.T) { summary(t, browser) })
	})
}

// The control is a page that does what none of ours does.
func opensQuietly(t *testing.T, browser context.Context) {
	p := open(t, browser, shop(t))
	p.until(ready)
	p.until(`document.images[0].complete && document.images[0].naturalWidth > 0`)
	p.quiet()
	control := filepath.Join(t.TempDir(), "control.html")
	if err := os.WriteFile(control, []byte(`<img src="http://127.0.0.1:1/x"><script>console.log("x"); fetch("http://shop.test/").catch(() => {}); nobody()</script>`), 0o644); err != nil {
		t.Fatal(err)
	}
	p = open(t, browser, control)
	p.until(`document.readyState === 'complete'`)
	complaints, requests := p.heard()
	if len(complaints) < 2 || !slices.Contains(requests, "http://127.0.0.1:1/x") {
		t.Errorf("the control complains %q and asks for %q: the probe sees nothing", complaints, requests)
	}

	// And with no script at all the failure is there.
	p = open(t, browser, shop(t), command(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}))
	text, err := chromedp.Run(p.ctx, chromedp.Text("body"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Shop fails over when the database dies", "<int>: 503", "Black-holed: web → db:5432", "need JavaScript"} {
		if !strings.Contains(text, want) {
			t.Errorf("without scripts there is no %q", want)
		}
	}
}

func filters(p *tab) {
	p.until(ready)
	all := eval[int](p, shown)
	p.do(chromedp.Click("#search"))
	p.press("database SYSTEM")
	p.until(shown + ` === 1`)
	if text := eval[string](p, `document.querySelector('#events .x').textContent`); text != "LOG:  database system is ready to accept connections" {
		p.Errorf("found %q", text)
	}
	p.do(chromedp.Click("#clear"))
	p.until(shown + ` === ` + fmt.Sprint(all))
	if text := eval[string](p, `document.querySelector('#search').value`); text != "" {
		p.Errorf("the search is %q after it was cleared", text)
	}
	p.do(chromedp.Click(`//label[starts-with(., "packet")]`))
	p.until(shown + ` === ` + fmt.Sprint(all+42))
	p.do(chromedp.Click(`//div[@id="hosts"]/label[.="db"]`))
	p.until(shown + ` < ` + fmt.Sprint(all))
	if hosts := eval[[]string](p, `[...new Set([...document.querySelectorAll('#events .h')].map((e) => e.textContent.includes('db')))].map(String)`); !slices.Equal(hosts, []string{"true"}) {
		p.Errorf("hosts besides db are shown")
	}
	p.quiet()
}

func jumps(p *tab) {
	p.until(ready)
	if text := eval[string](p, selected); !strings.HasPrefix(text, "Expected") {
		p.Errorf("%q is selected in the beginning, not the failure", text)
	}
	// From what stands out to the connection, to its packet, and back.
	p.do(chromedp.Click(`//a[starts-with(., "Refused: api → db:5432")]`))
	p.until(selected + ` === 'api → db:5432 refused'`)
	p.do(chromedp.Click(`//button[.="Its packet"]`))
	p.until(selected + ` === 'TCP 41000 → 5432 SYN'`)
	p.until(`document.querySelector('#events [aria-selected=true]').textContent.includes('TCP 41000')`)
	if text := eval[string](p, `document.querySelector('#detail').textContent`); !strings.Contains(text, "frame.number == ") {
		p.Errorf("the packet's number is not there: %q", text)
	}
	p.do(chromedp.Click(`//button[.="Its connection"]`))
	p.until(selected + ` === 'api → db:5432 refused'`)
	p.do(chromedp.Click(`//button[.="All its packets"]`))
	p.until(shown + ` === 5`) // the connection, two things that were said, and two packets
	// From a finding to the log line, to the logs, and back to the timeline.
	p.do(chromedp.Click(`//a[starts-with(., "db: ended")]`))
	p.until(selected + `.includes('signal: killed')`)
	p.do(chromedp.Click(`//button[.="All its lines"]`))
	p.until(shown + ` === 2`)
	p.do(chromedp.Click("#events"))
	p.press(kb.End)
	p.until(selected + `.startsWith('FATAL')`)
	p.do(chromedp.Click(`//button[.="In the logs"]`))
	p.until(`document.activeElement.matches('#log-3 a') && document.activeElement.parentElement.textContent.includes('FATAL')`)
	p.press(kb.Enter)
	p.until(`document.activeElement.id === 'events'`)
	p.until(selected + `.startsWith('FATAL')`)
	// To a table of the state, which is opened.
	p.do(chromedp.Click(`//a[.="db: /run/db is full"]`))
	p.until(`document.querySelector('#state-2').open && document.activeElement.contains(document.querySelector('#state-2-mounts'))`)
	p.do(chromedp.Click(`//a[.="TLS alert unknown ca: self → api"]`))
	p.do(chromedp.Click(`//button[.="In the conversation"]`))
	p.until(`document.querySelector('#sequence [aria-selected=true]').textContent.includes('alert unknown ca')`)
	p.quiet()
}
