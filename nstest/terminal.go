package nstest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Terminal is the controlling end of a pseudo-terminal (pty(7)) whose other end is the terminal of a command. Its
// methods may be called from any goroutine.
type Terminal struct{ file *os.File }

type terminalSize struct{ rows, cols uint16 }

// StartTerminal is Start on a new pseudo-terminal of the host with that many rows and columns: it is the command's
// standard input, output and error and controlling terminal. Stdin, Stdout and Stderr must be nil.
//
// The caller reads and closes the Terminal; Wait does neither. What the command writes must be read for it to go on.
func (c *Cmd) StartTerminal(rows, cols uint16) (*Terminal, error) {
	return c.start(&terminalSize{rows, cols})
}

// Read reads what processes write to the terminal, and what it echoes. It returns io.EOF when everything is read and no
// process has the terminal open any more.
func (t *Terminal) Read(p []byte) (int, error) {
	n, err := t.file.Read(p)
	if errors.Is(err, syscall.EIO) {
		err = io.EOF
	}
	return n, err
}

// Write types: the terminal makes signals of control characters and echoes, as its settings say.
func (t *Terminal) Write(p []byte) (int, error) { return t.file.Write(p) }

// Resize changes the size. Processes in the foreground get SIGWINCH if it is a different one.
func (t *Terminal) Resize(rows, cols uint16) error {
	c, err := t.file.SyscallConn()
	if err != nil {
		return fmt.Errorf("nstest: resize terminal: %w", err)
	}
	if c.Control(func(fd uintptr) {
		err = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols})
	}) != nil {
		err = os.ErrClosed
	}
	if err != nil {
		return fmt.Errorf("nstest: resize terminal: %w", err)
	}
	return nil
}

// Close hangs the terminal up: the session's leader gets SIGHUP, and a Read that waits returns.
func (t *Terminal) Close() error { return t.file.Close() }
