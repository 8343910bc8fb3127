package nstest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/record"
	"github.com/hermetic-go/nstest/nstest/internal/scribe"
	"github.com/hermetic-go/nstest/nstest/internal/twin"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// A recording is what NSTEST_KEEP asks for: the bundle of an environment in which a test runs. It is a twin.Recorder. A nil
// one records nothing.
type recording struct {
	env    *Env
	asked  time.Time // when somebody asked for the environment
	opened time.Duration

	begun    chan struct{} // closed when the keeper records, or does not
	packets  bool          // it records packets; good once begun is closed
	recorded bool          // it records anything; likewise
	later    *time.Timer   // that calls write
	state    sync.Once     // the environment's was taken

	writing  sync.Mutex // guards what follows
	written  bool       // there are files, or nobody wants any more
	writeErr error      // why there are none

	mu       sync.Mutex      // guards what follows
	bundle   *scribe.Bundle  // nil before Begin, and if there can be none
	told     map[string]bool // the tests of which somebody knows where their bundle is
	died     string          // what has ended badly, if nobody has said why
	complete bool
	skipped  bool
	shown    *shown // on the page that NSTEST_UI asks for; nil without one
	fleeting bool   // the bundle is for that page alone: nobody is told of it, and nothing of it is left
}

// defaultKeepLimit is how large a bundle may be, in bytes, if NSTEST_KEEP_LIMIT does not say.
const defaultKeepLimit = 128 << 20

// packetSnap is how many bytes of each packet a recording has: enough for headers and short messages, and little of what
// is only long.
const packetSnap = 4 << 10

