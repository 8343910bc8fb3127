package specs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/onsi/ginkgo/v2"
)

// scratch is the directory for temporary files while a suite is set up in its own process. Environments see it at its
// own path, unlike the rest of /tmp, so that all specs can run a program that was built there once. What the suite
// leaves in it stays, as it would in /tmp.
type scratch struct {
	mu  sync.Mutex
	dir string // "" if nothing is in it
}

// begin makes it the directory for temporary files, of child processes too. End makes the one before that again.
func (s *scratch) begin() (end func() error, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir == "" {
		if s.dir, err = os.MkdirTemp("", "nstest-suite-"); err != nil {
			return nil, err
		}
	}
	before, set := os.LookupEnv("TMPDIR")
	return func() error {
		var err error
		if set {
			err = os.Setenv("TMPDIR", before)
		} else {
			err = os.Unsetenv("TMPDIR")
		}
		return errors.Join(err, s.tidy())
	}, os.Setenv("TMPDIR", s.dir)
}

// tidy removes it if nothing is in it.
func (s *scratch) tidy() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir == "" {
		return nil
	}
	left, err := os.ReadDir(s.dir)
	if err == nil && len(left) > 0 {
		return nil
	}
	if err == nil {
		err = os.Remove(s.dir)
	}
	if err == nil || errors.Is(err, os.ErrNotExist) { // another of Ginkgo's processes may have been first
		s.dir, err = "", nil
	}
	return err
}

// take makes it the directory that was handed out, if one was. One that the node has begun just now gives way to it.
func (s *scratch) take(dir string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	begun := s.dir
	if dir == "" || dir == begun {
		return nil
	}
	s.dir = dir
	if begun == "" {
		return nil
	}
	return errors.Join(os.Setenv("TMPDIR", dir), os.Remove(begun))
}

// name is the directory, "" if nothing is in it.
func (s *scratch) name() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if left, err := os.ReadDir(s.dir); err != nil || len(left) == 0 {
		return ""
	}
	return s.dir
}

// visible are the paths for environments to show.
func (s *scratch) visible() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir == "" {
		return nil
	}
	return []string{s.dir}
}

// setUpHere calls body, which sets the suite up in this process.
func (o *original) setUpHere(body func()) {
	end, err := o.scratch.begin()
	if err != nil {
		ginkgo.Fail(fmt.Sprintf("nstest: make a directory for the suite's temporary files: %v", err))
	}
	defer func() {
		if err := end(); err != nil {
			ginkgo.Fail(fmt.Sprintf("nstest: tidy the directory for the suite's temporary files: %v", err))
		}
	}()
	body()
}

// handed is what SynchronizedBeforeSuite's first function hands to the second one in each of Ginkgo's processes: the
// user's bytes, which may name what is in the scratch directory, and that directory.
type handed struct {
	Scratch string
	Data    []byte
}

// handOut is a first function that does so. One that returns nothing cannot tell anybody what it has made.
func handOut(body any) any {
	switch body := body.(type) {
	case func() []byte:
		return func() []byte {
			ginkgo.GinkgoHelper()
			return theOriginal.pack(body())
		}
	case func(ginkgo.SpecContext) []byte:
		return func(ctx ginkgo.SpecContext) []byte {
			ginkgo.GinkgoHelper()
			return theOriginal.pack(body(ctx))
		}
	case func(context.Context) []byte:
		return func(ctx context.Context) []byte {
			ginkgo.GinkgoHelper()
			return theOriginal.pack(body(ctx))
		}
	}
	return body
}

// takeIn is a second function that gets the user's bytes.
func takeIn(body any) any {
	switch body := body.(type) {
	case func([]byte):
		return func(data []byte) {
			ginkgo.GinkgoHelper()
			body(theOriginal.unpack(data))
		}
	case func(ginkgo.SpecContext, []byte):
		return func(ctx ginkgo.SpecContext, data []byte) {
			ginkgo.GinkgoHelper()
			body(ctx, theOriginal.unpack(data))
		}
	case func(context.Context, []byte):
		return func(ctx context.Context, data []byte) {
			ginkgo.GinkgoHelper()
			body(ctx, theOriginal.unpack(data))
		}
	}
	return body
}

func (o *original) pack(data []byte) []byte {
	if o == nil {
		return data
	}
	packed, _ := json.Marshal(handed{o.scratch.name(), data}) // neither can fail
	return packed
}

func (o *original) unpack(packed []byte) []byte {
	if o == nil || len(packed) == 0 { // the first function returns none
		return packed
	}
	var h handed
	if err := json.Unmarshal(packed, &h); err != nil {
		ginkgo.Fail(fmt.Sprintf("nstest: take in what SynchronizedBeforeSuite has handed out: %v", err))
	}
	if err := o.scratch.take(h.Scratch); err != nil {
		ginkgo.Fail(fmt.Sprintf("nstest: take over the directory for the suite's temporary files: %v", err))
	}
	return h.Data
}
