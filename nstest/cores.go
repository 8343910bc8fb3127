package nstest

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/hermetic-go/nstest/nstest/internal/record"
	"github.com/hermetic-go/nstest/nstest/internal/salvage"
	"github.com/hermetic-go/nstest/nstest/internal/scribe"
)

// A corePattern says where the kernel puts core dumps (core(5)).
type corePattern struct {
	dir  string // "" = where the process was
	name *regexp.Regexp
}

// newCorePattern reads kernel.core_pattern. It is false if a program of the machine's gets the dumps, or nobody.
func newCorePattern(text string) (corePattern, bool) {
	text = strings.TrimSpace(text)
	if text == "" || strings.HasPrefix(text, "|") || strings.HasPrefix(text, "@") {
		return corePattern{}, false
	}
	dir, name := path.Split(text)
	if strings.Contains(dir, "%") {
		return corePattern{}, false
	}
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		switch {
		case name[i] == '%' && i+1 < len(name) && name[i+1] == '%':
			b.WriteString("%")
			i++
		case name[i] == '%':
			b.WriteString(".*")
			i++
		default:
			b.WriteString(regexp.QuoteMeta(name[i : i+1]))
		}
	}
	return corePattern{dir, regexp.MustCompile("^" + b.String() + `(\.\d+)?$`)}, true // kernel.core_uses_pid
}

// keepCores copies the core dumps that the events tell of, and the programs that they are of.
func (r *recording) keepCores(b *scribe.Bundle, budget *salvage.Budget, root *os.File) {
	programs := b.Dumped()
	if len(programs) == 0 {
		return
	}
	text, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	if err != nil {
		b.Omit("%s: %v.", record.CoresDir, err)
		return
	}
	pattern, ok := newCorePattern(string(text))
	if !ok {
		b.Omit("%s, which the machine's handler has: kernel.core_pattern is %q.", record.CoresDir, strings.TrimSpace(string(text)))
		return
	}
	dirs := []string{pattern.dir}
	if !path.IsAbs(pattern.dir) {
		dirs = []string{path.Join("/", pattern.dir), path.Join(scribe.Package(), pattern.dir), path.Join("/tmp", pattern.dir)}
	}
	to := filepath.Join(b.Path(), record.CoresDir)
	if err := os.Mkdir(to, 0o700); err != nil {
		b.Omit("%s: %v.", record.CoresDir, err)
		return
	}
	found := 0
	for _, dir := range dirs {
		n, err := budget.Matching(root, strings.Trim(dir, "/"), to, func(name string, changed time.Time) bool {
			return pattern.name.MatchString(name) && changed.After(b.Began())
		})
		if found += n; err != nil {
			b.Omit("Core dumps in %s: %v.", dir, err)
		}
	}
	if found == 0 {
		_ = os.Remove(to)
		b.Omit("%s: the core dumps of %s were not found in %s.", record.CoresDir, strings.Join(programs, ", "), strings.Join(dirs, ", "))
		return
	}
	for _, program := range programs {
		if !path.IsAbs(program) {
			b.Omit("%s/%s: only of a program with an absolute path it is known where it is.", record.CoresDir, program)
			continue
		}
		base := path.Base(program)
		if err := budget.Program(root, program, filepath.Join(to, base)); err != nil {
			b.Omit("%s/%s: %v.", record.CoresDir, base, err)
		}
	}
}
