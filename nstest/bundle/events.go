package bundle

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"

	"github.com/hermetic-go/nstest/nstest/internal/record"
)

// maxLine is how long a line of events.jsonl can be: an event has a line of a log, the arguments of a process, or the message
// of a failure.
const maxLine = 4 << 20

// ErrLine is the error of a line of events.jsonl that is no event, or too long for one.
var ErrLine = errors.New("no event")

// Events reads what has happened, in the order in which it was written, which is nearly that of Event.Time: two processes
// write. A line that is no event is an error that is ErrLine and says which; reading may go on after it. After any other error
// nothing follows. A last line that was not written to its end, because everything was killed or the test still runs, is left
// out without an error, and no events are there if none were recorded.
func (b *Bundle) Events() iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		f, err := b.File(record.EventsFile)
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		if err != nil {
			yield(Event{}, err)
			return
		}
		defer f.Close()
		readEvents(f, yield)
	}
}

func readEvents(r io.Reader, yield func(Event, error) bool) {
	lines := bufio.NewReaderSize(r, 1<<16)
	for number := 1; ; number++ {
		line, length, err := readLine(lines)
		if err == io.EOF { // a line that is cut has no end
			return
		}
		var e Event
		switch {
		case err != nil:
			yield(e, fmt.Errorf("read %s: %w", record.EventsFile, err))
			return
		case length > maxLine:
			err = fmt.Errorf("%s line %d: %w: it has %d bytes, more than %d", record.EventsFile, number, ErrLine, length, maxLine)
		default:
			if err = json.Unmarshal(line, &e); err != nil {
				e, err = Event{}, fmt.Errorf("%s line %d: %w: %w", record.EventsFile, number, ErrLine, err)
			}
		}
		if !yield(e, err) {
			return
		}
	}
}

// readLine reads a line, of which it returns maxLine bytes at most, and how long it is. The error is io.EOF where the last
// line has no end.
func readLine(r *bufio.Reader) (line []byte, length int64, err error) {
	for {
		part, err := r.ReadSlice('\n')
		length += int64(len(part))
		if room := maxLine - len(line); room > 0 {
			line = append(line, part[:min(len(part), room)]...)
		}
		if err != bufio.ErrBufferFull {
			return line, length, err
		}
	}
}
