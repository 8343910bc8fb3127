package resp_test

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hermetic-go/nstest/suites/microservices/internal/resp"
)

func TestCommandIsReadAsItWasWritten(t *testing.T) {
	for _, args := range [][]string{{"PING"}, {"SET", "key", "value\r\nin two lines"}, {"GET", ""}} {
		var b strings.Builder
		if err := resp.WriteCommand(&b, args...); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(strings.NewReader(b.String()))
		got, err := resp.ReadCommand(r)
		if diff := cmp.Diff(args, got); err != nil || diff != "" {
			t.Errorf("%q: %v\n%s", args, err, diff)
		}
		if _, err := resp.ReadCommand(r); err != io.EOF {
			t.Errorf("after the last command: %v, want EOF", err)
		}
	}
}

func TestReplyIsReadAsItWasWritten(t *testing.T) {
	for reply, want := range map[string]string{
		resp.Simple("OK"): "OK", resp.Integer(-7): "-7", resp.Bulk("a\r\nb"): "a\r\nb", resp.Bulk(""): "",
	} {
		got, err := resp.ReadReply(bufio.NewReader(strings.NewReader(reply)))
		if err != nil || got != want {
			t.Errorf("%q: %q, %v", reply, got, err)
		}
	}
	if _, err := resp.ReadReply(bufio.NewReader(strings.NewReader(resp.Nil()))); !errors.Is(err, resp.ErrNil) {
		t.Errorf("nil: %v", err)
	}
	var failure resp.Error
	if _, err := resp.ReadReply(bufio.NewReader(strings.NewReader(resp.Failure("no\nway")))); !errors.As(err, &failure) || failure != "ERR no way" {
		t.Errorf("failure: %v", err)
	}
}

func TestBadInputIsRefused(t *testing.T) {
	for _, in := range []string{
		"PING\r\n", "*x\r\n", "*-1\r\n", "*99999999\r\n", "*1\r\n$99999999\r\n", "*1\r\n+OK\r\n", "*2\r\n$4\r\nPING\r\n",
		"*1\r\n$4\r\nPI", "*1", strings.Repeat("*", 10000),
	} {
		if args, err := resp.ReadCommand(bufio.NewReader(strings.NewReader(in))); err == nil || err == io.EOF {
			t.Errorf("%.20q: %q, %v, want an error", in, args, err)
		}
	}
}
