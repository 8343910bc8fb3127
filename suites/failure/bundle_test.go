package failure

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A manifest has those fields of a bundle's manifest.json that are looked at here, and an event those of a line of
// events.jsonl.
type (
	manifest struct {
		Test, State, Repeat     string
		Of                      string
		Attempt                 int
		Began, Ended            time.Time
		Hosts, Omitted, Further []string
		Failures                []struct{ Message, Location, Node, State string }
		Files                   []struct{ Path, What string }
	}
	event struct {
		Time                              time.Time
		Kind, Text, State, Host, Location string
		Args                              []string
	}
)

// A bundle is a directory.
type bundle string

func (b bundle) manifest(t *testing.T) (m manifest) {
	t.Helper()
	decode(t, string(b)+"/manifest.json", json.Unmarshal, &m)
	return m
}

func (b bundle) text(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(string(b), name))
	if err != nil {
		t.Error(err)
	}
	return string(data)
}

// events are those that are whole.
func (b bundle) events(t *testing.T) (list []event) {
	t.Helper()
	for lines := bufio.NewScanner(strings.NewReader(b.text(t, "events.jsonl"))); lines.Scan(); {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatalf("%v in %s", err, lines.Text())
		}
		list = append(list, e)
	}
	return list
}

// bundles are those in a directory, in the order of time, by their names without times.
func bundles(t *testing.T, dir string) (names []string, found map[string]bundle) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	found = map[string]bundle{}
	for _, e := range entries {
		name := strings.TrimPrefix(stamp.ReplaceAllString(e.Name(), ""), "-")
		names = append(names, name)
		found[name] = bundle(filepath.Join(dir, e.Name()))
	}
	return names, found
}

var stamp = regexp.MustCompile(`\d{8}-\d{6}\.\d{3}`)
