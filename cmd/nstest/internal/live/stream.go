package live

import (
	"fmt"
	"net/http"
	"time"
)

// A stream is server-sent events for a browser.
type stream struct {
	w       http.ResponseWriter
	r       *http.Request
	control *http.ResponseController
	hub     *hub
	last    time.Time // when something was sent
}

const (
	slow  = 20 * time.Second       // a browser that takes longer for an event is gone
	often = 100 * time.Millisecond // between events
	pulse = 15 * time.Second       // between signs of life
)

func (s *Server) stream(w http.ResponseWriter, r *http.Request) *stream {
	s.hub.watching.Add(1)
	w.Header().Set("Content-Type", "text/event-stream")
	out := &stream{w: w, r: r, control: http.NewResponseController(w), hub: &s.hub}
	_ = out.control.Flush() // that it is there, before there is anything to send; or the browser has gone
	return out
}

func (s *stream) close() { s.hub.watching.Add(-1) }

// send sends an event. It reports whether the browser is there.
func (s *stream) send(name string, data []byte) bool {
	s.last = time.Now()
	return s.write("event: %s\ndata: %s\n\n", name, data)
}

func (s *stream) write(format string, args ...any) bool {
	if s.control.SetWriteDeadline(time.Now().Add(slow)) != nil {
		return false
	}
	if _, err := fmt.Fprintf(s.w, format, args...); err != nil {
		return false
	}
	return s.control.Flush() == nil
}

// wait waits for something new, which is sent together with what comes just after it. It reports whether the browser is there.
func (s *stream) wait(more <-chan struct{}) bool {
	timer := time.NewTimer(pulse)
	defer timer.Stop()
	for waiting := true; waiting; {
		select {
		case <-s.r.Context().Done():
			return false
		case <-more:
			waiting = false
		case <-timer.C:
			if !s.write(": still here\n\n") {
				return false
			}
			timer.Reset(pulse)
		}
	}
	if rest := often - time.Since(s.last); rest > 0 {
		timer.Reset(rest)
		select {
		case <-s.r.Context().Done():
			return false
		case <-timer.C:
		}
	}
	return true
}
