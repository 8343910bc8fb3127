package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

var errRefused = errors.New("the payment was refused")

// A provider charges customers. It belongs to others, is somewhere on the internet, and is not to be relied on.
type provider struct {
	http     *http.Client // its Timeout is that of one attempt
	url      string
	attempts int
	backoff  time.Duration
}

// charge has the provider charge for an order, several times if need be. The provider knows the order by its id and charges
// once. The error is errRefused, or what every attempt failed with.
func (p *provider) charge(ctx context.Context, id string, cents int) error {
	var errs []error
	for attempt := range p.attempts {
		if attempt > 0 {
			if err := pause(ctx, p.backoff<<(attempt-1)); err != nil {
				return errors.Join(append(errs, err)...)
			}
		}
		err := p.once(ctx, id, cents)
		if err == nil || errors.Is(err, errRefused) {
			return err
		}
		errs = append(errs, fmt.Errorf("attempt %d: %w", attempt+1, err))
	}
	return errors.Join(errs...)
}

func (p *provider) once(ctx context.Context, id string, cents int) error {
	body, err := json.Marshal(map[string]int{"cents": cents})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+"/charges", strings.NewReader(string(body)))
	if err != nil {
		return err
	}
	request.Header.Set("Idempotency-Key", id)
	response, err := p.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body) // the connection can be used again
	switch {
	case response.StatusCode < 300:
		return nil
	case response.StatusCode == http.StatusPaymentRequired:
		return errRefused
	}
	return fmt.Errorf("the answer is %s", response.Status)
}

// pause waits for d and up to half as long again, unless ctx ends before. Requests that failed together do not come back
// together.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d + rand.N(d/2))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
