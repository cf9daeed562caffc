// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// Clock is a clock that tests move, forwards and backwards. It is safe for
// concurrent use.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock starts a clock at a fixed time on a whole second.
func NewClock() *Clock {
	return &Clock{now: time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)}
}

// Now returns the time of the clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock by d, which may be negative.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// env is what one test works with.
type env struct {
	*testing.T
	ctx     context.Context //nolint:containedctx // of the test
	harness Harness
	clock   *Clock
	config  Config
	store   storage.Store
}

func start(t *testing.T, h Harness) *env {
	e := &env{T: t, ctx: t.Context(), harness: h, clock: NewClock()}
	e.config.Now = e.clock.Now
	e.store = h.Open(t, e.config)
	return e
}

// limit replaces the store by an empty one that keeps n unused clients.
func (e *env) limit(n int) {
	e.Helper()
	e.config.MaxUnusedClients = n
	e.store = e.harness.Open(e.T, e.config)
}

func (e *env) reopen() {
	e.Helper()
	e.store = e.harness.Reopen(e.T, e.store, e.config)
}

func (e *env) ok(err error) {
	e.Helper()
	if err != nil {
		e.Fatalf("unexpected error: %v", err)
	}
}

func (e *env) wantErr(err, want error) {
	e.Helper()
	if !errors.Is(err, want) {
		e.Fatalf("got error %v, want %v", err, want)
	}
}

// isErr is wantErr for goroutines, which cannot end their test.
func (e *env) isErr(err, want error) {
	e.Helper()
	if !errors.Is(err, want) {
		e.Errorf("got error %v, want %v", err, want)
	}
}

// same compares records. An empty list and none are the same.
func (e *env) same(got, want any) {
	e.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		e.Fatalf("records differ (-want +got):\n%s", diff)
	}
}

// race calls fn from Callers goroutines at the same time and returns their
// errors.
func race(fn func(i int) error) []error {
	var (
		errs  = make([]error, Callers)
		ready = make(chan struct{})
		wg    sync.WaitGroup
	)
	for i := range Callers {
		wg.Go(func() {
			<-ready
			errs[i] = fn(i)
		})
	}
	close(ready)
	wg.Wait()
	return errs
}

// wantOneWinner fails unless exactly one error is nil and all others are loser.
func (e *env) wantOneWinner(errs []error, loser error) {
	e.Helper()
	e.wantWinners(errs, 1, loser)
}

func (e *env) wantWinners(errs []error, n int, loser error) {
	e.Helper()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, loser):
			e.Errorf("got error %v, want %v", err, loser)
		}
	}
	if won != n {
		e.Fatalf("%d of %d callers succeeded, want %d", won, len(errs), n)
	}
}
