package keeper

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/names"
	"github.com/hermetic-go/nstest/nstest/internal/record"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
	"golang.org/x/sys/unix"
)

// A recorder writes down what happens in an environment, a line an event, in a file to which the test's own program
// appends too. It keeps nobody waiting: what the file cannot take is left out, and the record says so.
type recorder struct {
	sink  *sink
	limit int64
	oom   oomCounter
	ring  *capture       // of packets; nil without one
	exits sync.WaitGroup // those that wait for a process's end, to write it down
	given atomic.Bool    // it has its files, or will have them at once

	mu     sync.Mutex // guards what follows; the last one that anybody takes, but that of the sink
	line   bytes.Buffer
	size   int64 // of the events
	full   map[class]*gap
	slow   gap // in the file, which was not ready for them
	closed bool
	pumps  map[*pump]struct{} // that have not ended
}

// A class is those events that have their share of the record's limit together.
type class bool

// What processes and the name server are made to say may be without end, and would leave no room for what happened.
const (
	happenings class = false
	talk       class = true
)

func (c class) String() string {
	if c == talk {
		return "lines of output and DNS queries"
	}
	return "events"
}

func classOf(k record.Kind) class { return class(k == record.KindLog || k == record.KindQuery) }

// A gap is events that were left out.
type gap struct{ count int }

const (
	minRecord = 16 << 10 // bytes
	minRing   = 64 << 10
	// notes is what is kept of the limit for saying what is missing.
	notes = 2 << 10
	// later is when an event is in the file.
	later = 25 * time.Millisecond
)

// share is up to which size of the record an event of a class is taken.
func (r *recorder) share(c class) int64 {
	if c == talk {
		return (r.limit - notes) / 4 * 3
	}
	return r.limit - notes
}

// record writes an event down, if the environment is recorded. Its time is now unless it has one. Whoever holds any mutex of the
// environment may call it.
func (e *environment) record(event record.Event) {
	if r := e.recorder.Load(); r != nil {
		r.add(event)
	}
}

// note is record for what happened in words.
func (e *environment) note(format string, args ...any) {
	if r := e.recorder.Load(); r != nil {
		r.add(record.Event{Kind: record.KindNote, Text: fmt.Sprintf(format, args...)})
	}
}

// maxEventText bounds the text of an event, in bytes.
const maxEventText = 64 << 10

// add writes an event down, as one of its kind's class.
func (r *recorder) add(event record.Event) { r.addAs(classOf(event.Kind), event) }

// addAs is add for an event that has its room with those of another class, as the last words have of whose talk was too much.
func (r *recorder) addAs(c class, event record.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	event.Text = event.Text[:min(len(event.Text), maxEventText)]
	if g := r.full[c]; g != nil { // what follows would fill the room that a longer one had not
		g.count++
		return
	}
	line, err := r.encode(&event)
	switch {
	case err != nil:
		r.slow.count++
		return
	case r.size+int64(len(line)) > r.share(c):
		r.full[c] = &gap{1}
		r.say("the record is full: %s from here on are left out", c)
		return
	}
	if r.slow.count > 0 && r.say("%d events are left out here, which the file was too slow for", r.slow.count) {
		r.slow.count = 0
		if line, err = r.encode(&event); err != nil {
			return
		}
	}
	if !r.write(line) {
		r.slow.count++
	}
}

// skipTalk reports whether the record has no room for so many lines of output, or any others, and counts them then.
func (r *recorder) skipTalk(n int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.full[talk]
	if g != nil {
		g.count += n
	}
	return g != nil || r.closed
}

// encode is an event's line, which is good until the next one. The mutex is held.
func (r *recorder) encode(event *record.Event) ([]byte, error) {
	if event.Time.IsZero() {
		event.Time = time.Now()
	}
	r.line.Reset()
	enc := json.NewEncoder(&r.line)
	enc.SetEscapeHTML(false)
	err := enc.Encode(event)
	return r.line.Bytes(), err
}

// write reports whether the file takes a line. The mutex is held.
func (r *recorder) write(line []byte) bool {
	n, err := r.sink.Write(line)
	r.size += int64(n)
	return err == nil
}

// say writes a note within what is kept for that. The mutex is held.
func (r *recorder) say(format string, args ...any) bool {
	line, err := r.encode(&record.Event{Kind: record.KindNote, Text: fmt.Sprintf(format, args...)})
	return err == nil && r.size+int64(len(line)) <= r.limit && r.write(line)
}

