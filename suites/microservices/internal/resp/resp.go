// Package resp reads and writes the part of the Redis protocol (RESP2) that a small key-value store needs: commands as
// arrays of bulk strings, and simple strings, errors, integers and bulk strings as replies.
package resp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// ErrNil is the reply to GET for a key that does not exist.
var ErrNil = errors.New("no such key")

// An Error is a reply that says what was wrong with a command.
type Error string

func (e Error) Error() string { return string(e) }

const (
	maxArgs = 16
	maxBulk = 1 << 20
)

// WriteCommand writes a command with its arguments.
func WriteCommand(w io.Writer, args ...string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// ReadCommand reads what WriteCommand writes. At the end of the stream, between commands, it returns io.EOF.
func ReadCommand(r *bufio.Reader) ([]string, error) {
	n, err := readLength(r, '*', maxArgs)
	if err != nil {
		return nil, err
	}
	args := make([]string, n)
	for i := range args {
		if args[i], err = readBulk(r); err != nil {
			return nil, unexpected(err)
		}
	}
	return args, nil
}

// Replies, as they are written.
func Simple(s string) string { return "+" + s + "\r\n" }
func Failure(s string) string {
	return "-ERR " + strings.NewReplacer("\r", " ", "\n", " ").Replace(s) + "\r\n"
}
func Integer(n int64) string { return ":" + strconv.FormatInt(n, 10) + "\r\n" }
func Bulk(s string) string   { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }
func Nil() string            { return "$-1\r\n" }

// ReadReply reads a reply. One that is nil is ErrNil; one that is an error is an Error.
func ReadReply(r *bufio.Reader) (string, error) {
	kind, err := r.Peek(1)
	if err != nil {
		return "", unexpected(err)
	}
	if kind[0] == '$' {
		return readBulk(r)
	}
	line, err := readLine(r)
	switch {
	case err != nil:
		return "", unexpected(err)
	case kind[0] == '+' || kind[0] == ':':
		return line[1:], nil
	case kind[0] == '-':
		return "", Error(line[1:])
	}
	return "", fmt.Errorf("read reply: %q is no reply", line)
}

func readBulk(r *bufio.Reader) (string, error) {
	n, err := readLength(r, '$', maxBulk)
	if err != nil {
		return "", err
	}
	if n < 0 {
		return "", ErrNil
	}
	b := make([]byte, n+2)
	if _, err := io.ReadFull(r, b); err != nil {
		return "", unexpected(err)
	}
	return string(b[:n]), nil
}

func readLength(r *bufio.Reader, kind byte, limit int) (int, error) {
	line, err := readLine(r)
	if err != nil {
		return 0, err
	}
	if line == "" || line[0] != kind {
		return 0, fmt.Errorf("read length: %q does not begin with %q", line, kind)
	}
	n, err := strconv.Atoi(line[1:])
	if err != nil || n < -1 || n > limit || n < 0 && kind == '*' {
		return 0, fmt.Errorf("read length: %q is not between 0 and %d", line, limit)
	}
	return n, nil
}

func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadSlice('\n')
	if err == io.EOF && len(line) > 0 {
		err = io.ErrUnexpectedEOF
	}
	return strings.TrimRight(string(line), "\r\n"), err
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
