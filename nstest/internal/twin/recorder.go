package twin

import (
	"runtime"
	"strings"

	"github.com/hermetic-go/nstest/nstest/internal/record"
)

// A Recorder makes a bundle of what a twin does. Whoever converses with the twin tells it what happens; there is none if
// nobody wants bundles. Its methods may be called from any goroutine.
type Recorder interface {
	// Begin begins a bundle, whose manifest has what is said here of the test. It must be called before the twin gets its
	// job, and the environment is recorded from when Ready returns.
	Begin(record.Manifest) error

	// Ready waits until the environment is recorded.
	Ready()

	// Event writes an event.
	Event(record.Event)

	// Failed notes a failure of this test, which is the bundle's or one of its tests. At the first one it takes the state
	// of the environment, before it returns: so it is called while the twin waits, before anything is cleaned up.
	// goroutines, which may be nil, says where those of the twin are. It returns what there is to tell of the bundle,
	// once for each test, or nil.
	Failed(test string, f record.Failure, goroutines func() []byte) *Notice

	// Place is where the bundle is, "" if there is none.
	Place() string

	// Move moves the bundle below this directory, and returns where it is then.
	Move(dir string) (path string)

	// Goroutines says where those of the twin are, if nobody has said so yet and there are any.
	Goroutines(dump []byte)

	// End completes the bundle, or removes it if nothing has failed. It is called last, when the environment has ended;
	// bad is how the twin has ended, if that was bad and nobody has called Failed.
	End(bad error) error
}

// A Notice is what is said of a bundle with a failure.
type Notice struct {
	Path string // its directory
	Last string // what processes have printed last, for people; "" for nothing

	Attachments []string // those of its files that a page about the test may show
}

// Fail notes a failure of this test in the twin, which waits before it cleans anything up: see Recorder.Failed.
func (t *Twin) Fail(test string, f record.Failure, goroutines func() []byte) *Notice {
	t.Failed()
	if at := strings.Index(f.Message, "\ngoroutine "); at >= 0 && f.Stack == "" { // the last words of a program in Go
		f.Message, f.Stack = f.Message[:at], f.Message[at+1:]
	}
	if t.Recorder == nil {
		return nil
	}
	return t.Recorder.Failed(test, f, goroutines)
}

// Record writes an event, if there is to be a bundle.
func (t *Twin) Record(e record.Event) {
	if t.Recorder != nil {
		t.Recorder.Event(e)
	}
}

// Place is where the bundle is, "" if there is none.
func (t *Twin) Place() string {
	if t.Recorder == nil {
		return ""
	}
	return t.Recorder.Place()
}

// EndRecord completes the bundle, or removes it; the twin has ended.
func (t *Twin) EndRecord(bad error) error {
	if t.Recorder == nil {
		return nil
	}
	t.Recorder.Goroutines(t.Output.Goroutines())
	return t.Recorder.End(bad)
}

// Stacks are where the goroutines of this process are.
func Stacks() []byte {
	buffer := make([]byte, 4<<20)
	return buffer[:runtime.Stack(buffer, true)]
}