// end writes what is left out, and closes the file.
func (r *recorder) end() error {
	r.mu.Lock()
	for _, c := range []class{happenings, talk} {
		if g := r.full[c]; g != nil {
			r.say("%d %s were left out, since the record was full", g.count, c)
		}
	}
	if r.slow.count > 0 {
		r.say("%d events were left out, which the file was too slow for", r.slow.count)
	}
	r.closed = true
	r.mu.Unlock()
	return r.sink.close()
}

// flushRecord puts what has happened so far into the file, for who wants to read it at a moment: unless the file is slow.
func (e *environment) flushRecord(ctx context.Context) {
	if r := e.recorder.Load(); r != nil {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_ = r.sink.flush(ctx) // an error is one of the record, which says so
	}
}

// checkRecord refuses what no record can be made with.
func checkRecord(p wire.RecordParams, packets bool) error {
	switch {
	case p.Limit < minRecord:
		return refuse(unix.EINVAL, "a record of %d bytes: %d are the least", p.Limit, minRecord)
	case packets && (p.Packets < minRing || p.Snap < 0):
		return refuse(unix.EINVAL, "a record of packets of %d bytes, in files of %d: %d are the least", p.Snap, p.Packets, minRing)
	}
	return nil
}

// beginRecord has the environment recorded from now on, in files that it takes over, or without any until recordTo. The record
// begins with what there is.
func (e *environment) beginRecord(ctx context.Context, p wire.RecordParams, files []*os.File) error {
	packets := len(files) > 1 || len(files) == 0 && p.Packets != 0
	err := checkRecord(p, packets)
	if err == nil && len(files) > 0 {
		err = prepareRecordFiles(files)
	}
	var networks []*network
	if err == nil {
		networks, err = e.startRecorder(p, packets)
	}
	if err != nil {
		return errors.Join(err, closeAll(files))
	}
	if r := e.recorder.Load(); len(files) > 0 {
		r.given.Store(true)
		r.put(ctx, files)
	}
	for _, n := range networks {
		e.recordPackets(n)
	}
	return nil
}

// startRecorder returns the networks that are there.
func (e *environment) startRecorder(p wire.RecordParams, packets bool) (_ []*network, err error) {
	r := &recorder{limit: p.Limit, full: map[class]*gap{}, pumps: map[*pump]struct{}{}, sink: newSharedSink(later)}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.closedError(); err != nil {
		return nil, err
	}
	if e.recorder.Load() != nil {
		return nil, refuse(unix.EBUSY, "the environment is recorded already")
	}
	if packets {
		if r.ring, err = newRing(p, e.params.Name); err != nil {
			return nil, err
		}
		e.server.pool.ExpectRecords()
	}
	if r.ring != nil {
		e.audience.join(r.ring, e.faultStates())
	}
	r.oom.begin()
	e.recorder.Store(r)
	e.zone.Watch(e.recordQuery)
	if !p.Began.IsZero() && p.Began.Before(time.Now()) {
		e.record(record.Event{Kind: record.KindNote, Time: p.Began, Text: "the environment was asked for"})
	}
	e.recordAll()
	return e.networks, nil
}

// recordPackets has the record have the packets of a network. That it cannot is no reason for the environment to fail.
func (e *environment) recordPackets(n *network) {
	r := e.recorder.Load()
	if r == nil || r.ring == nil {
		return
	}
	if err := r.ring.ring.watch(e, r.ring, n); err != nil {
		e.note("network %s: %v", n.name, err)
	}
}

// recordAll writes down what is there. The mutex is held.
func (e *environment) recordAll() {
	for _, k := range slices.Sorted(maps.Keys(e.hosts)) {
		h := e.hosts[k]
		if h == nil {
			continue
		}
		e.recordHost(h)
		h.mu.Lock()
		for _, c := range h.cables {
			if c.pulled {
				e.record(linkEvent(h, c, "down"))
			}
		}
		h.mu.Unlock()
	}
	for _, n := range slices.Sorted(maps.Keys(e.faults)) {
		e.record(e.partitionEvent(n, ""))
	}
	for _, n := range slices.Sorted(maps.Keys(e.flaps)) {
		e.record(e.flaps[n].event(""))
	}
	for _, n := range slices.Sorted(maps.Keys(e.procs)) {
		e.recordProcess(n, e.procs[n])
	}
}

