package twin

import (
	"errors"
	"io"
	"maps"
	"os"
	"testing"
)

// idle is a process that ends when it is killed.
type idle struct{ killed chan struct{} }

func (p idle) Wait() (string, error) {
	<-p.killed
	return "signal: killed", nil
}

func (idle) Signal(os.Signal) error { return nil }

func (p idle) Kill() error {
	close(p.killed)
	return nil
}

func (idle) HostPid() int { return 4711 }

// closes counts how often an environment is closed.
type closes int

func (c *closes) Close() error {
	*c++
	return nil
}

// openFiles are the program's descriptors and what they are.
func openFiles(t *testing.T) map[string]string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil { // the directory itself is closed
			files[e.Name()] = target
		}
	}
	return files
}

// Whatever Start fails at, the environment is closed, and with it everything that was made.
func TestStartThatFails(t *testing.T) {
	r, w, err := pipe() // the poller has files that stay
	if err := errors.Join(err, r.Close(), w.Close()); err != nil {
		t.Fatal(err)
	}
	refused := errors.New("refused")
	for _, c := range []struct {
		name  string
		start error
		hold  func(pid int) error
	}{
		{name: "program", start: refused},
		{name: "hold", hold: func(pid int) error {
			if pid != 4711 {
				t.Errorf("hold has got pid %d", pid)
			}
			return refused
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := openFiles(t)
			r, connection, err := pipe()
			if err != nil {
				t.Fatal(err)
			}
			var environment closes
			var during map[string]string
			process := idle{make(chan struct{})}
			_, err = Start(Plan{
				Stdout: io.Discard, Stderr: os.Stderr, Connection: connection, Environment: &environment, Hold: c.hold,
				Start: func([]string, []string, []*os.File) (Process, error) {
					during = openFiles(t)
					if c.start != nil {
						return nil, c.start
					}
					return process, nil
				},
			})
			if !errors.Is(err, refused) {
				t.Errorf("error %v, want %v", err, refused)
			}
			if environment != 1 {
				t.Errorf("the environment was closed %d times", environment)
			}
			if c.start == nil {
				<-process.killed
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			if after := openFiles(t); !maps.Equal(after, before) {
				t.Errorf("files before %v, after %v", before, after)
			}
			if len(during) <= len(before)+2 { // the connection's
				t.Errorf("files before %v, while it started %v: there was nothing to leave open", before, during)
			}
		})
	}
}
