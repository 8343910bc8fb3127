package nstest

import (
	"sync/atomic"

	"github.com/hermetic-go/nstest/nstest/internal/scribe"
)

// A Redaction says what must not be in bundles, which NSTEST_KEEP asks for.
type Redaction struct {
	// Text is applied to every text of a bundle when it is completed, and its result is what the bundle has: the lines
	// that processes have printed, their arguments, messages of failures, steps, the dump of goroutines, and what else is
	// in events, state, manifest and topology. A line is a text, so a secret that is printed on several is several. It is
	// called from several goroutines.
	Text func(string) string

	// Captures keeps the packets, and Files what the test has left in its directories and core dumps. Neither can be
	// redacted; so with a Text they are left out, unless they are asked for here.
	Captures, Files bool
}

// Redact has all bundles from now on redacted; TestMain is the place to call it. The zero Redaction ends that.
//
// A bundle is redacted when it is completed. One of a test that still runs, or of a program that was killed, is not: its
// manifest has the state "running". The page that NSTEST_UI asks for shows of a test what is redacted: its name at first, and the rest when
// it is complete. Without a Text it shows everything as it happens.
func Redact(r Redaction) {
	theRedaction.Store(&scribe.Redaction{Text: r.Text, Packets: r.Captures, Files: r.Files})
}

var theRedaction atomic.Pointer[scribe.Redaction]

func redaction() scribe.Redaction {
	if r := theRedaction.Load(); r != nil {
		return *r
	}
	return scribe.Redaction{}
}
