package page_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/live"
	"github.com/hermetic-go/nstest/nstest"
)

const (
	liveAddr = "127.0.0.1:8181"
	livePage = "http://" + liveAddr + "/"
)

// TestMain makes the test binary what serves the live page, where it is called so.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) != "nstest" {
		os.Exit(m.Run())
	}
	s, err := live.Listen(netip.MustParseAddrPort(os.Args[3]), "of the test")
	if err != nil && !errors.Is(err, live.ErrServed) {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready")
	if err == nil {
		_ = s.Serve(context.Background(), true) // it ends, one way or the other
	}
}

// shownIn in the environment has TestShown do what its name says: it has the directory of FIFOs which let it go on, and a name.
const shownIn = "PAGE_SHOWN_IN"

// TestShown is run by TestLive, twice at a time, and does nothing otherwise.
func TestShown(t *testing.T) {
	dir, name, asked := strings.Cut(os.Getenv(shownIn), "=")
	if !asked {
		return
	}
	if name == "secret" {
		nstest.Redact(nstest.Redaction{Text: func(s string) string { return strings.ReplaceAll(s, name, "****") }})
	}
	await := func(stage string) {
		t.Helper()
		if _, err := os.ReadFile(filepath.Join(dir, name+stage)); err != nil { // which takes until somebody has written there
			t.Fatal(err)
		}
	}
	t.Run("passes", func(t *testing.T) {
		env := nstest.New(t, nstest.Config{})
		if err := env.Host("web").Command("true").Run(); err != nil {
			t.Error(err)
		}
	})
	t.Run("fails "+name, func(t *testing.T) {
		env := nstest.New(t, nstest.Config{})
		web, db := env.Host("web"), env.Host("db")
		if err := web.Command("echo", "hello from "+name).Run(); err != nil {
			t.Error(err)
		}
		await("-one")
		if _, err := env.AddPartition([]*nstest.Host{web}, []*nstest.Host{db}); err != nil {
			t.Error(err)
		}
		if _, err := web.LookupNetIP(t.Context(), "nobody"); err == nil {
			t.Error("nobody is there")
		}
		if many := name == "b"; many {
			if err := db.Command("seq", "-f", "line %g", "20000").Run(); err != nil {
				t.Error(err)
			}
		}
		await("-two")
		t.Error("the shop of " + name + " is closed")
	})
	t.Run("waits", func(t *testing.T) { await("-three") })
}

// A run is two programs of tests at the same time, as "go test" has them.
type testRun struct {
	*testing.T
	dir string
	cmd *exec.Cmd // is called go, and has the programs
}

func startRun(t *testing.T, names ...string) *testRun {
	t.Helper()
	r := &testRun{T: t, dir: t.TempDir()}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	sh, err := os.ReadFile("/bin/sh")
	if err == nil {
		err = errors.Join(os.WriteFile(filepath.Join(r.dir, "go"), sh, 0o755), os.Symlink(exe, filepath.Join(r.dir, "nstest")), os.Mkdir(filepath.Join(r.dir, "tmp"), 0o777))
	}
	for _, name := range names {
		for _, stage := range []string{"-one", "-two", "-three"} {
			err = errors.Join(err, syscall.Mkfifo(filepath.Join(r.dir, name+stage), 0o600))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	script := `for name in ` + strings.Join(names, " ") + `; do ` + shownIn + `="$1=$name" "$2" -test.run='^TestShown$' -test.v & done; wait`
	r.cmd = exec.Command(filepath.Join(r.dir, "go"), "-c", script, "go", r.dir, exe)
	r.cmd.Env = append(os.Environ(), "NSTEST_UI="+liveAddr, "NSTEST_KEEP=", "PATH="+r.dir+":"+os.Getenv("PATH"), "TMPDIR="+filepath.Join(r.dir, "tmp"))
	output, err := os.Create(filepath.Join(r.dir, "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	r.cmd.Stdout, r.cmd.Stderr = output, output
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.kill() })
	return r
}

// goOn lets a test go on.
func (r *testRun) goOn(name string) {
	r.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), nil, 0o600); err != nil {
		r.Fatal(err)
	}
}

// served waits until there is a page.
func (r *testRun) served() {
	r.Helper()
	eventually(r.T, "a page at "+livePage, func() bool { return get(r.T, livePage, nil) == http.StatusOK })
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.NewTimer(2 * time.Minute)
	defer deadline.Stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for !is() {
		select {
		case <-deadline.C:
			t.Fatalf("there is not: %s", what)
		case <-again.C:
		}
	}
}

// get asks for a page, and returns the status; 0 if nobody answers.
func get(t *testing.T, address string, header http.Header) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Host = header.Get("Host")
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// servers are the processes that serve pages in this environment.
func servers(t *testing.T) (pids []string) {
	t.Helper()
	list, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range list {
		if line, err := os.ReadFile(file); err == nil && strings.Contains(string(line), "/nstest\x00ui\x00") {
			pids = append(pids, file)
		}
	}
	return pids
}

