package keeper

import (
	"bytes"
	"unicode/utf8"
)

// lines cuts what comes piece by piece into lines.
type lines struct {
	emit    func(text []byte) // with a line, which is good until the call returns
	skip    func(n int) bool  // whether nobody wants the next n lines; nil = they are wanted
	begun   []byte            // of the line that has not ended
	last    []byte            // of what was skipped since something was wanted
	late    func(text []byte) // with a line of last, when there will be no more; nil = nobody wants them
	cut     bool              // it was emitted already, up to maxLine
	started bool              // there is such a line
}

// maxLine is how many bytes are kept of a line.
const maxLine = 8 << 10

func (l *lines) add(b []byte) {
	if l.skip != nil && l.skip(bytes.Count(b, []byte{'\n'})) {
		l.begun, l.cut, l.started = nil, false, false
		if l.late != nil {
			l.last = append(l.last, b[max(0, len(b)-maxLast):]...)
			l.last = append(l.last[:0], l.last[max(0, len(l.last)-maxLast):]...)
		}
		return
	}
	for len(b) > 0 {
		text, rest, ended := bytes.Cut(b, []byte{'\n'})
		l.extend(text)
		if ended {
			l.flush()
		}
		b = rest
	}
}

// extend adds to the line that has not ended.
func (l *lines) extend(text []byte) {
	l.started = true
	if l.cut {
		return
	}
	l.begun = append(l.begun, text[:min(len(text), maxLine+1-len(l.begun))]...)
	if len(l.begun) > maxLine {
		l.emit(append(whole(l.begun[:maxLine]), "…"...))
		l.cut, l.begun = true, l.begun[:0]
	}
}

// whole is b without the first bytes of a character that is not all there.
func whole(b []byte) []byte {
	for i := len(b) - 1; i >= max(len(b)-utf8.UTFMax, 0); i-- {
		if utf8.RuneStart(b[i]) {
			if !utf8.FullRune(b[i:]) {
				return b[:i]
			}
			break
		}
	}
	return b
}

func (l *lines) flush() {
	if !l.cut {
		l.emit(bytes.TrimSuffix(l.begun, []byte{'\r'}))
	}
	l.begun, l.cut, l.started = l.begun[:0], false, false
}

// end emits what comes after the last end of a line.
func (l *lines) end() {
	if l.started {
		l.flush()
	}
	if len(l.last) == 0 {
		return
	}
	text := bytes.TrimSuffix(l.last, []byte{'\n'})
	if len(l.last) == maxLast { // the first line is not whole
		_, text, _ = bytes.Cut(text, []byte{'\n'})
	}
	l.late([]byte("… lines were left out here, since the record was full …"))
	list := bytes.Split(text, []byte{'\n'})
	for _, line := range list[max(0, len(list)-maxLastLines):] {
		l.late(bytes.TrimSuffix(line, []byte{'\r'}))
	}
	l.last = nil
}

// The end of what nobody had room for: so many bytes of it are kept, and so many lines, since a line takes more in the record.
const (
	maxLast      = 2 << 10
	maxLastLines = 10
)
