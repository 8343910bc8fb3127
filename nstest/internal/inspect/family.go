package inspect

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// mostFamily is of how many processes a Family tells.
const mostFamily = 20

// Family says what a process and those that descend from it are doing, by its number in /proc: "sh (2) waits in wait, cat (3)
// waits in open(/run/fifo)". The numbers are those in the process's own PID namespace. It is empty if the process has ended, and
// tells of the process alone where the kernel does not tell of children (CONFIG_PROC_CHILDREN).
func Family(pid int, cautious bool) string {
	var told []string
	level := -1
	for queue := []int{pid}; len(queue) > 0 && len(told) < mostFamily; queue = queue[1:] {
		s, err := readStatus(queue[0])
		if err != nil {
			continue
		}
		if level < 0 {
			level = len(s.pids) - 1
		}
		if level < 0 || level >= len(s.pids) {
			continue
		}
		told = append(told, fmt.Sprintf("%s (%d) %s", clip(s.name), s.pids[level], doing(queue[0], cautious)))
		queue = append(queue, children(queue[0])...)
	}
	return strings.Join(told, ", ")
}

func doing(pid int, cautious bool) string {
	f, err := statFields(pid)
	if err != nil {
		return "has ended"
	}
	switch f[0] {
	case "R":
		return "runs"
	case "T", "t":
		return "is stopped"
	case "Z", "X":
		return "has ended"
	}
	if call := waits(pid, f[0], cautious); call != "" {
		return "waits in " + call
	}
	return "waits"
}

// children are those of a process's threads.
func children(pid int) (list []int) {
	threads, err := os.ReadDir(procPath(pid, "task"))
	if err != nil {
		return nil
	}
	for _, t := range threads[:min(len(threads), mostFamily)] {
		b, err := os.ReadFile(procPath(pid, "task/"+t.Name()+"/children"))
		if err != nil {
			continue
		}
		for _, f := range strings.Fields(string(b)) {
			if child, err := strconv.Atoi(f); err == nil {
				list = append(list, child)
			}
		}
	}
	return list[:min(len(list), mostFamily)]
}
