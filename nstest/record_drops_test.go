package nstest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// A record says which fault has dropped a packet, and in each of its files which faults are in force. The next environment on the
// same switch has nothing of it.
func TestRecordOfDrops(t *testing.T) {
	for round := range 3 {
		dir := t.TempDir()
		env, err := Open(context.Background(), Config{Network: NetworkConfig{NoIPv6: true}})
		if err != nil {
			t.Fatal(err)
		}
		defer env.Close()
		const size = 64 << 10
		recorded(t, env, dir, wire.RecordParams{Limit: 1 << 20, Packets: size})
		web, err := env.AddHost(HostConfig{Name: "web"})
		if err != nil {
			t.Fatal(err)
		}
		send := func(text string) { t.Helper(); sendTo(t, web, env.Self(), text) }
		send("neighbours know each other")
		if round == 1 { // in which nothing is dropped
			if err := env.Close(); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"ring0", "ring1"} {
				text, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil || bytes.Contains(text, []byte("dropped")) || bytes.Contains(text, []byte("in force")) {
					t.Errorf("%s: %q, %v", name, text, err)
				}
			}
			continue
		}
		if _, err := env.AddPartition([]*Host{web}, []*Host{env.Self()}); err != nil {
			t.Fatal(err)
		}
		const name = "fault 1: partition of web | self"
		want := []string{"dropped on the way from web to self: " + name, name + " is in force since "}
		files := []string{"ring0"}
		send("dropped")
		if round == 2 {
			for i := range 100 { // each file is full once
				send(fmt.Sprintf("%-1000d", i))
			}
			files, want = []string{"ring0", "ring1"}, want[1:]
		}
		if err := env.Close(); err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range want {
				if n := bytes.Count(text, []byte(want)); n != 1 {
					t.Errorf("round %d: %s has %q %d times", round, file, want, n)
				}
			}
		}
	}
}
