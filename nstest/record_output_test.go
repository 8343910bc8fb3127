package nstest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/record"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// said are the lines that the processes of a record have written.
func said(t *testing.T, dir string) (list []string) {
	t.Helper()
	for _, e := range events(t, dir) {
		if e.Kind == record.KindLog {
			list = append(list, brief(e))
		}
	}
	return list
}

func TestRecordOfOutput(t *testing.T) {
	for _, is := range []struct {
		name string
		run  func(c *Cmd) (string, error)
		want []string
	}{
		{"nobody's", func(c *Cmd) (string, error) { return "", c.Run() }, []string{"stdout one", "stderr two", "stdout three"}},
		{"a writer's", func(c *Cmd) (string, error) {
			var out, errs strings.Builder
			c.Stdout, c.Stderr = &out, &errs
			err := c.Run()
			return out.String() + "|" + errs.String(), err
		}, []string{"stdout one", "stderr two", "stdout three"}},
		{"one writer's", func(c *Cmd) (string, error) {
			out, err := c.CombinedOutput()
			return string(out), err
		}, []string{"stdout one", "stdout two", "stdout three"}},
		{"a pipe", func(c *Cmd) (string, error) {
			r, err := c.StdoutPipe()
			if err != nil {
				return "", err
			}
			if err := c.Start(); err != nil {
				return "", err
			}
			out, err := io.ReadAll(r)
			return string(out), errors.Join(err, c.Wait())
		}, []string{"stdout one", "stderr two", "stdout three"}},
		{"the user's file", func(c *Cmd) (string, error) {
			f, err := os.CreateTemp(t.TempDir(), "")
			if err != nil {
				return "", err
			}
			defer f.Close()
			c.Stdout = f
			err = c.Run()
			out, rerr := os.ReadFile(f.Name())
			return string(out), errors.Join(err, rerr)
		}, []string{"stderr two"}},
	} {
		t.Run(is.name, func(t *testing.T) {
			var outputs []string
			for _, record := range []bool{false, true} {
				dir := t.TempDir()
				env := New(t, Config{})
				if record {
					recorded(t, env, dir, wire.RecordParams{Limit: 1 << 20})
				}
				out, err := is.run(env.Host("web").Command("sh", "-c", "echo one; echo two >&2; printf three"))
				if err != nil {
					t.Fatal(err)
				}
				outputs = append(outputs, out)
				if err := env.Close(); err != nil {
					t.Fatal(err)
				}
				if !record {
					continue
				}
				got, want := said(t, dir), []string{}
				for _, w := range is.want {
					want = append(want, "log web "+w)
				}
				if is.name != "one writer's" { // two pipes have no order
					slices.Sort(got)
					slices.Sort(want)
				}
				if !slices.Equal(got, want) {
					t.Errorf("got %q, want %q", got, want)
				}
			}
			if outputs[0] != outputs[1] {
				t.Errorf("got %q, and %q when that is recorded", outputs[0], outputs[1])
			}
		})
	}
}

