package wire

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"testing"
)

func TestErrorCrosses(t *testing.T) {
	checkLeaks(t)
	_, enoent := os.Open("/nonexistent/file")
	typed := &Error{Op: "open", Host: "web", Step: "mount /proc", Errno: uint32(syscall.EPERM), Message: "mount: denied", Remedy: "be root", Kind: "masked"}
	for _, tc := range []struct {
		name string
		err  error
		is   []error
		want Error
		text string
	}{
		{"plain", errors.New("no such host"), nil, Error{Message: "no such host"}, "no such host"},
		{"errno", enoent, []error{syscall.ENOENT, fs.ErrNotExist}, Error{Message: enoent.Error(), Errno: uint32(syscall.ENOENT)}, enoent.Error()},
		{"as it is", typed, []error{syscall.EPERM}, *typed, "open web: mount /proc: mount: denied"},
		{
			"wrapped", fmt.Errorf("env a: %w", typed), []error{syscall.EPERM},
			Error{Errno: typed.Errno, Message: "env a: " + typed.Error(), Remedy: "be root", Kind: "masked"}, "env a: " + typed.Error(),
		},
		{"without words", &Error{Op: "wait", Errno: uint32(syscall.ECHILD)}, []error{syscall.ECHILD}, Error{Op: "wait", Errno: uint32(syscall.ECHILD)}, "wait: no child processes"},
		{"canceled", context.Canceled, []error{context.Canceled}, Error{Message: "context canceled", Kind: KindCanceled}, "context canceled"},
		{"deadline", fmt.Errorf("start: %w", context.DeadlineExceeded), []error{context.DeadlineExceeded}, Error{Message: "start: context deadline exceeded", Kind: KindDeadline}, "start: context deadline exceeded"},
		{"of a kind", &Error{Kind: KindDeadline}, []error{context.DeadlineExceeded}, Error{Kind: KindDeadline}, "deadline"},
		{"nothing known", &Error{}, nil, Error{}, "unknown error"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := dial(t, func(context.Context, *Request) (Reply, error) { return Reply{}, tc.err })
			_, err := c.Call(t.Context(), "m", nil, nil)
			var got *Error
			if !errors.As(err, &got) || *got != tc.want || err.Error() != tc.text {
				t.Fatalf("got %#v (%v), want %#v (%s)", got, err, tc.want, tc.text)
			}
			for _, target := range []error{syscall.ENOENT, syscall.EPERM, syscall.ECHILD, context.Canceled, context.DeadlineExceeded} {
				want := false
				for _, is := range tc.is {
					want = want || is == target
				}
				if errors.Is(err, target) != want {
					t.Errorf("errors.Is(%v, %v) = %v", err, target, !want)
				}
			}
			if tc.name == "errno" && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%v is not fs.ErrNotExist", err)
			}
		})
	}
}

func TestRequestDecode(t *testing.T) {
	for _, tc := range []struct {
		params string
		v      any
		ok     bool
	}{
		{`{"Host":"web"}`, new(JoinParams), true},
		{`{"Host":"web","Port":1}`, new(JoinParams), false},
		{`{"Host":1}`, new(JoinParams), false},
		{``, new(JoinParams), false},
		{`null`, new(JoinParams), false},
		{``, nil, true},
		{`null`, nil, true},
		{`{}`, nil, false},
	} {
		req := Request{Method: "join", Params: []byte(tc.params)}
		if err := req.Decode(tc.v); (err == nil) != tc.ok {
			t.Errorf("Decode of %q into %T: %v", tc.params, tc.v, err)
		}
	}
}
