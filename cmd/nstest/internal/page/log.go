package page

import (
	"fmt"

	"github.com/hermetic-go/nstest/cmd/nstest/internal/analysis"
)

// A log is what a process has printed.
type log struct {
	ID, Host, Command, Summary, Omitted string
	Lines                               []logLine

	count int
}

type logLine struct {
	At, Text, Href string
	Err            bool
}

// The bounds of logs: the last lines of each process, and so many processes.
const (
	maxLines = 100
	maxLogs  = 300
	manyLogs = 50 // of the further ones lines are cut
)

// logs are those of the processes that have printed anything, in the order in which they have begun to.
func (v *view) logs() {
	type source struct {
		host    string
		process int
	}
	commands := map[source]string{}
	index := map[source]int{}
	for n, i := range v.a.Items {
		s := source{i.Host, i.Process}
		if i.Kind == analysis.Process && commands[s] == "" {
			commands[s] = i.Text
		}
		if i.Kind != analysis.Log {
			continue
		}
		at, known := index[s]
		if !known {
			if len(v.Logs) == maxLogs {
				continue
			}
			at = len(v.Logs)
			index[s] = at
			v.Logs = append(v.Logs, log{ID: fmt.Sprintf("log-%d", i.Process), Host: i.Host, Command: commands[s]})
		}
		l := &v.Logs[at]
		l.count++
		line := logLine{At: v.at(i.Time), Text: i.Text, Href: item(n)}
		if len(v.Logs) > manyLogs {
			line.Text = analysis.Clip(line.Text, 200)
		}
		for _, f := range i.Facts {
			line.Err = line.Err || f.Name == "stream" && f.Value == "stderr"
		}
		if len(l.Lines) >= 2*maxLines {
			l.Lines = append(l.Lines[:0], l.Lines[maxLines:]...)
		}
		l.Lines = append(l.Lines, line)
	}
	for i := range v.Logs {
		l := &v.Logs[i]
		if len(l.Lines) > maxLines {
			l.Lines = l.Lines[len(l.Lines)-maxLines:]
		}
		l.Summary = fmt.Sprintf("%d lines", l.count)
		if l.count == 1 {
			l.Summary = "1 line"
		}
		if over := l.count - len(l.Lines); over > 0 {
			l.Omitted = fmt.Sprintf("The first %d lines are on the timeline, and in the bundle's logs.", over)
		}
	}
}