// keepLimits are those that NSTEST_KEEP_LIMIT asks for.
func keepLimits() (scribe.Limits, error) {
	text := os.Getenv("NSTEST_KEEP_LIMIT")
	if text == "" {
		return scribe.LimitsOf(defaultKeepLimit), nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < minKeepLimit {
		return scribe.Limits{}, fmt.Errorf("nstest: NSTEST_KEEP_LIMIT=%s: it is a number of bytes, at least %d", text, minKeepLimit)
	}
	return scribe.LimitsOf(n), nil
}

// minKeepLimit has room for something of everything.
const minKeepLimit = 1 << 20

// newRecording is one of an environment that somebody asked for at a time. It is nil if there are to be no bundles.
func newRecording(e *Env, asked time.Time) *recording {
	if os.Getenv("NSTEST_KEEP") == "" && !showing() {
		return nil
	}
	return &recording{env: e, asked: asked, opened: time.Since(asked), begun: make(chan struct{}), told: map[string]bool{}}
}

// recorder is it for a plan: a nil *recording is no nil Recorder.
func (r *recording) recorder() twin.Recorder {
	if r == nil {
		return nil
	}
	return r
}

// Begin is part of twin.Recorder. Where there can be no bundles no test passes: who asks for them is to have them.
func (r *recording) Begin(m record.Manifest) error {
	dir, err := keepDir()
	limits, lerr := keepLimits()
	page, perr := thePage()
	if err = errors.Join(err, lerr, perr); err != nil || dir == "" && page == nil {
		return r.without(err)
	}
	if dir == record.Inside {
		m.Of, _ = filepath.Rel(filepath.Join(record.FilesDir, record.Inside, "a bundle"), ".") // which is there
	}
	if dir == "" {
		dir, r.fleeting = page.scratch, true
	}
	m.Began, m.Opened, m.Machine = time.Now(), r.opened, scribe.Machine(r.env.Rootless())
	m.Attempt = max(m.Attempt, 1)
	b, late := scribe.Begin(dir, m, limits), unwritten
	if page != nil { // which wants to show it now
		late = 0
		err := b.Make()
		if err != nil && r.fleeting { // there is no room in memory
			return r.without(nil)
		}
		if err != nil {
			return r.without(noBundle(err))
		}
	}
	shown := page.begin(m, b.Path(), r.fleeting)
	r.mu.Lock()
	r.bundle, r.shown = b, shown
	r.mu.Unlock()
	go func() {
		defer close(r.begun)
		if err := r.attach(b); err != nil {
			b.Omit("What the environment does, and packets: %v.", err)
		}
	}()
	r.later = time.AfterFunc(late, func() { _ = r.write(b) }) // the end says what was wrong
	return nil
}

// unwritten is for how long a test runs before there is anything of its bundle in a file, unless it fails. Of most tests there
// never is: to make those files and to remove them costs more than what is in them.
const unwritten = 250 * time.Millisecond

func noBundle(err error) error {
	return fmt.Errorf("nstest: begin a bundle, for NSTEST_KEEP: %w", err)
}

func (r *recording) without(err error) error {
	close(r.begun)
	return err
}

// recordTimeout bounds what is asked of a keeper for a bundle, which bounds that itself by less.
const recordTimeout = 15 * time.Second

// attach has the keeper record the environment, in memory.
func (r *recording) attach(b *scribe.Bundle) error {
	p := wire.RecordParams{Began: r.asked, Limit: b.Limits().Events}
	if redaction().WithPackets() {
		p.Packets, p.Snap = b.Limits().Packets, packetSnap
	}
	ctx, cancel := context.WithTimeout(context.Background(), recordTimeout)
	defer cancel()
	_, err := r.env.callFiles(ctx, wire.MethodRecord, p, nil)
	r.packets, r.recorded = p.Packets > 0, err == nil
	return err
}

// write makes the bundle's files, unless there are some, and has the keeper record the environment there.
func (r *recording) write(b *scribe.Bundle) error {
	<-r.begun
	r.writing.Lock()
	defer r.writing.Unlock()
	if r.written {
		return r.writeErr
	}
	r.written = true
	if err := b.Make(); err != nil {
		r.writeErr = noBundle(err)
		if r.recorded {
			_ = r.recordTo() // what cannot be written needs no memory until the environment ends
		}
		return r.writeErr
	}
	if r.recorded {
		if err := r.handOver(b); err != nil {
			b.Omit("What the environment does, and packets: %v.", err)
		}
	}
	return nil
}

// unwrite has write make nothing any more, and says why it could not make what it should.
func (r *recording) unwrite() error {
	r.later.Stop()
	r.writing.Lock()
	defer r.writing.Unlock()
	r.written = true
	return r.writeErr
}

// handOver gives the keeper the files that there can be. What has none is not recorded any more.
func (r *recording) handOver(b *scribe.Bundle) error {
	events, err := b.Events()
	if err != nil {
		return errors.Join(err, r.recordTo())
	}
	files := []*os.File{events}
	defer func() { _ = closeAll(files) }()
	if r.packets {
		rings, err := b.Rings()
		if err != nil {
			b.Omit("Packets: %v.", err)
		}
		files = append(files, rings...)
	}
	return r.recordTo(files...)
}

// recordTo has the keeper write into files from now on.
func (r *recording) recordTo(files ...*os.File) error {
	ctx, cancel := context.WithTimeout(context.Background(), recordTimeout)
	defer cancel()
	_, err := r.env.callFiles(ctx, wire.MethodRecordTo, nil, nil, files...)
	return err
}

// Ready is part of twin.Recorder.
func (r *recording) Ready() { <-r.begun }

// current is the bundle, while one is written.
func (r *recording) current() *scribe.Bundle {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.complete {
		return nil
	}
	return r.bundle
}

// Event is part of twin.Recorder.
func (r *recording) Event(e record.Event) {
	if b := r.current(); b != nil {
		b.Event(e)
	}
	if e.Kind == record.KindNode && e.State == "skipped" {
		r.mu.Lock()
		r.skipped = true
		r.mu.Unlock()
	}
}

// Failed is part of twin.Recorder.
func (r *recording) Failed(test string, f record.Failure, goroutines func() []byte) *twin.Notice {
	b := r.current()
	if b == nil || r.write(b) != nil {
		return nil
	}
	if f.Time.IsZero() {
		f.Time = time.Now()
	}
	b.Fail(test, f)
	b.Event(record.Event{Time: f.Time, Kind: record.KindFailure, Text: f.Message, Location: f.Location, State: f.State})
	if goroutines != nil && !b.Has(record.GoroutinesFile) {
		r.Goroutines(goroutines())
	}
	r.takeState(b)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fleeting || r.told[test] {
		return nil
	}
	r.told[test] = true
	return &twin.Notice{Path: b.Place(), Last: b.LastLines(redaction().Text), Attachments: b.Attachments()}
}

// Place is part of twin.Recorder.
func (r *recording) Place() string {
	if b := r.current(); b != nil {
		return b.Place()
	}
	return ""
}

// place is where the bundle is when all is over, for whoever looks at what is said of it: one in a hermetic test's environment is
// among the files of the test's own.
func (r *recording) place(path string) string {
	if self := twin.This(); self != nil && self.Bundle() != "" && filepath.Dir(path) == record.Inside {
		return filepath.Join(self.Bundle(), record.FilesDir, path)
	}
	return path
}

// Move is part of twin.Recorder.
func (r *recording) Move(dir string) string {
	b := r.current()
	if b == nil || r.fleeting {
		return ""
	}
	if err := b.Move(dir); err != nil {
		b.Omit("The bundle stays where it is: %v.", err)
	}
	return b.Place()
}

// Goroutines is part of twin.Recorder.
func (r *recording) Goroutines(dump []byte) {
	b := r.current()
	if b == nil || len(dump) == 0 || !b.Failed() || b.Has(record.GoroutinesFile) {
		return
	}
	if most := int(b.Limits().File); len(dump) > most {
		dump = dump[:most]
		b.Omit("The end of %s: it has %d bytes at most.", record.GoroutinesFile, most)
	}
	if err := b.WriteFile(record.GoroutinesFile, dump); err != nil {
		b.Omit("%s: %v.", record.GoroutinesFile, err)
	}
}

// takeState has the keeper say what the environment is like, the first time.
func (r *recording) takeState(b *scribe.Bundle) {
	r.state.Do(func() {
		if err := r.writeState(b); err != nil {
			b.Omit("%s: %v.", record.StateFile, err)
		}
		if err := r.writeTopology(b); err != nil {
			b.Omit("%s: %v.", record.TopologyFile, err)
		}
	})
}

func (r *recording) writeState(b *scribe.Bundle) error {
	f, err := b.Create(record.StateFile)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), recordTimeout)
	defer cancel()
	_, err = r.env.callFiles(ctx, wire.MethodState, nil, nil, f)
	if info, serr := f.Stat(); serr == nil && info.Size() > b.Limits().File && err == nil {
		err = fmt.Errorf("it has %d bytes, and %d may be", info.Size(), b.Limits().File)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(filepath.Join(b.Path(), record.StateFile)))
	}
	return errors.Join(err, f.Close())
}