// What a process sees and what comes out of it is as without a record, at the ends as well.
func TestRecordOfOutputChangesNothing(t *testing.T) {
	dir := t.TempDir()
	env := New(t, Config{})
	recorded(t, env, dir, wire.RecordParams{Limit: 64 << 20})
	web := env.Host("web")

	t.Run("every byte", func(t *testing.T) {
		var want bytes.Buffer
		for i := range 1 << 20 {
			want.WriteByte(byte(i * i >> 8))
		}
		c := web.Command("cat")
		c.Stdin = bytes.NewReader(want.Bytes())
		got, err := c.Output()
		if err != nil || !bytes.Equal(got, want.Bytes()) {
			t.Errorf("%d bytes of %d, %v", len(got), want.Len(), err)
		}
	})
	t.Run("nobody reads any more", func(t *testing.T) {
		c := web.Command("yes")
		r, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
			t.Error(err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		var ee *ExitError
		if err := c.Wait(); !errors.As(err, &ee) || ee.Signal() != syscall.SIGPIPE {
			t.Errorf("got %v", err)
		}
	})
	t.Run("nobody reads yet", func(t *testing.T) {
		c := web.Command("sh", "-c", "head -c 3000000 /dev/zero; echo done >&2")
		r, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		errs, err := c.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		if err := errs.(interface{ SetReadDeadline(time.Time) error }).SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := errs.Read(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the process has written all that nobody reads: %v", err)
		}
		got, err := io.ReadAll(r)
		if err != nil || len(got) != 3000000 {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	})
	t.Run("a child that stays", func(t *testing.T) {
		c := web.Command("sh", "-c", "(read line; echo $line) <&3 & echo begun")
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		r.Fd() // which makes reading wait
		c.ExtraFiles = []*os.File{r}
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		_ = r.Close()
		lines := bufio.NewReader(out)
		if got, err := lines.ReadString('\n'); got != "begun\n" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		if _, err := w.WriteString("later\n"); err != nil {
			t.Error(err)
		}
		if got, err := io.ReadAll(lines); string(got) != "later\n" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	})
	t.Run("opened again", func(t *testing.T) {
		c := web.Command("sh", "-c", "echo x >/dev/stdout")
		c.User = &User{UID: 1000, GID: 1000}
		if out, err := c.Output(); string(out) != "x\n" || err != nil {
			t.Errorf("%q, %v", out, err)
		}
	})
	t.Run("the end with the environment", func(t *testing.T) {
		c := web.Command("sh", "-c", "echo last; printf words; head -c 60000 /dev/zero; echo full >&2; sleep 1000")
		r, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		errs, err := c.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		if text, err := bufio.NewReader(errs).ReadString('\n'); text != "full\n" || err != nil {
			t.Errorf("%q, %v", text, err)
		}
		if err := env.Close(); err != nil {
			t.Error(err)
		}
		if rest, err := io.ReadAll(r); err != nil || string(rest) != "last\nwords"+strings.Repeat("\x00", 60000) {
			t.Errorf("%d bytes, %v", len(rest), err)
		}
		if err := c.Wait(); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
	got := said(t, dir)
	for _, want := range []string{"log web stdout begun", "log web stdout later", "log web stdout x", "log web stdout last"} {
		if !slices.Contains(got, want) {
			t.Errorf("no %q", want)
		}
	}
	unended := func(line string) bool {
		return strings.HasPrefix(line, "log web stdout words\x00\x00") && strings.HasSuffix(line, "\x00…")
	}
	if !slices.ContainsFunc(got, unended) {
		t.Errorf("no line that did not end, in %d of them", len(got))
	}
}

func TestRecordThatIsFullOfOutput(t *testing.T) {
	dir := t.TempDir()
	env := New(t, Config{})
	recorded(t, env, dir, wire.RecordParams{Limit: 64 << 10})
	const lines = 100_000
	out, err := env.Host("web").Command("seq", "1", fmt.Sprint(lines)).Output()
	if err != nil || bytes.Count(out, []byte{'\n'}) != lines {
		t.Errorf("%d bytes of output, %v", len(out), err)
	}
	if err := env.Close(); err != nil {
		t.Fatal(err)
	}
	kept, left, exits := 0, 0, 0
	var last []string // after the gap
	for _, e := range events(t, dir) {
		switch {
		case e.Kind == record.KindExit:
			exits++
		case e.Kind == record.KindLog && (last != nil || strings.HasPrefix(e.Text, "…")):
			last = append(last, e.Text)
		case e.Kind == record.KindLog:
			if kept++; e.Text != fmt.Sprint(kept) {
				t.Fatalf("line %d is %q", kept, e.Text)
			}
		default:
			_, _ = fmt.Sscanf(e.Text, "%d lines of output and DNS queries were left out", &left)
		}
	}
	if kept < 100 || kept+left != lines || exits != 1 {
		t.Errorf("%d lines are kept, and %d are said to be left out, of %d; %d ends of a process", kept, left, lines, exits)
	}
	for i, text := range slices.Backward(last) {
		if want := fmt.Sprint(lines - (len(last) - 1 - i)); i > 0 && text != want {
			t.Errorf("line %d from the end is %q, want %q", len(last)-i, text, want)
		}
	}
	if len(last) != 11 {
		t.Errorf("of the end there is %q", last)
	}
}
