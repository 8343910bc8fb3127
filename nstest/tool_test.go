package nstest

import (
	"os"
	"path/filepath"
	build "runtime/debug"
	"testing"
)

func TestGoRun(t *testing.T) {
	const pkg, path = "github.com/hermetic-go/nstest/cmd/nstest", "github.com/hermetic-go/nstest"
	for name, c := range map[string]struct {
		dep  *build.Module
		root string
		want string
	}{
		"itself":      {nil, "/src/nstest", "go -C /src/nstest run " + pkg},
		"nowhere":     {nil, "", "go run " + pkg},
		"a version":   {&build.Module{Path: path, Version: "v1.2.3"}, "/src/shop", "go run " + pkg + "@v1.2.3"},
		"a workspace": {&build.Module{Path: path, Version: "(devel)"}, "/src/shop", "go -C /src/shop run " + pkg},
		"a directory": {&build.Module{Path: path, Version: "v0.0.0", Replace: &build.Module{Path: "/src/my nstest"}}, "/src/shop", "go -C '/src/my nstest' run " + pkg},
		"one nearby":  {&build.Module{Path: path, Version: "v0.0.0", Replace: &build.Module{Path: "../nstest"}}, "/src/shop", "go -C /src/nstest run " + pkg},
		"a fork": {&build.Module{Path: path, Version: "v1.2.3", Replace: &build.Module{Path: "example.test/fork", Version: "v1.2.4"}}, "/src/shop",
			"go -C $(go -C /src/shop list -m -f '{{.Dir}}' " + path + ") run " + pkg},
	} {
		info := &build.BuildInfo{Deps: []*build.Module{{Path: "github.com/hermetic", Version: "v3.0.0"}}}
		if c.dep != nil {
			info.Deps = append(info.Deps, c.dep)
		}
		if got := goRun(info, c.root); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// What is installed is called, by its path where a shell would not find it.
func TestInstalledTool(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", "")
	t.Setenv("HOME", dir)
	t.Setenv("GOPATH", "")
	t.Setenv("GOBIN", "")
	root := moduleRoot()
	if got, want := tool(), "go -C "+root+" run github.com/hermetic-go/nstest/cmd/nstest"; got != want || root == "" {
		t.Errorf("without one: %q, want %q", got, want)
	}
	bin := filepath.Join(dir, "go/bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "nstest"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if got, want := tool(), filepath.Join(bin, "nstest"); got != want {
		t.Errorf("with one: %q, want %q", got, want)
	}
	t.Setenv("PATH", bin)
	if got := tool(); got != "nstest" {
		t.Errorf("with one in PATH: %q", got)
	}
}
