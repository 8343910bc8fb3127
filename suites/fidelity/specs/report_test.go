package specs

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// suiteReport is one of --json-report, field by field, whatever fields there are.
type suiteReport = map[string]any

func readReport(t *testing.T, path string) []suiteReport {
	t.Helper()
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil
	}
	var list []suiteReport
	if err == nil {
		err = json.Unmarshal(data, &list)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range list {
		delete(r["SuiteConfig"].(map[string]any), "ParallelHost")
	}
	return list
}

// times are fields that differ from run to run. Goroutines are those of the suite's process, and not the same in it.
var times = []string{"Time", "StartTime", "EndTime", "RunTime", "Duration", "CurrentNodeStartTime", "SpecStartTime", "CurrentStepStartTime", "Goroutines"}

// theirs is where the report of a spec's own process begins, in the additional progress reports.
var theirs = regexp.MustCompile(`(?s)\n?\s*-{30}\n\s*In the spec's process:.*`)

// flatten lists the fields of a report with their paths, without what differs from run to run.
func flatten(path string, value any, into map[string]string) {
	switch v := value.(type) {
	case map[string]any:
		for key, field := range v {
			switch {
			case slices.Contains(times, key):
			case key == "AdditionalReports":
				into[path+"."+key] = additional(field)
			default:
				flatten(path+"."+key, field, into)
			}
		}
	case []any:
		if len(v) > 0 { // none and nothing are the same
			into[path+".len"] = fmt.Sprint(len(v))
		}
		for i, element := range v {
			flatten(fmt.Sprintf("%s[%d]", path, i), element, into)
		}
	case nil:
	default:
		into[path] = normal(fmt.Sprint(v))
	}
}

// additional are the user's own progress reports as one.
func additional(list any) string {
	var texts []string
	for _, text := range list.([]any) {
		texts = append(texts, strings.TrimSpace(text.(string)))
	}
	return normal(strings.TrimSpace(theirs.ReplaceAllString(strings.Join(texts, "\n"), "")))
}

var varying = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`0x[0-9a-f]+\??`), "0xADDRESS"},
	{regexp.MustCompile(` \+0xADDRESS`), ""},
	{regexp.MustCompile(`\((\.\.\.|[^()]*0xADDRESS[^()]*)\)`), "(ARGUMENTS)"},
	{regexp.MustCompile(`goroutine \d+`), "goroutine N"},
	{regexp.MustCompile(`\b\d\d/\d\d/\d\d \d\d:\d\d:\d\d(\.\d+)?`), "DATE"},
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?`), "DATE"},
	{regexp.MustCompile(`\b(\d+m)?\d+(\.\d+)?(ms|µs|ns|s| seconds)\b`), "TIME"},
	{regexp.MustCompile(`(time|RunTime|Total Runtime)="[-+\de.]+"`), `$1="TIME"`},
	{regexp.MustCompile(`/[^\s"&;]*/(report\.(json|xml)|ginkgo\d+)`), "FILE"},
}

// normal is text without what differs from run to run.
func normal(text string) string {
	for _, v := range varying {
		text = v.pattern.ReplaceAllString(text, v.instead)
	}
	return text
}

// compare reports how a run differs from the one that it has to be the same as.
func compare(t *testing.T, got, want outcome, reportsOnly bool) {
	t.Helper()
	if got.code != want.code {
		t.Errorf("exit status %d, want %d:\n%s", got.code, want.code, got.text)
	}
	compareReports(t, got.report, want.report)
	if reportsOnly {
		return
	}
	compareText(t, "text", got.text, want.text)
	compareText(t, "JUnit report", got.junit, want.junit)
}

func compareReports(t *testing.T, got, want []suiteReport) {
	t.Helper()
	g, w := map[string]string{}, map[string]string{}
	for i, r := range got {
		flatten(fmt.Sprint(i), r, g)
	}
	for i, r := range want {
		flatten(fmt.Sprint(i), r, w)
	}
	paths := slices.Collect(maps.Keys(w))
	for path := range g {
		if _, ok := w[path]; !ok {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	differences := 0
	for _, path := range paths {
		if g[path] == w[path] {
			continue
		}
		if strings.HasSuffix(path, ".TimelineLocation.Offset") && strings.HasPrefix(name(want, path), "[timeouts") {
			continue // how much was written when the time was out, on a machine that may be slow
		}
		if differences++; differences <= 20 {
			t.Errorf("%s of %s is\n%s\nwant\n%s", path, name(want, path), g[path], w[path])
		}
	}
	if differences > 20 {
		t.Errorf("%d differences more", differences-20)
	}
}

// name says which spec a path is in.
func name(reports []suiteReport, path string) string {
	var i, j int
	if n, _ := fmt.Sscanf(path, "%d.SpecReports[%d]", &i, &j); n != 2 || i >= len(reports) {
		return "the suite"
	}
	specs, _ := reports[i]["SpecReports"].([]any)
	if j >= len(specs) {
		return "a further spec"
	}
	spec := specs[j].(map[string]any)
	return fmt.Sprint(spec["ContainerHierarchyTexts"], spec["LeafNodeType"], " ", spec["LeafNodeText"])
}

func compareText(t *testing.T, what, got, want string) {
	t.Helper()
	g, w := strings.Split(normal(got), "\n"), strings.Split(normal(want), "\n")
	for i := range max(len(g), len(w)) {
		if i >= len(g) || i >= len(w) || g[i] != w[i] {
			from, show := max(0, i-5), func(list []string) string {
				return strings.Join(list[min(max(0, i-5), len(list)):min(i+6, len(list))], "\n")
			}
			t.Errorf("%s differs from line %d on: got\n%s\nwant\n%s", what, from+1, show(g), show(w))
			return
		}
	}
}
