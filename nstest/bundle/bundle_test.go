package bundle_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"github.com/hermetic-go/nstest/nstest/bundle"
)

const manifest = `{"version":1,"test":"works","attempt":1,"state":"failed","began":"2026-03-14T09:26:53Z","repeat":"go test","machine":{"kernel":"6.18","arch":"amd64","cpus":2,"mode":"root","go":"go1.26"}}`

// directory makes a bundle of files.
func directory(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func open(t *testing.T, path string) *bundle.Bundle {
	t.Helper()
	b, err := bundle.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// events are the texts of a bundle's events, and its errors.
func events(b *bundle.Bundle) (texts []string, errs []error) {
	for e, err := range b.Events() {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		texts = append(texts, e.Text)
	}
	return texts, errs
}

func TestDirectory(t *testing.T) {
	b := open(t, directory(t, map[string]string{
		bundle.ManifestFile:  manifest,
		bundle.EventsFile:    `{"time":"2026-03-14T09:26:54Z","kind":"log","host":"web","text":"hello"}` + "\n",
		bundle.StateFile:     `{"time":"2026-03-14T09:26:55Z","hosts":[{"name":"web"}]}`,
		bundle.CaptureFile:   "packets",
		"logs/web/1-cat.log": "hello\n",
	}))
	if m := b.Manifest(); m.Test != "works" || m.State != "failed" || m.Machine.CPUs != 2 {
		t.Errorf("manifest %+v", m)
	}
	for e, err := range b.Events() {
		if err != nil || e.Kind != bundle.KindLog || e.Host != "web" || e.Text != "hello" || !e.Time.Equal(time.Date(2026, 3, 14, 9, 26, 54, 0, time.UTC)) {
			t.Errorf("event %+v, %v", e, err)
		}
	}
	if s, err := b.State(); err != nil || len(s.Hosts) != 1 || s.Hosts[0].Name != "web" {
		t.Errorf("state %+v, %v", s, err)
	}
	c, err := b.Capture()
	if err != nil {
		t.Fatal(err)
	}
	if content, err := io.ReadAll(c); string(content) != "packets" || err != nil {
		t.Errorf("capture %q, %v", content, err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	list, err := b.Files("logs")
	if want := []bundle.File{{Path: "logs/web/1-cat.log", Size: 6}}; err != nil || !slices.Equal(list, want) {
		t.Errorf("logs %v, %v", list, err)
	}
}

// A bundle of which everything was killed amid its beginning.
func TestNothingIsThereYet(t *testing.T) {
	b := open(t, directory(t, map[string]string{bundle.ManifestFile: strings.Replace(manifest, "failed", "running", 1)}))
	if texts, errs := events(b); texts != nil || errs != nil {
		t.Errorf("events %q, %v", texts, errs)
	}
	if _, err := b.State(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("state: %v", err)
	}
	if _, err := b.Capture(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("capture: %v", err)
	}
}

func TestCaptureOfOneThatRuns(t *testing.T) {
	dir := directory(t, map[string]string{bundle.ManifestFile: manifest, "packets-0.pcapng": "new", "packets-1.pcapng": "old"})
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "packets-1.pcapng"), old, old); err != nil {
		t.Fatal(err)
	}
	c, err := open(t, dir).Capture()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if content, err := io.ReadAll(c); string(content) != "oldnew" || err != nil {
		t.Errorf("capture %q, %v", content, err)
	}
}

func TestEventsThatAreWrong(t *testing.T) {
	line := func(text string) string {
		return fmt.Sprintf(`{"time":"2026-03-14T09:26:54Z","kind":"note","text":%q}`, text) + "\n"
	}
	for name, c := range map[string]struct {
		content string
		texts   []string
		errs    []string
	}{
		"cut":            {line("a") + `{"time":"2026-03-14T0`, []string{"a"}, nil},
		"cut at its end": {line("a") + strings.TrimSuffix(line("b"), "\n"), []string{"a"}, nil},
		"no event":       {line("a") + "hello\n" + line("b"), []string{"a", "b"}, []string{"events.jsonl line 2: no event: "}},
		"another type":   {`{"time":7}` + "\n" + line("b"), []string{"b"}, []string{"events.jsonl line 1: no event: "}},
		"unknown fields": {`{"time":"2026-03-14T09:26:54Z","kind":"later","text":"a","more":[1]}` + "\n", []string{"a"}, nil},
		"too long":       {line(strings.Repeat("x", 5<<20)) + line("b"), []string{"b"}, []string{"events.jsonl line 1: no event: it has "}},
		"too deep":       {strings.Repeat("[", 100_000) + "\n" + line("b"), []string{"b"}, []string{"events.jsonl line 1: no event: "}},
	} {
		t.Run(name, func(t *testing.T) {
			texts, errs := events(open(t, directory(t, map[string]string{bundle.ManifestFile: manifest, bundle.EventsFile: c.content})))
			if !slices.Equal(texts, c.texts) || len(errs) != len(c.errs) {
				t.Fatalf("%q, %v; want %q, %q", texts, errs, c.texts, c.errs)
			}
			for i, err := range errs {
				if !errors.Is(err, bundle.ErrLine) || !strings.HasPrefix(err.Error(), c.errs[i]) {
					t.Errorf("error %q, want %q", err, c.errs[i])
				}
			}
		})
	}
}

func TestNoBundle(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		text  string
	}{
		"nothing":            {map[string]string{"README": "hello"}, "no bundle: it has no manifest.json"},
		"no JSON":            {map[string]string{bundle.ManifestFile: "hello"}, "no bundle: read manifest.json: invalid character"},
		"no manifest":        {map[string]string{bundle.ManifestFile: "{}"}, "no bundle: manifest.json has no version"},
		"of another type":    {map[string]string{bundle.ManifestFile: "[]"}, "no bundle: read manifest.json: json: cannot unmarshal"},
		"endless":            {map[string]string{bundle.ManifestFile: strings.Repeat(" ", 17<<20)}, "no bundle: read manifest.json: it has more than 16777216 bytes"},
		"of a later version": {map[string]string{bundle.ManifestFile: `{"version":2}`}, "it has version 2, and this program knows 1: use a newer nstest"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := bundle.Open(directory(t, c.files))
			if err == nil || !strings.Contains(err.Error(), c.text) || errors.Is(err, bundle.ErrNoBundle) != strings.Contains(c.text, "no bundle") {
				t.Errorf("error %v, want %q", err, c.text)
			}
		})
	}
	if _, err := bundle.Open(filepath.Join(t.TempDir(), "nothing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is not there: %v", err)
	}
	file := filepath.Join(directory(t, map[string]string{"x": ""}), "x")
	if _, err := bundle.Open(file); !errors.Is(err, bundle.ErrNoBundle) {
		t.Errorf("a file: %v", err)
	}
}

