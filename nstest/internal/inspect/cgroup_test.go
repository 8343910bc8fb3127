package inspect

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/hermetic-go/nstest/nstest/internal/record"
)

func TestReadCgroup(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("limited/memory.current", "4096\n")
	write("limited/memory.max", "8192\n")
	write("limited/memory.events", "low 0\nhigh 0\nmax 7\noom 3\noom_kill 2\noom_group_kill 0\n")
	write("limited/pids.current", "5\n")
	write("limited/memory.pressure", "some avg10=12.34 avg60=1.00 avg300=0.00 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n")
	write("free/memory.max", "max\n")
	for group, want := range map[string]*record.Cgroup{
		"/limited": {Path: "/limited", Memory: 4096, Limit: 8192, OOMKills: 2, PIDs: 5, Pressure: []record.Statistic{{Name: "memory some", Value: 1234}}},
		"/free":    {Path: "/free"},
	} {
		if got, err := readCgroup(root, group); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", group, got, err)
		}
	}
	if _, err := readCgroup(root, "/none"); !os.IsNotExist(err) {
		t.Errorf("a group that is not there: %v", err)
	}
}

// What the keeper is in as well is not the environment's.
func TestCgroupOfOurOwn(t *testing.T) {
	if g, err := Cgroup(os.Getpid()); g != nil || err != nil {
		t.Errorf("got %+v, %v", g, err)
	}
}
