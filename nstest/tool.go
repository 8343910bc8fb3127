package nstest

import (
	"os"
	"os/exec"
	"path/filepath"
	build "runtime/debug"
	"strings"

	"github.com/hermetic-go/nstest/nstest/internal/scribe"
)

const (
	toolPackage = "github.com/hermetic-go/nstest/cmd/nstest"
	toolName    = "nstest"
)

// tool is how the command nstest is called on this machine, from whatever directory.
func tool() string {
	if _, err := exec.LookPath(toolName); err == nil {
		return toolName
	}
	for _, dir := range installDirs() {
		if path, err := exec.LookPath(filepath.Join(dir, toolName)); err == nil && filepath.IsAbs(path) {
			return scribe.Quote(path)
		}
	}
	info, ok := build.ReadBuildInfo()
	if !ok {
		return "go run " + toolPackage
	}
	return goRun(info, moduleRoot())
}

// installDirs are where "go install" puts programs, whether or not they are looked for there.
func installDirs() []string {
	dirs := []string{os.Getenv("GOBIN")}
	paths := filepath.SplitList(os.Getenv("GOPATH"))
	if home, err := os.UserHomeDir(); err == nil && len(paths) == 0 {
		paths = []string{filepath.Join(home, "go")}
	}
	for _, path := range paths {
		dirs = append(dirs, filepath.Join(path, "bin"))
	}
	return dirs
}

// moduleRoot is that of the tests' module, "" if this is not the directory of a package.
func moduleRoot() string {
	wd, err := os.Getwd()
	if err != nil {
		return ""
	}
	for dir := wd; ; dir = filepath.Dir(dir) {
		if exists(filepath.Join(dir, "go.mod")) {
			return dir
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
	}
}

// goRun has the go command build the tool, of the version that the tests of the module in root have. A module that requires
// nstest has checksums for what its own packages need, and none for what the tool needs beside that: so the tool is built as
// one of another module, which it has to be by a version, or where it is.
func goRun(info *build.BuildInfo, root string) string {
	here := "go run " + toolPackage
	if root != "" {
		here = "go -C " + scribe.Quote(root) + " run " + toolPackage
	}
	for _, m := range info.Deps {
		if !strings.HasPrefix(toolPackage, m.Path+"/") {
			continue
		}
		switch {
		case m.Replace == nil && strings.HasPrefix(m.Version, "v"):
			return "go run " + toolPackage + "@" + m.Version
		case m.Replace == nil: // it is in the same workspace
		case m.Replace.Version != "":
			return "go -C $(" + strings.Replace(here, "run "+toolPackage, "list -m -f '{{.Dir}}' "+m.Path, 1) + ") run " + toolPackage
		case filepath.IsAbs(m.Replace.Path) || root != "":
			dir := m.Replace.Path
			if !filepath.IsAbs(dir) {
				dir = filepath.Join(root, dir)
			}
			return "go -C " + scribe.Quote(dir) + " run " + toolPackage
		}
		break
	}
	return here
}