// nothingIsLeft waits until server and port are gone, and looks for files.
func (r *testRun) nothingIsLeft() {
	r.Helper()
	eventually(r.T, "the end of the server", func() bool { return len(servers(r.T)) == 0 })
	if c, err := net.Dial("tcp", liveAddr); err == nil {
		c.Close()
		r.Error("somebody still answers at " + liveAddr)
	}
	if list, err := os.ReadDir(filepath.Join(r.dir, "tmp")); err != nil || len(list) > 0 {
		r.Errorf("left in the directory for temporary files: %v, %v", list, err)
	}
}

// becomes waits until an expression of JavaScript is true, in whatever page there is then.
func (p *tab) becomes(expression string) {
	p.Helper()
	eventually(p.T, expression, func() bool {
		is, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool](expression))
		return err == nil && is
	})
}

// look makes an artifact of what a page looks like, for people.
func (p *tab) look(name string) {
	p.Helper()
	image, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.WriteFile(filepath.Join(p.ArtifactDir(), name), image, 0o644)
	}
	if err != nil {
		p.Error(err)
	}
}

func scheme(name string, width int64) setting {
	return func(ctx context.Context) error {
		return errors.Join(chromedp.Do(ctx, chromedp.EmulateViewport(width, 900)),
			command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}})(ctx))
	}
}

func TestLive(t *testing.T) {
	inBrowser(t, func(t *testing.T, browser context.Context) {
		t.Run("two packages", func(t *testing.T) { twoPackages(t, browser) })
		t.Run("killed", killedRun)
	})
}

func twoPackages(t *testing.T, browser context.Context) {
	r := startRun(t, "a", "b")
	r.served()
	eventually(t, "one server alone", func() bool { return len(servers(t)) == 1 }) // another one may find that out just now
	all := visit(t, browser, livePage)
	all.until(`document.querySelector('#title').textContent === '0 failed, 2 passed, 2 running'`)
	for _, width := range []int64{1280, 400} {
		for _, name := range []string{"light", "dark"} {
			t.Run(fmt.Sprintf("%s %d", name, width), func(t *testing.T) {
				p := visit(t, browser, livePage, scheme(name, width))
				p.until(`document.querySelectorAll('#running li').length === 2`)
				for _, wrong := range eval[[]string](p, check) {
					t.Error(wrong)
				}
				p.look(fmt.Sprintf("tests-%s-%d.png", name, width))
			})
		}
	}
	a := r.follow(browser, "a", "light", 1280)
	b := r.follow(browser, "b", "dark", 400)

	// What happens is there when it does, and a filter holds.
	r.goOn("a-one")
	a.until(`[...document.querySelectorAll('#kinds label')].some((l) => l.textContent.startsWith('fault'))`)
	a.do(chromedp.Focus("#search"))
	a.press("nobody")
	a.until(shown + ` >= 1 && [...document.querySelectorAll('#events .x')].every((e) => e.textContent.includes('nobody'))`)
	a.do(chromedp.Focus("#events"))
	a.press(kb.Home)
	a.until(selected + `.includes('nobody.')`)
	a.do(chromedp.Click("#clear"))
	a.look("test-light-1280.png")
	r.goOn("b-one")
	b.until(shown + ` > 20000`) // of 20000 lines and the rest
	b.do(chromedp.Focus("#events"))
	b.press(kb.End)
	b.until(selected + ` !== ''`)
	for _, p := range []*tab{a, b} {
		for _, wrong := range eval[[]string](p, check) {
			t.Error(wrong)
		}
	}
	b.look("test-dark-400.png")

	// One fails under the eyes of somebody, and its page becomes its report.
	r.goOn("a-two")
	a.becomes(`document.title.endsWith('failed')`)
	a.becomes(ready)
	a.until(`document.querySelector('#state') !== null && [...document.querySelectorAll('.title')].some((e) => e.textContent.includes('artition'))`)
	a.look("report-light-1280.png")
	all.until(`document.querySelector('#failed a')?.textContent === 'TestShown/fails_a' && document.querySelector('#live').textContent === 'A test has failed.'`)
	r.goOn("b-two")
	all.until(`document.querySelector('#title').textContent === '2 failed, 2 passed'`)
	b.becomes(`document.title.endsWith('failed')`)

	// When the run is over, the page has the reports, and nothing else is there.
	r.goOn("a-three")
	r.goOn("b-three")
	if err := r.cmd.Wait(); err != nil {
		t.Logf("the run: %v", err)
	}
	output, err := os.ReadFile(filepath.Join(r.dir, "output"))
	if err != nil {
		t.Fatal(err)
	}
	if text := string(output); strings.Count(text, "is closed") != 2 || strings.Contains(text, "nstest bundle") || strings.Contains(text, "/proc/self") {
		t.Errorf("the run prints:\n%s", text)
	}
	all.until(`document.documentElement.dataset.over === 'yes'`)
	r.nothingIsLeft()
	all.look("over-light-1280.png")
	all.do(chromedp.Click("#failed a"))
	all.becomes(ready + ` && document.title.endsWith('failed') && document.querySelector('pre.message') !== null`)
	all.quiet()
}

