package twin

import (
	"io"
	"testing"
)

// Who waits for what a twin has printed before does not wait for what it prints next.
func TestFlushOfOutputWithoutEnd(t *testing.T) {
	o, err := newOutput(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	printed, ended := make(chan struct{}), make(chan struct{})
	theirs := o.theirs[0]
	go func() {
		defer close(ended)
		for first := true; ; first = false {
			if _, err := theirs.Write(make([]byte, 4096)); err != nil {
				return
			}
			if first {
				close(printed)
			}
		}
	}()
	<-printed
	for range 100 { // or this never ends
		o.Flush()
	}
	if err := o.close(); err != nil {
		t.Error(err)
	}
	<-ended
}
