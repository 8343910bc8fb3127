package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

type versionCommand struct{}

func (versionCommand) Help() string {
	return "The version is that of the Go module, or the commit it was built from."
}

// Run prints one line.
func (versionCommand) Run(sys *system) error {
	info, ok := debug.ReadBuildInfo()
	_, err := fmt.Fprintf(sys.Stdout, "nstest %s (%s, %s/%s)\n", version(info, ok), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

func version(info *debug.BuildInfo, ok bool) string {
	if !ok {
		return "of unknown version"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	revision, modified := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			modified = " with changes"
		}
	}
	if revision == "" {
		return "(devel)"
	}
	return revision + modified
}
