package scribe

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/record"
)

// readEvents calls f for each event of a file. Lines that are none are passed over: the last one may be cut.
func readEvents(path string, f func(line []byte, e record.Event) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return scanEvents(file, f)
}

func scanEvents(from io.Reader, f func(line []byte, e record.Event) error) error {
	in := bufio.NewReader(from)
	for {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) { // what is left is half a line
			return nil
		}
		if err != nil {
			return err
		}
		var e record.Event
		if json.Unmarshal(line, &e) != nil {
			continue
		}
		if err := f(line, e); err != nil {
			return err
		}
	}
}

// A source is a process that prints.
type source struct {
	host    string
	process int
}

// printed are the lines of a process.
type printed struct {
	source
	pid     int
	program string
	lines   []string
}

// file is the name of the process's log in a bundle.
func (p *printed) file() string {
	return filepath.Join(record.LogsDir, fileName(p.host), fmt.Sprintf("%03d-%s.log", p.process, fileName(filepath.Base(p.program))))
}

// collector puts the lines of processes together.
type collector struct {
	list   []*printed
	known  map[source]*printed
	newest int // how many lines of each are kept; 0 = all
}

func (c *collector) add(e record.Event) {
	if e.Kind != record.KindStart && e.Kind != record.KindLog {
		return
	}
	if c.known == nil {
		c.known = map[source]*printed{}
	}
	s := source{e.Host, e.Process}
	p := c.known[s]
	if p == nil {
		p = &printed{source: s, pid: e.PID, program: "process"}
		c.known[s] = p
		c.list = append(c.list, p)
	}
	if e.Kind == record.KindStart {
		if p.pid = e.PID; len(e.Args) > 0 {
			p.program = e.Args[0]
		}
		return
	}
	p.lines = append(p.lines, e.Text)
	if c.newest > 0 && len(p.lines) > 2*c.newest {
		p.lines = slices.Delete(p.lines, 0, len(p.lines)-c.newest)
	}
}

