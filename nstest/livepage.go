package nstest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/hermetic-go/nstest/nstest/internal/live"
	"github.com/hermetic-go/nstest/nstest/internal/record"
	"github.com/hermetic-go/nstest/nstest/internal/scribe"
	"github.com/hermetic-go/nstest/nstest/internal/twin"
	"github.com/hermetic-go/nstest/nstest/internal/wire"
)

// A livePage is what NSTEST_UI asks for: the page on which this program's tests are shown while they run.
type livePage struct {
	*live.Page
	scratch string   // the path of a directory in memory for bundles that nobody keeps
	dir     *os.File // it, open: it is there as long as that
}

// scratchSize is how many bytes of bundles a test's program has in memory for the page at most.
const scratchSize = 256 << 20

// showing reports whether tests of this process are to be shown. Environments that a hermetic test makes itself are not.
func showing() bool { return os.Getenv("NSTEST_UI") != "" && twin.This() == nil }

// thePage is the page, nil if nobody wants one. An environment is there when it is asked for. Where there can be no page no test
// passes: the output of tests that pass is what "go test" keeps to itself.
func thePage() (*livePage, error) {
	if !showing() {
		return nil, nil
	}
	return joinPage()
}

var joinPage = sync.OnceValues(func() (*livePage, error) {
	address := os.Getenv("NSTEST_UI")
	addr, err := live.Address(address)
	if err != nil {
		return nil, fmt.Errorf("nstest: NSTEST_UI=%s: %w\nWhat to do: say where the page is to be, such as 127.0.0.1:8080, or leave NSTEST_UI away", address, err)
	}
	p := &livePage{}
	if p.dir, err = scratch(); err == nil {
		p.scratch = "/proc/self/fd/" + strconv.Itoa(int(p.dir.Fd()))
		p.Page, err = live.Join(addr, p.dir)
	}
	if err != nil {
		return nil, fmt.Errorf("nstest: the page for NSTEST_UI=%s: %w", address, err)
	}
	return p, nil
})

// scratch is a directory in memory that the keeper has made.
func scratch() (*os.File, error) {
	keepers.Lock()
	k := keepers.current
	keepers.Unlock()
	if k == nil {
		return nil, ErrClosed
	}
	ctx, cancel := context.WithTimeout(context.Background(), recordTimeout)
	defer cancel()
	files, err := k.Call(ctx, wire.MethodScratch, wire.ScratchParams{Size: scratchSize}, nil)
	if err != nil {
		return nil, err
	}
	return files[0], nil
}

// shown is a test on the page. A nil one is on none.
type shown struct {
	page     *livePage
	notice   live.Notice
	fleeting bool
}

// begin shows a test that begins. A nil page shows none.
func (p *livePage) begin(m record.Manifest, path string, fleeting bool) *shown {
	if p == nil {
		return nil
	}
	redact := redaction()
	s := &shown{page: p, fleeting: fleeting, notice: live.Notice{
		Test: m.Test, Suite: m.Suite, Package: m.Package, Attempt: max(m.Attempt, 1), Began: m.Began, Redacted: redact.Text != nil, State: "running",
	}}
	if text := redact.Text; text != nil {
		for _, t := range []*string{&s.notice.Test, &s.notice.Suite, &s.notice.Package} {
			*t = text(*t)
		}
	}
	s.place(path)
	s.notice.Number = p.Tell(s.notice)
	return s
}

// place says where the bundle is.
func (s *shown) place(path string) {
	if s.fleeting {
		path = filepath.Base(path)
	}
	s.notice.Path = path
}

// end shows how it has ended: with a state, or, if that is "", as the bundle says, which is complete, and redacted if it is to be.
func (s *shown) end(b *scribe.Bundle, state string) {
	if s == nil {
		return
	}
	s.place(b.Path())
	s.notice.State = state
	if state == "" {
		m := b.Manifest()
		s.notice.Test, s.notice.State = m.Test, m.State
		if len(m.Failures) > 0 {
			s.notice.Message = m.Failures[0].Message
		}
	}
	s.page.Tell(s.notice)
}
