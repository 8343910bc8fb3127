package nstest

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// needed are the paths that a test needs to see at their own place: those that it may write to, behind a layer, and
// those that it only reads. What does not exist is left out by the keeper.
func needed() (layered, readOnly []string) {
	layered = []string{goCache()}
	if wd, err := os.Getwd(); err == nil {
		layered = append(layered, workspace(wd)) // the go command looks for it by this name
	}
	if wd, err := workingDir(); err == nil {
		layered = append(layered, workspace(wd))
	}
	if tmp := filepath.Clean(os.TempDir()); tmp != "/tmp" {
		layered = append(layered, tmp)
	}
	readOnly = append(readOnly, goModCache(), goRoot())
	if exe, err := os.Executable(); err == nil {
		readOnly = append(readOnly, exe)
	}
	return absolute(layered), absolute(readOnly)
}

// workingDir is the real path of the working directory. The name by which the program came there, which is os.Getwd's, may
// lead through symbolic links that are not to be seen inside.
func workingDir() (string, error) { return unix.Getwd() }

func absolute(paths []string) []string {
	var out []string
	for _, p := range paths {
		if filepath.IsAbs(p) {
			if resolved, err := filepath.EvalSymlinks(p); err == nil && !slices.Contains(out, resolved) {
				out = append(out, resolved)
			}
		}
	}
	return out
}

// workspace is the root of the workspace or module that dir belongs to, or dir itself. A home, or the top of a
// directory for temporary files, is nobody's workspace: to show it would show everything in it.
func workspace(dir string) string {
	module := ""
	for d := dir; ; d = filepath.Dir(d) {
		if exists(filepath.Join(d, "go.work")) {
			return d
		}
		if module == "" && exists(filepath.Join(d, "go.mod")) {
			module = d
		}
		if d == filepath.Dir(d) {
			break
		}
	}
	if module != "" {
		return module
	}
	if isHome(dir) || dir == "/" || filepath.Dir(dir) == "/" || filepath.Dir(dir) == "/home" {
		return ""
	}
	return dir
}

// isHome reports whether dir is the user's home, by whichever path.
func isHome(dir string) bool {
	home, err := os.UserHomeDir()
	if err != nil {
		return false
	}
	resolved, err := filepath.EvalSymlinks(home)
	return dir == home || err == nil && dir == resolved
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// goCache, goModCache and goRoot follow the go command's defaults, without starting it.
var goCache = sync.OnceValue(func() string {
	if dir := os.Getenv("GOCACHE"); dir != "" {
		return dir
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "go-build")
})

var goModCache = sync.OnceValue(func() string {
	if dir := os.Getenv("GOMODCACHE"); dir != "" {
		return dir
	}
	gopath := filepath.SplitList(os.Getenv("GOPATH"))
	if len(gopath) > 0 && gopath[0] != "" {
		return filepath.Join(gopath[0], "pkg", "mod")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, "go", "pkg", "mod")
})

var goRoot = sync.OnceValue(func() string {
	if dir := os.Getenv("GOROOT"); dir != "" {
		return dir
	}
	path, err := exec.LookPath("go")
	if err != nil {
		return ""
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return ""
	}
	return filepath.Dir(filepath.Dir(path))
})
