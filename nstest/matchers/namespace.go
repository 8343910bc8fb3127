package matchers

import (
	"fmt"

	"github.com/onsi/gomega/types"

	"github.com/hermetic-go/nstest/nstest/nsx"
)

// ShareNamespace succeeds if actual and other are in the same namespace of one kind. Both are what this package looks at,
// or an open namespace, an *os.File.
func ShareNamespace(kind nsx.Kinds, other any) types.GomegaMatcher {
	return &namespaceMatcher{kind: kind, expected: func() (string, uint64, error) {
		s, err := subjectOf(other)
		if err != nil {
			return "", 0, err
		}
		n, err := s.inode(kind)
		return s.name, n, err
	}, other: other}
}

// BeInNamespace succeeds if actual's namespace of one kind has an inode: nsx.Inode of a process that may have ended since.
func BeInNamespace(kind nsx.Kinds, inode uint64) types.GomegaMatcher {
	return &namespaceMatcher{kind: kind, expected: func() (string, uint64, error) { return "expected", inode, nil }}
}

type namespaceMatcher struct {
	kind     nsx.Kinds
	expected func() (name string, inode uint64, err error)
	other    any

	actualName, expectedName   string
	actualInode, expectedInode uint64
}

func (m *namespaceMatcher) Match(actual any) (bool, error) {
	s, err := subjectOf(actual)
	if err != nil {
		return false, err
	}
	m.actualName = s.name
	if m.actualInode, err = s.inode(m.kind); err != nil {
		return false, err
	}
	if m.expectedName, m.expectedInode, err = m.expected(); err != nil {
		return false, err
	}
	return m.actualInode == m.expectedInode, nil
}

func (m *namespaceMatcher) message(not string) string {
	return fmt.Sprintf("Expected%s the same %s namespace:\n    %s: %s:[%d]\n    %s: %s:[%d]", not, m.kind,
		m.actualName, m.kind, m.actualInode, m.expectedName, m.kind, m.expectedInode)
}

func (m *namespaceMatcher) FailureMessage(any) string { return m.message("") }

func (m *namespaceMatcher) NegatedFailureMessage(any) string { return m.message(" not") }

// MatchMayChangeInTheFuture ends an Eventually when one of the two has ended.
func (m *namespaceMatcher) MatchMayChangeInTheFuture(actual any) bool {
	return !ended(actual) && (m.other == nil || !ended(m.other))
}
