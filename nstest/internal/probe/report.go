package probe

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// Status says what a probe found.
type Status string

// The four answers of a probe.
const (
	OK         Status = "ok"
	Missing    Status = "missing"    // the kernel or the machine has no such thing
	Restricted Status = "restricted" // it is there, and this user or this container may not use it, or too little of it
	Unknown    Status = "unknown"    // the probe could not tell
)

// Finding is the answer of one probe.
type Finding struct {
	Name     string `json:"name"`  // stable, for programs: "overlay", "limit.inotify-instances"
	Title    string `json:"title"` // for people
	Status   Status `json:"status"`
	Detail   string `json:"detail,omitempty"` // what was seen, with the errno
	Cost     string `json:"cost,omitempty"`   // what its absence costs; "" when ok
	Remedy   string `json:"remedy,omitempty"` // commands or settings, one a line; "" when ok or when there is none
	Required bool   `json:"required"`         // no environment with the default configuration without it
}

// Report is what a machine can do for the user who asks.
type Report struct {
	Kernel    string    `json:"kernel"`              // uname -r
	Arch      string    `json:"arch"`                // as GOARCH
	OS        string    `json:"os"`                  // PRETTY_NAME of os-release(5)
	Container string    `json:"container,omitempty"` // "docker", "podman", "kubernetes", ...; "" outside of any
	UID       int       `json:"uid"`                 // effective
	Mode      Mode      `json:"mode"`
	Findings  []Finding `json:"findings"`
}

// OK says whether everything is there that an environment with the default configuration needs.
func (r Report) OK() bool { return len(r.lacking()) == 0 }

// lacking are the required findings that are not ok. What could be opened lacks nothing.
func (r Report) lacking() []Finding {
	var lacking []Finding
	if f, ok := r.Find(Environment); ok && f.Status == OK {
		return nil
	}
	for _, f := range r.Findings {
		if f.Required && f.Status != OK {
			lacking = append(lacking, f)
		}
	}
	return lacking
}

// Find returns the finding of that name.
func (r Report) Find(name string) (Finding, bool) {
	for _, f := range r.Findings {
		if f.Name == name {
			return f, true
		}
	}
	return Finding{}, false
}

const (
	statusWidth = 11
	textWidth   = 96
)

// WriteTo writes the report for people: a line a finding, what is not ok with its cost and remedy below it. Lines are at
// most 96 columns wide, remedies excepted: those are to be copied, and are never broken.
func (r Report) WriteTo(w io.Writer) (int64, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Linux %s (%s), %s", r.Kernel, r.Arch, r.OS)
	if r.Container != "" {
		fmt.Fprintf(&b, ", in a container (%s)", r.Container)
	}
	fmt.Fprintf(&b, "\nuid %d, %s\n\n", r.UID, r.Mode.describe())
	titles := 0
	for _, f := range r.Findings {
		titles = max(titles, len(f.Title))
	}
	for _, f := range r.Findings {
		f.write(&b, titles)
	}
	b.WriteString("\n" + r.verdict())
	n, err := w.Write(b.Bytes())
	return int64(n), err
}

func (r Report) verdict() string {
	lacking := r.lacking()
	if len(lacking) == 0 {
		return "Environments can be made here.\n"
	}
	titles := make([]string, len(lacking))
	for i, f := range lacking {
		titles[i] = f.Title
	}
	text := "Environments with the default configuration cannot be made here. Required and not there: " + strings.Join(titles, ", ") + "."
	return strings.Join(wrap(text, textWidth), "\n") + "\n"
}

func (f Finding) write(b *bytes.Buffer, titles int) {
	indent := strings.Repeat(" ", statusWidth+1)
	status := string(f.Status)
	if f.Required && f.Status != OK {
		status = strings.ToUpper(status)
	}
	column := statusWidth + 1 + titles + 2
	for i, line := range wrap(f.Detail, textWidth-column) {
		if i == 0 {
			line = fmt.Sprintf("%-*s %-*s  %s", statusWidth, status, titles, f.Title, line)
		} else {
			line = strings.Repeat(" ", column) + line
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	if f.Cost != "" {
		for _, line := range wrap("costs: "+f.Cost, textWidth-len(indent)) {
			b.WriteString(indent + line + "\n")
		}
	}
	for line := range strings.Lines(f.Remedy) {
		b.WriteString(indent + "  " + strings.TrimRight(line, "\n") + "\n")
	}
}

// wrap breaks text at blanks into at least one line of at most width bytes, longer words excepted.
func wrap(text string, width int) []string {
	words := strings.Fields(text)
	if len(words) == 0 {
		return []string{""}
	}
	lines := words[:1:1]
	for _, word := range words[1:] {
		last := &lines[len(lines)-1]
		if len(*last)+1+len(word) > width {
			lines = append(lines, word)
		} else {
			*last += " " + word
		}
	}
	return lines
}
