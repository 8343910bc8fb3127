package dial

import (
	"context"
	"errors"
	"net"
	"os"
)

var errMissingAddress = errors.New("missing address")

// canceledError and timeoutError are what package net makes of a context's two errors: same text, same answers to Is and Timeout.
type canceledError struct{}

func (canceledError) Error() string        { return "operation was canceled" }
func (canceledError) Is(target error) bool { return target == context.Canceled }

type timeoutError struct{}

func (timeoutError) Error() string        { return "i/o timeout" }
func (timeoutError) Timeout() bool        { return true }
func (timeoutError) Temporary() bool      { return true }
func (timeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// plain reduces err to what package net puts in an OpError: the system call that failed, or what the context says.
func plain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var call *os.SyscallError
	switch ctxErr := ctx.Err(); {
	case errors.Is(ctxErr, context.DeadlineExceeded):
		return timeoutError{}
	case ctxErr != nil:
		return canceledError{}
	case errors.As(err, &call):
		return call
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// dnsError is the error of a look-up that brought no answer.
func (d *Dialer) dnsError(ctx context.Context, name string, err error) *net.DNSError {
	err = plain(ctx, err)
	var timeout interface{ Timeout() bool }
	isTimeout := errors.As(err, &timeout) && timeout.Timeout()
	return &net.DNSError{
		UnwrapErr: err, Err: err.Error(), Name: name, Server: d.server(), IsTimeout: isTimeout, IsTemporary: true,
	}
}

func (d *Dialer) notFound(name string) *net.DNSError {
	return &net.DNSError{Err: "no such host", Name: name, Server: d.server(), IsNotFound: true}
}

func (d *Dialer) server() string {
	if !d.Nameserver.IsValid() {
		return ""
	}
	return d.Nameserver.String()
}
