package matchers

import (
	"fmt"
	"strings"

	"github.com/onsi/gomega"
	"github.com/onsi/gomega/format"
	"github.com/onsi/gomega/types"
)

// An entryMatcher looks for something in a list that a subject has: mounts, interfaces, lines of a map.
type entryMatcher struct {
	what string // "mount /mnt, slave"
	list func(subject) ([]string, error)
	is   func(entry string) bool

	name  string
	found []string // all there are
}

func (m *entryMatcher) Match(actual any) (bool, error) {
	s, err := subjectOf(actual)
	if err != nil {
		return false, err
	}
	m.name = s.name
	if m.found, err = m.list(s); err != nil {
		return false, err
	}
	for _, e := range m.found {
		if m.is(e) {
			return true, nil
		}
	}
	return false, nil
}

func (m *entryMatcher) message(verb string) string {
	return fmt.Sprintf("Expected %s %s %s\nIt has\n    %s", m.name, verb, m.what, strings.Join(m.found, "\n    "))
}

func (m *entryMatcher) FailureMessage(any) string { return m.message("to have") }

func (m *entryMatcher) NegatedFailureMessage(any) string { return m.message("not to have") }

func (m *entryMatcher) MatchMayChangeInTheFuture(actual any) bool { return !ended(actual) }

// HaveInterface succeeds if actual's network namespace has an interface of that name.
func HaveInterface(name string) types.GomegaMatcher {
	return &entryMatcher{what: "interface " + name, list: interfaces, is: func(e string) bool { return e == name }}
}

func interfaces(s subject) ([]string, error) {
	text, err := s.read("net/dev")
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	var list []string
	for line := range strings.Lines(text) {
		if name, _, ok := strings.Cut(line, ":"); ok {
			list = append(list, strings.TrimSpace(name))
		}
	}
	return list, nil
}

// HaveIDMap succeeds if the uid_map or gid_map of a process, which file names, has a line with these three numbers.
func HaveIDMap(file string, inside, outside, count int) types.GomegaMatcher {
	want := fmt.Sprintf("%d %d %d", inside, outside, count)
	return &entryMatcher{what: "the line " + want + " in " + file, is: func(e string) bool { return e == want },
		list: func(s subject) ([]string, error) {
			text, err := s.read(file)
			if err != nil {
				return nil, fmt.Errorf("read id map: %w", err)
			}
			var list []string
			for line := range strings.Lines(text) {
				list = append(list, strings.Join(strings.Fields(line), " "))
			}
			return list, nil
		}}
}

// HaveSysctl succeeds if a machine's sysctl, "net.ipv4.ip_forward", has a value: a string, or a matcher for one.
func HaveSysctl(name string, value any) types.GomegaMatcher {
	m, ok := value.(types.GomegaMatcher)
	if !ok {
		m = gomega.Equal(fmt.Sprint(value))
	}
	return &sysctlMatcher{name: name, value: m}
}

type sysctlMatcher struct {
	name    string
	value   types.GomegaMatcher
	machine string
	found   string
}

func (m *sysctlMatcher) Match(actual any) (bool, error) {
	s, err := subjectOf(actual)
	if err != nil {
		return false, err
	}
	m.machine = s.name
	text, err := s.readPath("/proc/sys/" + strings.ReplaceAll(m.name, ".", "/"))
	if err != nil {
		return false, fmt.Errorf("read sysctl %s: %w", m.name, err)
	}
	m.found = strings.TrimSuffix(text, "\n")
	return m.value.Match(m.found)
}

func (m *sysctlMatcher) FailureMessage(any) string {
	return "Sysctl " + m.name + " of " + m.machine + ":\n" + format.IndentString(m.value.FailureMessage(m.found), 1)
}

func (m *sysctlMatcher) NegatedFailureMessage(any) string {
	return "Sysctl " + m.name + " of " + m.machine + ":\n" + format.IndentString(m.value.NegatedFailureMessage(m.found), 1)
}
