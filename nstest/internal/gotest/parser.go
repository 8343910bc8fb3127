package gotest

import (
	"bytes"
	"strings"
)

// A parser reads what a test binary prints under -test.v=test2json. In it, lines that begin with the marker are package
// testing's; of the others, those of t.Log and t.Output are indented, and belong to the test that was named last.
type parser struct {
	listener listener
	reports  bool // there is nothing but what package testing prints, so that every other line is a test's log

	buffer []byte
	midway bool // the beginning of the line was passed on already
}

// A listener is told what happened, in order.
type listener interface {
	frame(f frame) bool // false if it is none of a test that it knows
	log(line string)    // without its indentation, with its newline
	print(text []byte)  // whatever a test or a process of it printed
}

// A frame is a line of package testing's about a test.
type frame struct {
	verb string // RUN PAUSE CONT NAME ATTR ARTIFACTS PASS FAIL SKIP
	test string // "" for all tests together
	rest string // what follows the name
}

const (
	marker = 0x16 // ^V
	indent = "    "
)

// Write never fails.
func (p *parser) Write(b []byte) (int, error) {
	p.buffer = append(p.buffer, b...)
	rest := p.buffer
	for len(rest) > 0 {
		n := lineLength(rest)
		if n < 0 {
			break
		}
		p.line(rest[:n])
		rest = rest[n:]
	}
	if len(rest) > 0 && p.isPrinted(rest) { // a prompt, or a row of dots: nobody knows when the line will end
		p.listener.print(rest)
		p.midway, rest = true, nil
	}
	p.buffer = append(p.buffer[:0], rest...)
	return len(b), nil
}

// lineLength is the length of the first line, which ends with a newline or before a marker; -1 if it does not end.
func lineLength(b []byte) int {
	for i, c := range b {
		switch {
		case c == '\n':
			return i + 1
		case c == marker && i > 0:
			return i
		}
	}
	return -1
}

// flush passes on a line that has no end, as there will be none.
func (p *parser) flush() {
	if len(p.buffer) > 0 {
		p.line(p.buffer)
	}
	p.buffer, p.midway = p.buffer[:0], false
}

func (p *parser) line(line []byte) {
	if f, ok := parseFrame(line); ok && p.listener.frame(f) {
		p.midway = false
		return
	}
	if line[0] == marker || p.isPrinted(line) {
		p.listener.print(line)
		p.midway = !bytes.HasSuffix(line, []byte("\n"))
		return
	}
	text := strings.TrimPrefix(string(line), indent)
	p.listener.log(strings.TrimSuffix(text, "\n") + "\n")
}

// isPrinted reports whether a line, or the beginning of one, was not written by package testing.
func (p *parser) isPrinted(line []byte) bool {
	n := min(len(line), len(indent))
	return !p.reports && line[0] != marker && (p.midway || string(line[:n]) != indent[:n])
}

func parseFrame(line []byte) (frame, bool) {
	if line[0] != marker {
		return frame{}, false
	}
	kind, rest, _ := strings.Cut(strings.TrimSuffix(string(line[1:]), "\n"), " ")
	verb, rest, ok := strings.Cut(rest, " ")
	if !ok || kind != "===" && kind != "---" {
		return frame{}, false
	}
	test, rest, _ := strings.Cut(strings.TrimLeft(rest, " "), " ")
	return frame{verb: strings.TrimSuffix(verb, ":"), test: test, rest: rest}, true
}
