package inspect

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hermetic-go/nstest/nstest/internal/record"
)

func TestProcessesOfThisProgram(t *testing.T) {
	table, err := NewTable(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pid := os.Getpid()
	level, err := Level(pid)
	if err != nil {
		t.Fatal(err)
	}
	list, numbers, notes := table.Processes([]int{pid, 1 << 29}, level)
	if len(list) != 1 || len(numbers) != 1 || len(notes) > 0 || numbers[0] != pid {
		t.Fatalf("%+v, %v, %v", list, numbers, notes)
	}
	if p := list[0]; p.UID != os.Geteuid() || p.RSS < 1<<20 || p.Threads < 2 || p.Age <= 0 || !strings.HasPrefix(p.Args[0], "[") {
		t.Errorf("%+v", p)
	}
	r := Reader{}
	d := r.Details(pid, "R")
	if !slices.Equal(d.Args, os.Args) || len(d.Files) < 3 || len(d.Notes) > 0 {
		t.Errorf("%+v", d)
	}
	r.Cautious = true
	if d := r.Details(pid, "R"); d.Args != nil {
		t.Errorf("arguments that were not to be read: %q", d.Args)
	}
}

// The name of a program is chosen by whoever writes it, and stands in the middle of a line that is read.
func TestProcessWithAName(t *testing.T) {
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip("there is no sleep: install coreutils")
	}
	b, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	const name = "a) Z 1\n(b"
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	s, err := readStatus(cmd.Process.Pid)
	if err != nil || s.name != strings.ReplaceAll(name, "\n", `\n`) || s.parent != os.Getpid() {
		t.Errorf("%+v, %v", s, err)
	}
	if p, err := readStat(cmd.Process.Pid); err != nil || !strings.Contains("RSD", p.State) {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestReadSome(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for text, want := range map[string]string{"": "", "1234": "1234", "12345": "12345", "123456": "12345…"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := readSome(path, 5); err != nil || string(got) != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

func TestOwn(t *testing.T) {
	s := record.HostState{
		Processes: []record.Process{
			{PID: 1, Files: []record.OpenFile{{Target: "socket:[7]"}, {FD: 1, Target: "socket:[7]"}, {FD: 2, Target: "/x"}}},
			{PID: 2, Files: []record.OpenFile{{Target: "socket:[7]"}, {FD: 1, Target: "socket:[8"}}},
		},
		Sockets: []record.Socket{{Inode: 7}, {Inode: 9}, {}},
	}
	Own(&s)
	if got := s.Sockets; !slices.Equal(got[0].PIDs, []int{1, 2}) || got[1].PIDs != nil || got[2].PIDs != nil {
		t.Errorf("%+v", got)
	}
}

func TestIDMap(t *testing.T) {
	m := parseIDMap("         0     524288      65536\n     70000          5          1\n")
	for outside, want := range map[int]int{524288: 0, 524358: 70, 5: 70000, 6: 6, 589824: 589824} {
		if got := m.uid(outside); got != want {
			t.Errorf("%d is %d, want %d", outside, got, want)
		}
	}
}
