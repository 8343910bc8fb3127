package matchers

import (
	"fmt"
	"strings"

	"github.com/onsi/gomega/types"
)

// HaveProcess succeeds if a machine's /proc shows a process with that command line, its arguments separated by blanks. A
// kernel thread, and a process that nobody has waited for, have none.
func HaveProcess(commandLine string) types.GomegaMatcher {
	return &entryMatcher{what: "process " + commandLine, list: processes, is: func(e string) bool { return e == commandLine }}
}

func processes(s subject) ([]string, error) {
	const script = `for f in /proc/[0-9]*/cmdline; do tr '\0' ' ' <"$f"; echo; done 2>/dev/null`
	if s.host == nil {
		return nil, fmt.Errorf("list processes: %s is no machine (*nstest.Host, *nstest.Env)", s.name)
	}
	out, err := s.host.Command("sh", "-c", script).Output()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var list []string
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimSpace(line); line != "" {
			list = append(list, line)
		}
	}
	return list, nil
}

// HaveMessageQueue succeeds if the IPC namespace of a machine has a System V message queue with that key.
func HaveMessageQueue(key int32) types.GomegaMatcher {
	want := fmt.Sprint(key)
	return &entryMatcher{what: "message queue " + want, is: func(e string) bool { return e == want }, list: func(s subject) ([]string, error) {
		text, err := s.readPath("/proc/sysvipc/msg")
		if err != nil {
			return nil, fmt.Errorf("list message queues: %w", err)
		}
		var list []string
		for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
			if fields := strings.Fields(line); i > 0 && len(fields) > 0 {
				list = append(list, fields[0])
			}
		}
		return list, nil
	}}
}