// writeLogs writes the lines of each process to a file of its own. The mutex is held.
func (r *Bundle) writeLogs() error {
	var c collector
	err := readEvents(filepath.Join(r.dir, record.EventsFile), func(_ []byte, e record.Event) error { c.add(e); return nil })
	errs := []error{err}
	for _, p := range c.list {
		if len(p.lines) == 0 {
			continue
		}
		path := filepath.Join(r.dir, p.file())
		err := os.MkdirAll(filepath.Dir(path), 0o700)
		if err == nil {
			err = os.WriteFile(path, []byte(strings.Join(p.lines, "\n")+"\n"), 0o600)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// What LastLines shows: so many lines of each process, so many bytes of each line and of all, and so much of the file is
// read for it.
const (
	lastLines = 10
	lastLine  = 500
	lastBytes = 8 << 10
	lastRead  = 1 << 20
)

// LastLines is what each process has printed last, for people: "" if none has printed anything.
func (r *Bundle) LastLines(redact func(string) string) string {
	file, err := os.Open(filepath.Join(r.Path(), record.EventsFile))
	if err != nil {
		return ""
	}
	defer file.Close()
	c := collector{newest: lastLines}
	if info, err := file.Stat(); err == nil && info.Size() > lastRead {
		c.heads(io.LimitReader(file, lastRead))
		if _, err := file.Seek(info.Size()-lastRead, io.SeekStart); err != nil {
			return ""
		}
	}
	_ = scanEvents(file, func(_ []byte, e record.Event) error { c.add(e); return nil }) // as far as it can be read
	var b strings.Builder
	for i, p := range c.list {
		if len(p.lines) == 0 {
			continue
		}
		if b.Len() > lastBytes {
			fmt.Fprintf(&b, "and up to %d more processes: see %s\n", len(c.list)-i, record.LogsDir)
			break
		}
		fmt.Fprintf(&b, "%s on %s (pid %d):\n", filepath.Base(p.program), p.host, p.pid)
		for _, line := range p.lines[max(0, len(p.lines)-lastLines):] {
			if redact != nil {
				line = redact(line)
			}
			fmt.Fprintf(&b, "  %s\n", cut(line, lastLine))
		}
	}
	return b.String()
}

// heads learns which programs there are.
func (c *collector) heads(from io.Reader) {
	_ = scanEvents(from, func(_ []byte, e record.Event) error {
		if e.Kind == record.KindStart {
			c.add(e)
		}
		return nil
	})
}

// sortEvents puts events in the order in which they happened: two programs have written them, each when it got to it. The
// mutex is held.
func (r *Bundle) sortEvents(text func(string) string) error {
	type happened struct {
		at   time.Time
		line []byte
	}
	return r.rewrite(record.EventsFile, func(in io.Reader, out io.Writer) error {
		var list []happened
		err := scanEvents(in, func(line []byte, e record.Event) error { list = append(list, happened{e.Time, line}); return nil })
		slices.SortStableFunc(list, func(a, b happened) int { return a.at.Compare(b.at) })
		for _, h := range list {
			if err != nil {
				break
			}
			if text == nil {
				_, err = out.Write(h.line)
			} else {
				err = redactJSON(h.line, out, text)
			}
		}
		return err
	}, text != nil)
}

// Dumped are the programs of which the events say that they have dumped core: their first arguments, each once.
func (r *Bundle) Dumped() (programs []string) {
	started := map[source]string{}
	_ = readEvents(filepath.Join(r.Path(), record.EventsFile), func(_ []byte, e record.Event) error {
		s := source{e.Host, e.Process}
		switch {
		case e.Kind == record.KindStart && len(e.Args) > 0:
			started[s] = e.Args[0]
		case e.Kind == record.KindExit && strings.Contains(e.State, "core dumped") && started[s] != "" && !slices.Contains(programs, started[s]):
			programs = append(programs, started[s])
		}
		return nil
	})
	return programs
}

// redact replaces the texts of the bundle's other files. The mutex is held.
func (r *Bundle) redact(text func(string) string) error {
	if text == nil {
		return nil
	}
	return errors.Join(
		r.rewrite(record.StateFile, func(in io.Reader, out io.Writer) error { return redactAll(in, out, text) }, true),
		r.rewrite(record.TopologyFile, func(in io.Reader, out io.Writer) error { return redactAll(in, out, text) }, true),
		r.rewrite(record.DrawingFile, func(in io.Reader, out io.Writer) error { return redactText(in, out, text) }, true),
		r.rewrite(record.GoroutinesFile, func(in io.Reader, out io.Writer) error { return redactText(in, out, text) }, true),
	)
}

// rewrite makes a file anew, if it is there. One that cannot be made anew stays as it is, or is removed if it is secret: it
// was to be redacted.
func (r *Bundle) rewrite(name string, f func(io.Reader, io.Writer) error, secret bool) (err error) {
	path := filepath.Join(r.dir, name)
	in, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer in.Close()
	defer func() {
		switch {
		case err == nil:
		case secret:
			err = errors.Join(fmt.Errorf("%s could not be written anew, and is left out: %w", name, err), os.Remove(path))
		default:
			err = fmt.Errorf("%s could not be sorted: %w", name, err)
		}
	}()
	file, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(file)
	if err := errors.Join(f(in, out), out.Flush(), file.Close()); err != nil {
		return errors.Join(err, os.Remove(path+".new"))
	}
	return os.Rename(path+".new", path)
}

func redactText(in io.Reader, out io.Writer, text func(string) string) error {
	data, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, text(string(data)))
	return err
}

func redactAll(in io.Reader, out io.Writer, text func(string) string) error {
	data, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	return redactJSON(data, out, text)
}

// redactJSON replaces the strings in a value, but for the names of fields.
func redactJSON(data []byte, out io.Writer, text func(string) string) error {
	var v any
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return err
	}
	_, err := out.Write(encode(redacted(v, text)))
	return err
}

// kept are fields whose values programs compare, and in which nobody can have put a text.
var kept = []string{"time", "kind", "stream"}

func redacted(v any, text func(string) string) any {
	switch v := v.(type) {
	case string:
		return text(v)
	case []any:
		for i := range v {
			v[i] = redacted(v[i], text)
		}
	case map[string]any:
		for k := range v {
			if !slices.Contains(kept, k) {
				v[k] = redacted(v[k], text)
			}
		}
	}
	return v
}

// redactManifest replaces the texts of the manifest. The mutex is held.
func (r *Bundle) redactManifest(text func(string) string) {
	m := &r.manifest
	for _, s := range []*string{&m.Test, &m.Suite, &m.Package, &m.Repeat} {
		*s = text(*s)
	}
	for i := range m.Failures {
		f := &m.Failures[i]
		f.Message, f.Stack, f.Location = text(f.Message), text(f.Stack), text(f.Location)
	}
	for i := range m.Hosts {
		m.Hosts[i] = text(m.Hosts[i])
	}
	for i := range m.Omitted {
		m.Omitted[i] = text(m.Omitted[i])
	}
	for i := range m.Files {
		m.Files[i].Path = text(m.Files[i].Path)
	}
}
