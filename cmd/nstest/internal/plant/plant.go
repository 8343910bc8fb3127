// Package plant makes bundles with known contents, for tests of those who read them.
package plant

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/hermetic-go/nstest/nstest/bundle"
)

// Began is when everything that is planted begins.
var Began = time.Date(2026, 3, 14, 9, 26, 53, 589793238, time.UTC)

// A Bundle is one that is being made.
type Bundle struct {
	Dir      string
	Manifest bundle.Manifest
	State    *bundle.State
	Events   []bundle.Event
	Wire     *Wire // nil for no capture
}

// New is a bundle of a test that has failed after two seconds, and nothing else. It will be in a directory, which exists.
func New(dir string) *Bundle {
	failed := Began.Add(2 * time.Second)
	return &Bundle{Dir: dir, Manifest: bundle.Manifest{
		Version: bundle.Version, Test: "Shop fails over when the database dies", Suite: "Shop", Package: "/src/shop", Attempt: 1, State: "failed",
		Began: Began, Ended: Began.Add(2500 * time.Millisecond), Opened: 4200 * time.Microsecond, Seed: 1234,
		Repeat: "cd /src/shop && go test -count=1 -run='^TestShop$' . -ginkgo.focus='fails over'",
		Failures: []bundle.Failure{{Time: failed, Node: "It", State: "failed", Location: "/src/shop/shop_test.go:42",
			Message: "Expected\n    <int>: 503\nto equal\n    <int>: 200", Stack: "shop_test.glob..func1.2()\n\t/src/shop/shop_test.go:42 +0x1d"}},
		Machine: bundle.Machine{Kernel: "6.18.44", Arch: "amd64", CPUs: 2, Mode: "root", Go: "go1.26.0"},
		Hosts:   []string{"self", "web", "api", "db"},
	}}
}

// Event adds one at a time from the beginning.
func (b *Bundle) Event(at time.Duration, e bundle.Event) {
	e.Time = Began.Add(at)
	b.Events = append(b.Events, e)
}

// Write makes the files.
func (b *Bundle) Write() error {
	errs := []error{b.JSON(bundle.ManifestFile, b.Manifest)}
	if b.State != nil {
		errs = append(errs, b.JSON(bundle.StateFile, b.State))
	}
	var lines []byte
	for _, e := range b.Events {
		line, err := json.Marshal(e)
		errs = append(errs, err)
		lines = append(append(lines, line...), '\n')
	}
	if len(lines) > 0 {
		errs = append(errs, b.File(bundle.EventsFile, lines))
	}
	if b.Wire != nil {
		capture, err := b.Wire.Capture()
		errs = append(errs, err, b.File(bundle.CaptureFile, capture))
	}
	return errors.Join(errs...)
}

// JSON adds a file.
func (b *Bundle) JSON(path string, v any) error {
	content, err := json.Marshal(v)
	return errors.Join(err, b.File(path, content))
}

// File adds a file.
func (b *Bundle) File(path string, content []byte) error {
	path = filepath.Join(b.Dir, path)
	return errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, 0o644))
}