// follow opens the live page of a program's test that runs.
func (r *testRun) follow(browser context.Context, name, colours string, width int64) *tab {
	r.Helper()
	for id := 1; ; id++ {
		address := fmt.Sprintf("%stest/%d", livePage, id)
		switch get(r.T, address, nil) {
		case http.StatusGone: // it has passed
			continue
		case http.StatusOK:
		default:
			r.Fatalf("no test that runs is that of %s", name)
		}
		p := visit(r.T, browser, address, scheme(colours, width))
		p.until(ready + ` && [...document.querySelectorAll('#events .x')].some((e) => e.textContent.startsWith('hello from'))`)
		if eval[bool](p, fmt.Sprintf(`[...document.querySelectorAll('#events .x')].some((e) => e.textContent === 'hello from %s')`, name)) {
			return p
		}
	}
}

// killedRun kills everything that belongs to a run but the server, which goes too; and who may read the page is looked at before.
func killedRun(t *testing.T) {
	r := startRun(t, "a", "secret")
	r.served()
	r.keepsSecrets()
	for name, c := range map[string]struct {
		header http.Header
		want   int
	}{
		"another name":   {http.Header{"Host": {"page.test:8181"}}, http.StatusForbidden},
		"another page":   {http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"no-cors"}}, http.StatusForbidden},
		"a link":         {http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}}, http.StatusOK},
		"its own":        {http.Header{"Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-Mode": {"cors"}}, http.StatusOK},
		"localhost":      {http.Header{"Host": {"localhost:1234"}}, http.StatusOK},
		"of its address": {http.Header{"Host": {liveAddr}}, http.StatusOK},
	} {
		if got := get(t, livePage, c.header); got != c.want {
			t.Errorf("%s: status %d, want %d", name, got, c.want)
		}
	}
	if killed := r.kill(); killed < 2 { // with keepers there are more
		t.Errorf("%d programs were killed", killed)
	}
	r.nothingIsLeft()
}

// keepsSecrets looks at what is shown of a test whose texts are redacted, and of another one.
func (r *testRun) keepsSecrets() {
	r.Helper()
	body := func(path string) io.ReadCloser {
		req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, livePage+path, nil)
		if err != nil {
			r.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			r.Fatal(err)
		}
		return resp.Body
	}
	until := func(in io.ReadCloser, texts ...string) (all string) {
		r.Helper()
		defer in.Close() // a server waits for those who look
		for s := bufio.NewReader(in); !slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(all, text) }); {
			line, err := s.ReadString('\n')
			if all += line; err != nil {
				r.Fatalf("%v; there is no %q in:\n%s", err, texts, all)
			}
		}
		return all
	}
	ids := map[string]int{}
	all := until(body("tests"), `"failed":`)
	eventually(r.T, "two tests that run", func() bool {
		all = until(body("tests"), `"failed":`)
		for _, m := range regexp.MustCompile(`"id":(\d+),"test":"TestShown/fails_([^"]+)"`).FindAllStringSubmatch(all, -1) {
			ids[m[2]], _ = strconv.Atoi(m[1])
		}
		return len(ids) == 2
	})
	if ids["a"] == 0 || ids["****"] == 0 || strings.Contains(all, "secret") {
		r.Fatalf("the tests are %v, in:\n%s", ids, all)
	}
	until(body(fmt.Sprintf("test/%d/events", ids["a"])), "hello from a") // the control
	shown := body(fmt.Sprintf("test/%d/events", ids["****"]))
	r.goOn("secret-one")
	r.goOn("secret-two")
	if text := until(shown, "event: over"); strings.Contains(text, "hello") || strings.Contains(text, "event: message") {
		r.Errorf("of what is to be redacted there is shown:\n%s", text)
	}
	in := body(fmt.Sprintf("test/%d", ids["****"]))
	defer in.Close()
	report, err := io.ReadAll(in)
	if text := string(report); err != nil || strings.Contains(text, "secret") || !strings.Contains(text, "hello from ****") {
		r.Errorf("%v: the report is not redacted, or no report:\n%.2000s", err, text)
	}
}

// kill kills the run and its programs, and nothing else, and reports how many programs those were.
func (r *testRun) kill() (killed int) {
	_ = r.cmd.Process.Kill() // if it is still there
	_ = r.cmd.Wait()         // likewise
	list, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		r.Fatal(err)
	}
	for _, file := range list {
		environ, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(environ), shownIn+"="+r.dir) {
			continue
		}
		line, err := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
		if err != nil || strings.Contains(string(line), "/nstest\x00ui\x00") {
			continue
		}
		var pid int
		if _, err := fmt.Sscanf(file, "/proc/%d/environ", &pid); err == nil && syscall.Kill(pid, syscall.SIGKILL) == nil {
			killed++
		}
	}
	return killed
}
