package nstest_test

import (
	"errors"
	"io"
	"os"
	"testing"
)

// A process can open pipes of the test's again, by the names that it has for them.
func TestCommandReopens(t *testing.T) {
	stdin, err := filled("in")
	extra, err2 := filled(" extra")
	out, stdout, err3 := os.Pipe()
	if err := errors.Join(err, err2, err3); err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	defer extra.Close()
	defer out.Close()
	c := commandHost(t).Command("sh", "-c", "cat /dev/stdin /dev/fd/3 > /dev/stdout")
	c.Stdin, c.Stdout, c.ExtraFiles = stdin, stdout, []*os.File{extra}
	if err := errors.Join(c.Run(), stdout.Close()); err != nil {
		t.Error(err)
	}
	if got, err := io.ReadAll(out); err != nil || string(got) != "in extra" {
		t.Errorf("%q, %v", got, err)
	}
}

// filled is a pipe to read from, with a text in it and nobody to write more.
func filled(text string) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	_, err = w.WriteString(text)
	return r, errors.Join(err, w.Close())
}
