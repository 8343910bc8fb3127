package nstest

import (
	"strings"
	"unicode/utf8"
)

// An ExitError is a command that did not exit with status 0. It is ErrClosed where it was killed with its environment.
type ExitError struct {
	*ProcessState

	// Stderr is the standard error of a command that was run by Output and has no Stderr of its own, the middle of it
	// left out if it is long.
	Stderr []byte

	host    string
	command string
}

// maxCommand bounds the command in the message of an ExitError, in bytes.
const maxCommand = 200

// Error is "exit status 3 (host web: curl http://db/)".
func (e *ExitError) Error() string {
	text := e.ProcessState.String() + " (host " + e.host + ": " + shortened(e.command) + ")"
	if e.lost {
		text += ": " + ErrClosed.Error()
	}
	return text
}

// Unwrap returns ErrClosed, or nil.
func (e *ExitError) Unwrap() error {
	if e.lost {
		return ErrClosed
	}
	return nil
}

// shortened is a command on one line of bounded length.
func shortened(command string) string {
	command = strings.ReplaceAll(command, "\n", " ")
	if len(command) <= maxCommand {
		return command
	}
	cut := maxCommand
	for cut > 0 && !utf8.RuneStart(command[cut]) {
		cut--
	}
	return command[:cut] + "…"
}