func (r *recording) writeTopology(b *scribe.Bundle) error {
	t, err := r.env.Topology()
	if err != nil {
		return err
	}
	var names []string
	for _, h := range t.Hosts {
		names = append(names, h.Name)
	}
	b.Hosts(names)
	data, err := json.MarshalIndent(t, "", "\t")
	if err != nil {
		return err
	}
	return errors.Join(b.WriteFile(record.TopologyFile, data), b.WriteFile(record.DrawingFile, []byte(t.SVG())))
}

// collect takes what is gone with the environment, if something has failed in it: failed says what, or is "".
func (r *recording) collect(failed string) error {
	if r == nil || failed == "" {
		return nil
	}
	b := r.current()
	if b == nil || r.write(b) != nil {
		return nil
	}
	r.mu.Lock()
	r.died = failed
	r.mu.Unlock()
	r.takeState(b)
	r.keepFiles(b)
	return nil
}

// End is part of twin.Recorder.
func (r *recording) End(err error) error {
	if r == nil {
		return nil
	}
	b := r.current()
	if b == nil {
		return nil
	}
	<-r.begun
	werr := r.unwrite()
	r.mu.Lock()
	r.complete = true
	died, told := r.died, len(r.told) > 0 || r.fleeting
	state := "passed"
	if r.skipped {
		state = "skipped"
	}
	r.mu.Unlock()
	if werr != nil {
		return werr
	}
	if !b.Failed() {
		if died == "" {
			r.shown.end(b, state)
			return b.Remove()
		}
		message := "the process of this test has ended badly: " + died
		if err != nil {
			message = err.Error()
		}
		b.Fail(b.Test(), record.Failure{Time: time.Now(), Message: message, State: "died"})
	}
	err = b.Complete(redaction())
	r.shown.end(b, "")
	if err != nil && !r.fleeting {
		return fmt.Errorf("complete %s: %w", b.Path(), err)
	}
	if !told {
		fmt.Fprintf(os.Stderr, "nstest: what is known of %q is in %s\n", b.Test(), b.Path())
	}
	return nil
}
