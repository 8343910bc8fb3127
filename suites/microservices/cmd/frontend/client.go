package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"
)

var errNotFound = errors.New("no such product")

// A client asks the API, at one address after the other.
type client struct {
	http     *http.Client // its Timeout is that of one attempt
	urls     []string
	attempts int
	backoff  time.Duration

	turn atomic.Uint64
}

// product asks for a product, several times if need be. The error is errNotFound, or what every attempt failed with.
func (c *client) product(ctx context.Context, id string) (product, error) {
	var errs []error
	first := c.turn.Add(1)
	for attempt := range c.attempts {
		if attempt > 0 {
			if err := pause(ctx, c.backoff<<(attempt-1)); err != nil {
				return product{}, errors.Join(append(errs, err)...)
			}
		}
		base := c.urls[(first+uint64(attempt))%uint64(len(c.urls))]
		p, err := c.once(ctx, base+"/products/"+url.PathEscape(id))
		if err == nil || errors.Is(err, errNotFound) {
			return p, err
		}
		errs = append(errs, fmt.Errorf("attempt %d: %w", attempt+1, err))
	}
	return product{}, errors.Join(errs...)
}

func (c *client) once(ctx context.Context, url string) (product, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return product{}, err
	}
	response, err := c.http.Do(req)
	if err != nil {
		return product{}, err
	}
	return decode(response)
}

// pause waits for about d, unless ctx ends before. Clients that failed together do not come back together.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d/2 + rand.N(d))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
