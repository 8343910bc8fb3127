package report

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// reported is a report of these properties.
func reported(kind Kind, list ...Property) *Report {
	r := New(kind, "v1.2.3")
	r.Properties = list
	return r
}

func property(id string, state State, reason string) Property {
	return Property{ID: id, Text: "the text of " + id, State: state, Reason: reason}
}

func TestReportIsReadBack(t *testing.T) {
	r := reported(Conform, Property{
		ID: "U1", Text: "<names>", State: Pass, Evidence: Evidence{
			Positive: []Control{{None: "there is no other", Shown: true}},
			Negative: []Control{{What: "is not there", Saw: []Observation{{"name", "inside"}}, Shown: true}},
		},
	}, property("U2", Skipped, "no such thing"))
	path := filepath.Join(t.TempDir(), "report.json")
	file, err := os.Create(path)
	if err := errors.Join(err, r.Write(file), file.Close()); err != nil {
		t.Fatal(err)
	}
	got, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, r) {
		t.Errorf("read %+v\nwrote %+v", got, r)
	}
}

func TestWhatIsNoReportIsRefused(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"no JSON":            "report",
		"something else":     `{"packages": []}`,
		"of another version": `{"schema": 2, "kind": "conform"}`,
		"of no known kind":   `{"schema": 1, "kind": "doctor"}`,
		"with a property twice": `{"schema": 1, "kind": "conform", "properties": [
			{"id": "U1", "text": "", "state": "pass"}, {"id": "U1", "text": "", "state": "fail"}]}`,
		"with an unknown state": `{"schema": 1, "kind": "conform", "properties": [{"id": "U1", "text": "", "state": "good"}]}`,
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if r, err := Read(path); !errors.Is(err, ErrNoReport) || !strings.Contains(err.Error(), path) {
			t.Errorf("a file %s is read as %+v, %v", name, r, err)
		}
	}
	if _, err := Read(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrNoReport) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestDifference(t *testing.T) {
	before := reported(Conform,
		property("U1", Pass, ""), property("U2", Fail, "was broken"), property("U3", Pass, ""), property("U4", Pass, ""),
		property("U5", Pass, ""), property("U6", Skipped, "no root"))
	after := reported(Conform,
		property("U1", Pass, ""), property("U2", Pass, ""), property("U3", Fail, "leaks"), property("U4", Absent, "too old"),
		property("U6", Fail, "broken"), property("U7", Pass, ""))
	before.Machine.Kernel.Options = map[string]string{"TIME_NS": "y", "USER_NS": "y"}
	after.Machine.Kernel.Options = map[string]string{"TIME_NS": "n", "USER_NS": "y"}
	d, err := Compare(before, after)
	if err != nil {
		t.Fatal(err)
	}
	if d.Regressions() != 2 {
		t.Errorf("%d regressions, want those of U3 and U4", d.Regressions())
	}
	var out bytes.Buffer
	if err := d.Print(&out); err != nil {
		t.Fatal(err)
	}
	got := regexp.MustCompile(` {2,}`).ReplaceAllString(out.String(), "|")
	_, got, _ = strings.Cut(got, "\nB: ")
	_, got, _ = strings.Cut(got, "\n")
	const want = `|ID|PROPERTY|A|B|WHY
REGRESSION|U3|the text of U3|pass|FAIL|leaks
REGRESSION|U4|the text of U4|pass|absent|too old
improvement|U2|the text of U2|FAIL|pass
change|U5|the text of U5|pass|-|B has not looked into it
change|U6|the text of U6|skip|FAIL|broken
change|U7|the text of U7|-|pass|A has not looked into it
OPTION|A|B
CONFIG_TIME_NS|y|n
2 regressions, 1 improvements, 3 other changes, 1 the same.
`
	if got != want {
		t.Errorf("printed\n%s\nwant\n%s", got, want)
	}
	if d, err := Compare(before, reported(Target)); !errors.Is(err, ErrNoReport) {
		t.Errorf("reports of two kinds were compared: %+v, %v", d, err)
	}
}

func TestKernelConfiguration(t *testing.T) {
	const text = "# CONFIG_TIME_NS is not set\nCONFIG_USER_NS=y\nCONFIG_HZ=250\nCONFIG_LSM=\"landlock,yama\"\nCONFIG_UNHEARD_OF=y\n"
	dir := t.TempDir()
	plain, zipped := filepath.Join(dir, "config"), filepath.Join(dir, "config.gz")
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, err := w.Write([]byte(text))
	if err := errors.Join(err, w.Close(), os.WriteFile(plain, []byte(text), 0o644), os.WriteFile(zipped, z.Bytes(), 0o644)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{plain, zipped} {
		var k Kernel
		k.configure(filepath.Join(dir, "none"), path)
		if k.Config != path || len(k.Options) != len(options) {
			t.Errorf("%d options from %q, want %d from %q", len(k.Options), k.Config, len(options), path)
		}
		for name, want := range map[string]string{"TIME_NS": "n", "USER_NS": "y", "HZ": "250", "LSM": "landlock,yama", "VETH": "n"} {
			if k.Options[name] != want {
				t.Errorf("%s: CONFIG_%s is %q, want %q", path, name, k.Options[name], want)
			}
		}
	}
	var k Kernel
	if k.configure(filepath.Join(dir, "none")); k.Options != nil {
		t.Errorf("options from nowhere: %v", k.Options)
	}
}

func TestRowsAreLines(t *testing.T) {
	var out bytes.Buffer
	r := reported(Conform, property("U1", Fail, "Expected\n    <string>: a\nto equal\n    <string>: b "+strings.Repeat("long ", 100)))
	if err := r.Print(&out, false); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 4 || !strings.Contains(lines[2], "FAIL   Expected <string>: a to equal <string>: b long") || !strings.HasSuffix(lines[2], "…") {
		t.Errorf("printed\n%s", out.String())
	}
	out.Reset()
	if err := r.Print(&out, true); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "\n      to equal\n") {
		t.Errorf("the whole reason is missing:\n%s", out.String())
	}
}
