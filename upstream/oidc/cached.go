// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

const (
	// minPause is between two requests for a document, of which the first got one. It
	// is what a flood of tokens with made-up key ids costs the provider.
	minPause = 10 * time.Second
	// minBackoff and maxBackoff are the pauses after the first failure and after many.
	minBackoff = time.Second
	maxBackoff = time.Minute
	// usable is how long a document serves that cannot be renewed.
	usable = 24 * time.Hour
)

// cached is a document of the provider's that is fetched when it is first needed,
// by one request at a time, and kept.
type cached[T any] struct {
	now    func() time.Time
	fetch  func(context.Context) (*T, error) // every error is a *upstream.Refusal
	flight singleflight.Group

	mu       sync.Mutex
	value    *T
	fetched  time.Time     // when value came
	asked    time.Time     // when the last request ended
	pause    time.Duration // from then on, nothing is asked for
	failures int           // since the last success
	err      error         // the last failure, nil after a success
}

func newCached[T any](now func() time.Time, fetch func(context.Context) (*T, error)) *cached[T] {
	return &cached[T]{now: now, fetch: fetch}
}

// peek returns the document if it was ever fetched, however old it is.
func (c *cached[T]) peek() *T {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.value
}

// get returns the document, fetched at most fresh ago. An older one serves up to
// a day if no other is to be had.
func (c *cached[T]) get(ctx context.Context, fresh time.Duration) (*T, error) {
	young := func(_ *T, age time.Duration) bool { return age >= 0 && age < fresh }
	if v, age := c.current(); v != nil && young(v, age) {
		return v, nil
	}
	v, err := c.renew(ctx, young)
	if err == nil {
		return v, nil
	}
	if old, age := c.current(); old != nil && age < usable {
		return old, nil
	}
	return nil, err
}

// newer returns a document other than old, which was not enough.
func (c *cached[T]) newer(ctx context.Context, old *T) (*T, error) {
	return c.renew(ctx, func(v *T, _ time.Duration) bool { return v != old })
}

// current returns the document, nil if there is none, and its age, which is below
// zero where the clock was set back.
func (c *cached[T]) current() (v *T, age time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.value, c.now().Sub(c.fetched)
}

// renew fetches the document, unless the one that is there meanwhile is enough.
// Who goes away does not take the request with them: others wait for it too.
func (c *cached[T]) renew(ctx context.Context, enough func(*T, time.Duration) bool) (*T, error) {
	done := c.flight.DoChan("", func() (any, error) {
		return c.fill(context.WithoutCancel(ctx), enough)
	})
	select {
	case r := <-done:
		v, _ := r.Val.(*T)
		return v, r.Err
	case <-ctx.Done():
		return nil, upstream.Refuse(upstream.ReasonUnavailable, "oidc: waiting for the provider's documents: %w", ctx.Err())
	}
}

func (c *cached[T]) fill(ctx context.Context, enough func(*T, time.Duration) bool) (*T, error) {
	if v, age := c.current(); v != nil && enough(v, age) {
		return v, nil
	}
	if err := c.paused(); err != nil {
		return nil, err
	}
	v, err := c.fetch(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = c.now()
	if err != nil {
		c.err = err
		c.pause = max(backoff(c.failures), askedPause(err))
		c.failures++
		return nil, err
	}
	c.value, c.fetched = v, c.asked
	c.err, c.failures, c.pause = nil, 0, minPause
	return v, nil
}

// paused is why nothing is asked for now, nil if it can be.
func (c *cached[T]) paused() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	since := c.now().Sub(c.asked)
	switch {
	case since < 0 || since >= c.pause: // the clock was set back, or it is over
		return nil
	case c.err != nil:
		return c.err
	}
	return upstream.Refuse(upstream.ReasonUnavailable, "oidc: the provider's documents were fetched a moment ago")
}

func backoff(failures int) time.Duration {
	return min(minBackoff<<min(failures, 10), maxBackoff)
}

// askedPause is how long the provider itself wants to be left alone.
func askedPause(err error) time.Duration {
	var r *upstream.Refusal
	if !errors.As(err, &r) {
		return 0
	}
	return r.RetryAfter
}