func (e *environment) recordHost(h *host) {
	if e.recorder.Load() == nil {
		return
	}
	event := record.Event{Kind: record.KindHost, Host: h.name}
	for _, a := range h.addrs() {
		event.Addrs = append(event.Addrs, a.String())
	}
	e.record(event)
}

// recordLink writes down what happened to a cable.
func (e *environment) recordLink(h *host, c *cable, text string) {
	e.happened(linkEvent(h, c, text))
}

func linkEvent(h *host, c *cable, text string) record.Event {
	return record.Event{Kind: record.KindLink, Host: h.name, Network: c.network.name, Text: text}
}

// plugged is what has been done to a cable that is, or is not, plugged in.
func plugged(up bool) string {
	if up {
		return "up"
	}
	return "down"
}

// healed is the state of a fault that is in force no more.
const healed = "healed"

// recordPartition writes down what becomes of a partition. The mutex is held.
func (e *environment) recordPartition(number int, state string) {
	e.happened(e.partitionEvent(number, state))
}

func (e *environment) partitionEvent(number int, state string) record.Event {
	groups := e.faults[number]
	return record.Event{Kind: record.KindFault, Fault: number, State: state, Hosts: slices.Concat(groups...), Text: partitionText(groups)}
}

func (e *environment) recordFlap(f *flap, state string) { e.happened(f.event(state)) }

func (f *flap) event(state string) record.Event {
	return record.Event{
		Kind: record.KindFault, Fault: f.number, State: state, Hosts: []string{f.host.name}, Network: f.cable.network.name,
		Text: "flap of " + f.host.name + " on " + f.cable.network.name,
	}
}

// recordQuery writes down what a host has asked for.
func (e *environment) recordQuery(q names.Asked) {
	event := record.Event{Kind: record.KindQuery, Time: q.Time, Host: q.Host, Text: q.Type + " " + q.Name, State: q.RCode, Took: q.Took}
	if event.State == "" {
		event.State = "lost"
	}
	for _, a := range q.Addrs {
		event.Addrs = append(event.Addrs, a.String())
	}
	e.record(event)
}

// recordProcess writes down that a process was started, and will write down how it ends. The mutex is held.
func (e *environment) recordProcess(number int, p *process) {
	r := e.recorder.Load()
	if r == nil {
		return
	}
	e.record(record.Event{Kind: record.KindStart, Time: p.began, Host: p.host.name, Process: number, PID: p.child.PID, Args: p.args})
	r.recordOutput(number, p)
	r.exits.Go(func() {
		<-p.child.Done()
		x := p.child.Exit()
		if x.Lost && e.isClosed() {
			return // as all are that are there in the end
		}
		drained(p.pumps)
		at := x.At
		if said := time.Unix(0, p.said.Load()); said.After(at) { // it ends after its last words
			at = said
		}
		e.mu.Lock()
		signaled := p.signaled
		e.mu.Unlock()
		e.record(record.Event{
			Kind: record.KindExit, Time: at, Host: p.host.name, Process: number, PID: p.child.PID, State: statusText(x.Status), Took: x.At.Sub(p.began),
			OOM: !signaled && wasKilled(x.Status) && r.oom.killed(),
		})
	})
}

// wasKilled reports whether a process was ended by SIGKILL, or is a shell that tells that of what it has run.
func wasKilled(s unix.WaitStatus) bool {
	return s.Signaled() && s.Signal() == unix.SIGKILL || s.Exited() && s.ExitStatus() == 128+int(unix.SIGKILL)
}

func (e *environment) isClosed() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closed
}

// endRecord completes the files of a record. Nothing happens in the environment any more. What goes wrong with the files is no
// error of the environment's.
func (e *environment) endRecord() {
	r := e.recorder.Load()
	if r == nil {
		return
	}
	e.zone.Watch(nil)
	r.finishOutput()
	r.exits.Wait()
	if r.ring != nil {
		stats, err := e.endRing(r.ring)
		if stats.Lost > 0 {
			e.note("%d packets are not recorded, since they came faster than they could be written", stats.Lost)
		}
		if err != nil {
			e.note("the record of packets is not whole: %v", err)
		}
	}
	if err := r.end(); err != nil {
		fmt.Fprintf(os.Stderr, "keeper: record of environment %s: %v\n", e.name(), err)
	}
}
