package keeper

import (
	"os"
	"path/filepath"
	"testing"
)

func TestOOMCounterCountsFromWhereItBegan(t *testing.T) {
	file := filepath.Join(t.TempDir(), "memory.events")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("low 0\noom 3\noom_kill 7\noom_group_kill 1\n")
	c := oomCounter{file: file, last: oomKills(file)}
	if c.last != 7 || c.killed() {
		t.Errorf("%d have been killed before, and one since", c.last)
	}
	write("low 0\noom 3\noom_kill 8\n")
	if !c.killed() || c.killed() {
		t.Error("one that was killed counts once")
	}
	write("low 0\n")
	if c.killed() {
		t.Error("a file without a count counts")
	}
	var machine oomCounter
	if machine.begin(); !exists(machine.file) {
		t.Errorf("there is no %q", machine.file)
	}
}
