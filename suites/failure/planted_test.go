package failure

import (
	"fmt"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hermetic-go/nstest/suites/internal/testprogram"
)

var planted = testprogram.New("testdata/planted")

// causes are what the report has to say of each spec of testdata/planted, in the words of its section "What stands out".
var causes = map[string][]string{
	"the page is refused":                               {"Refused: client → web:80 — nothing listens on port 80 of web", "it had no listening socket of TCP at all"},
	"the page is served on loopback only":               {"Refused: client → web:80 — web listens on 127.0.0.1:80 only", "over IPv4"},
	"the page has a record of the wrong host":           {"Refused: client → old:80 — nothing listens on port 80 of old", "client asked for page.test, which is ", "port 80 is listened on by web"},
	"the page waits for a backend that does not answer": {"No answer: web → backend: GET /count HTTP/1.1", "backend had not answered when web hung up after "},
	"the page is black-holed":                           {"In force: partition of client | web", "client: nobody says who has"},
	"the page has the wrong name":                       {"DNS: client asked for wbe.: NXDOMAIN"},
	"the page is dropped by a firewall":                 {"Black-holed: client → web:80", "web: the firewall has dropped", "firewall rule 1: drop in"},
	"the page is slow":                                  {"No answer: client → web: GET / HTTP/1.1", "web had not answered when client hung up after "},
	"the page has a certificate that expired":           {"TLS alert certificate expired: client → web", "certificate has expired"},
	"the worker runs out of memory":                     {"(out of memory)"},
	"the worker has a full disk":                        {"worker: /run/data is full"},
	"the worker crashes":                                {"ended: signal: aborted", "panic: index out of range [3] with length 3"},
	"the worker hangs":                                  {"worker: ended: signal: killed", "before it was killed: sh (2) waits in open(/run/orders)"},
	"the worker waits for itself":                       {"2 goroutines of the test wait in chan receive", "planted_test.go"},
	"the worker is deadlocked":                          {"2 goroutines wait for locks", "planted_test.go"},
}

// Whoever has a report and nothing else finds why each of the specs has failed.
func TestReportsNameTheCause(t *testing.T) {
	dir := t.TempDir()
	nstest := filepath.Join(dir, "nstest")
	testprogram.Go(t, "../..", nil, "build", "-o", nstest, "./cmd/nstest")
	kept := filepath.Join(dir, "kept")
	if err := os.Mkdir(kept, 0o700); err != nil {
		t.Fatal(err)
	}
	args := []string{"-ginkgo.no-color"}
	cmd := planted.Command(t, []string{"NSTEST_KEEP=" + kept})
	if group := memoryGroup(t); group != "" {
		cmd.Args = append([]string{"sh", "-c", `echo $$ >"$0" && exec "$@"`, group + "/cgroup.procs", cmd.Path}, cmd.Args[1:]...)
		cmd.Path = "/bin/sh"
	} else {
		t.Log("no group of processes of an ordinary user's can run out of memory alone")
		args = append(args, "-ginkgo.skip=runs out of memory")
	}
	cmd.Args = append(cmd.Args, args...)
	output, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatalf("nothing has failed:\n%s", output)
	}

	_, found := bundles(t, kept)
	told := map[string]bool{}
	for _, b := range found {
		name := b.manifest(t).Test
		told[name] = true
		page := filepath.Join(dir, "report.html")
		if out, err := exec.Command(nstest, "report", "-o", page, string(b)).CombinedOutput(); err != nil {
			t.Fatalf("nstest report: %v\n%s", err, out)
		}
		section := standsOut(t, page)
		for _, text := range causes[name] {
			if !strings.Contains(section, text) {
				t.Errorf("%s: %q is not in\n%s", name, text, section)
			}
		}
	}
	for name := range causes {
		if skipped := name == "the worker runs out of memory" && len(args) > 1; told[name] == skipped {
			t.Errorf("there is a bundle of %q: %v\n%s", name, told[name], output)
		}
	}
}

var tags = regexp.MustCompile(`<[^>]*>`)

// standsOut is the text of the section of a report that says what stands out.
func standsOut(t *testing.T, page string) string {
	t.Helper()
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(content), "What stands out</h2>")
	if !ok {
		t.Fatalf("%s has no such section", page)
	}
	section, _, _ = strings.Cut(section, "</section>")
	return strings.Join(strings.Fields(html.UnescapeString(tags.ReplaceAllString(section, " "))), " ")
}

// memoryGroup is a control group of 256 MiB, "" where the user or the machine has none to give.
func memoryGroup(t *testing.T) string {
	t.Helper()
	for _, where := range [][2]string{{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"}, {"/sys/fs/cgroup", "memory.max"}} {
		group := filepath.Join(where[0], fmt.Sprintf("nstest-planted-%d", os.Getpid()))
		if err := os.Mkdir(group, 0o755); err != nil {
			continue
		}
		t.Cleanup(func() {
			if err := os.Remove(group); err != nil {
				t.Error(err)
			}
		})
		if err := os.WriteFile(filepath.Join(group, where[1]), []byte("268435456"), 0o644); err == nil {
			return group
		}
	}
	return ""
}