// Links and devices lead nowhere, and nobody is waited for.
func TestNothingOutsideIsOpened(t *testing.T) {
	secret := filepath.Join(directory(t, map[string]string{"secret": "key"}), "secret")
	dir := directory(t, map[string]string{bundle.ManifestFile: manifest, "logs/here": "hello"})
	for name, target := range map[string]string{bundle.EventsFile: secret, bundle.StateFile: "/dev/zero", bundle.CaptureFile: "../secret", "logs/out": filepath.Dir(secret), "inside": "logs/here"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := open(t, dir)
	if texts, errs := events(b); texts != nil || len(errs) != 1 {
		t.Errorf("events %q, %v", texts, errs)
	}
	if s, err := b.State(); err == nil {
		t.Errorf("state %+v", s)
	}
	for _, path := range []string{bundle.CaptureFile, "logs/out/secret", "../" + filepath.Base(dir) + "/" + bundle.ManifestFile, secret, "logs", "fifo", ".", ""} {
		if f, err := b.File(path); err == nil {
			f.Close()
			t.Errorf("%q was opened", path)
		}
	}
	for _, path := range []string{"logs/here", "inside"} { // the controls
		f, err := b.File(path)
		if err != nil {
			t.Fatal(err)
		}
		if content, err := io.ReadAll(f); string(content) != "hello" || err != nil {
			t.Errorf("%s: %q, %v", path, content, err)
		}
		f.Close()
	}
	list, err := b.Files(".")
	if want := []bundle.File{{Path: "logs/here", Size: 5}, {Path: bundle.ManifestFile, Size: int64(len(manifest))}}; err != nil || !slices.Equal(list, want) {
		t.Errorf("files %v, %v", list, err)
	}
}

// packed makes a file NAME.tar.zst of entries.
func packed(t *testing.T, entries ...tar.Header) string {
	t.Helper()
	var out bytes.Buffer
	z, err := zstd.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	a := tar.NewWriter(z)
	for _, h := range entries {
		content := []byte(h.PAXRecords["test.content"])
		h.PAXRecords = nil
		if h.Typeflag == 0 {
			h.Typeflag, h.Size = tar.TypeReg, int64(len(content))
		}
		h.Mode = 0o644
		if err := a.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(a.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "test.tar.zst")
	if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func file(name, content string) tar.Header {
	return tar.Header{Name: name, PAXRecords: map[string]string{"test.content": content}}
}

// alone makes this test's packed bundles be unpacked where nobody else's are.
func alone(t *testing.T) (left func() []os.DirEntry) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	return func() []os.DirEntry {
		list, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
}

func TestPacked(t *testing.T) {
	line := `{"time":"2026-03-14T09:26:54Z","kind":"note","text":"hello"}` + "\n"
	for name, path := range map[string]string{
		"as it is":       packed(t, file(bundle.ManifestFile, manifest), file(bundle.EventsFile, line), file("logs/web/1.log", "x")),
		"in a directory": packed(t, tar.Header{Name: "bundle-1/", Typeflag: tar.TypeDir}, file("bundle-1/"+bundle.ManifestFile, manifest), file("bundle-1/"+bundle.EventsFile, line)),
		"with dots":      packed(t, file("./"+bundle.ManifestFile, manifest), file("./"+bundle.EventsFile, line)),
	} {
		t.Run(name, func(t *testing.T) {
			left := alone(t)
			b, err := bundle.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			if texts, errs := events(b); !slices.Equal(texts, []string{"hello"}) || errs != nil {
				t.Errorf("events %q, %v", texts, errs)
			}
			if n := len(left()); n != 1 {
				t.Errorf("%d directories were made", n)
			}
			if err := b.Close(); err != nil {
				t.Error(err)
			}
			if list := left(); len(list) != 0 {
				t.Errorf("left: %v", list)
			}
		})
	}
}

func TestPackedAndHostile(t *testing.T) {
	good := file(bundle.ManifestFile, manifest)
	garbage := filepath.Join(t.TempDir(), "garbage.tar.zst")
	if err := os.WriteFile(garbage, []byte("hello"), 0o644); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(packed(t, good, file("x", strings.Repeat("0123456789", 10_000))))
	if err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(t.TempDir(), "half.tar.zst")
	if err := os.WriteFile(half, whole[:len(whole)/2], 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ path, text string }{
		"leads up":        {packed(t, good, file("../evil", "x")), `"../evil" leads out of the bundle`},
		"leads up inside": {packed(t, good, file("a/../../evil", "x")), `"a/../../evil" leads out of the bundle`},
		"absolute":        {packed(t, good, file("/tmp/evil", "x")), `"/tmp/evil" leads out of the bundle`},
		"by a link":       {packed(t, good, tar.Header{Name: "out", Typeflag: tar.TypeSymlink, Linkname: "/tmp"}, file("out/evil", "x"), file("out", "x")), `unpack "out": `},
		"twice":           {packed(t, good, good), `unpack "manifest.json": file exists`},
		"deep":            {packed(t, good, file(strings.Repeat("d/", 100)+"f", "x")), "the bundle is beyond bounds: the path"},
		"huge":            {packed(t, good, file("zero", strings.Repeat("\x00", 3<<20))), "the bundle is beyond bounds: more than 2097152 bytes"},
		"many":            {packed(t, slices.Repeat([]tar.Header{{Name: "d/", Typeflag: tar.TypeDir}}, 1<<16+1)...), "the bundle is beyond bounds: more than 65536 files"},
		"garbage":         {garbage, "unpack: "},
		"half":            {half, "unpack: "},
		"no bundle":       {packed(t, file("README", "x")), "no bundle: it has no manifest.json"},
	} {
		t.Run(name, func(t *testing.T) {
			left := alone(t)
			defer bundle.SetMaxUnpacked(2 << 20)()
			_, err := bundle.Open(c.path)
			if err == nil || !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %v, want %q", err, c.text)
			}
			if list := left(); len(list) != 0 {
				t.Errorf("left: %v", list)
			}
		})
	}
}

// The types are those that are written: everything that a manifest has is there again.
func TestManifestIsWhole(t *testing.T) {
	m := bundle.Manifest{Version: bundle.Version, Test: "works", State: "died", Failures: []bundle.Failure{{Message: "no"}}, Files: []bundle.File{{Path: "x", Size: 1, What: "y"}}, Omitted: []string{"z"}}
	content, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	got := open(t, directory(t, map[string]string{bundle.ManifestFile: string(content)})).Manifest()
	if fmt.Sprint(got) != fmt.Sprint(m) {
		t.Errorf("%+v, want %+v", got, m)
	}
}

// What is packed comes out as it was, and is as hard to escape from as before.
func TestPack(t *testing.T) {
	dir := directory(t, map[string]string{bundle.ManifestFile: manifest, bundle.LogsDir + "/web/1-nginx.log": "hello\n", bundle.FilesDir + "/tmp/empty": ""})
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "b.tar.zst")
	f, err := os.Create(file)
	if err == nil {
		err = errors.Join(open(t, dir).Pack(f, "works"), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	b := open(t, file)
	files, err := b.Files(".")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		content, err := b.File(f.Path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(content)
		if err = errors.Join(err, content.Close()); err != nil {
			t.Fatal(err)
		}
		got = append(got, f.Path+" "+string(text))
	}
	want := []string{bundle.FilesDir + "/tmp/empty ", bundle.LogsDir + "/web/1-nginx.log hello\n", bundle.ManifestFile + " " + manifest}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
