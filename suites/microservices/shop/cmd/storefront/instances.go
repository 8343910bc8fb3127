package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
)

// instances are the programs that a service consists of, by turns. A request that one does not answer goes to the next:
// what customers can ask for, they can ask for twice.
type instances struct {
	hosts     []string
	transport http.RoundTripper
	turn      atomic.Uint64
}

// most is how many bytes of a request are read.
const most = 1 << 16

// RoundTrip is http.RoundTripper's.
func (i *instances) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(http.MaxBytesReader(nil, r.Body, most)); err != nil {
			return nil, err
		}
		_ = r.Body.Close()
	}
	var errs []error
	first := i.turn.Add(1)
	for n := range i.hosts {
		response, err := i.transport.RoundTrip(attempt(r, i.hosts[(first+uint64(n))%uint64(len(i.hosts))], body))
		if err == nil || r.Context().Err() != nil {
			return response, err
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// attempt is a request for one of the hosts.
func attempt(r *http.Request, host string, body []byte) *http.Request {
	out := r.Clone(r.Context())
	out.URL.Host = host
	if r.Body != nil {
		out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		out.Body, _ = out.GetBody()
	}
	return out
}
