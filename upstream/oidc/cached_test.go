// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// source is where a document comes from.
type source struct {
	mu    sync.Mutex
	calls int
	value int
	err   error
	wait  time.Duration
}

func (s *source) fetch(ctx context.Context) (*int, error) {
	select {
	case <-time.After(s.wait):
	case <-ctx.Done():
		return nil, upstream.Refuse(upstream.ReasonUnavailable, "gone: %w", ctx.Err())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.err != nil {
		return nil, s.err
	}
	v := s.value
	return &v, nil
}

func (s *source) set(value int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.value, s.err = value, err
}

func (s *source) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

func wantValue(t *testing.T, c *cached[int], fresh time.Duration, want int) {
	t.Helper()
	got, err := c.get(t.Context(), fresh)
	if err != nil || *got != want {
		t.Fatalf("got %v, %v; want %d", got, err, want)
	}
}

func TestCachedIsFetchedOnceAndRenewed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &source{value: 1}
		c := newCached(time.Now, s.fetch)
		if c.peek() != nil {
			t.Error("a document out of nothing")
		}
		wantValue(t, c, time.Hour, 1)
		s.set(2, nil)
		time.Sleep(time.Hour - time.Second)
		wantValue(t, c, time.Hour, 1)
		if *c.peek() != 1 || s.count() != 1 {
			t.Errorf("%d requests", s.count())
		}
		time.Sleep(time.Second)
		wantValue(t, c, time.Hour, 2)
		if s.count() != 2 {
			t.Errorf("%d requests", s.count())
		}
	})
}

// TestCachedSharesOneRequest: a hundred people sign in at once after a restart.
func TestCachedSharesOneRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &source{value: 1, wait: 5 * time.Second}
		c := newCached(time.Now, s.fetch)
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { wantValue(t, c, time.Hour, 1) })
		}
		wg.Wait()
		if s.count() != 1 {
			t.Errorf("%d requests", s.count())
		}
	})
}

// TestCachedSurvivesWhoAskedFirst: the first of them closes the browser. The others
// get their answer.
func TestCachedSurvivesWhoAskedFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &source{value: 1, wait: 5 * time.Second}
		c := newCached(time.Now, s.fetch)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := c.get(ctx, time.Hour)
			wantRefusal(t, err, upstream.ReasonUnavailable)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("the cause is lost: %v", err)
			}
		})
		synctest.Wait()
		cancel()
		wg.Go(func() { wantValue(t, c, time.Hour, 1) })
		wg.Wait()
		if s.count() != 1 {
			t.Errorf("%d requests", s.count())
		}
	})
}

// TestCachedBacksOff: a provider that is down is asked after 1, 2, 4, … seconds and
// then every minute, however many want to sign in. In between its last answer counts.
func TestCachedBacksOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &source{err: upstream.Refuse(upstream.ReasonUnavailable, "down")}
		c := newCached(time.Now, s.fetch)
		var asked []time.Duration
		begin := time.Now()
		for range 1800 {
			before := s.count()
			_, err := c.get(t.Context(), time.Hour)
			wantRefusal(t, err, upstream.ReasonUnavailable, "down")
			if s.count() > before {
				asked = append(asked, time.Since(begin))
			}
			time.Sleep(100 * time.Millisecond)
		}
		want := []time.Duration{0, 1, 3, 7, 15, 31, 63, 123}
		if len(asked) != len(want) {
			t.Fatalf("asked at %v", asked)
		}
		for i := range want {
			if asked[i] != want[i]*time.Second {
				t.Errorf("asked at %v, want seconds %v", asked, want)
				break
			}
		}
		s.set(1, nil)
		time.Sleep(time.Minute)
		wantValue(t, c, time.Hour, 1)
		s.set(0, s.err)
	})
}

// TestCachedHeedsRetryAfter: within reason.
func TestCachedHeedsRetryAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &source{err: &upstream.Refusal{Reason: upstream.ReasonUnavailable, Err: errors.New("busy"), RetryAfter: 10 * time.Minute}}
		c := newCached(time.Now, s.fetch)
		for range 10 {
			_, err := c.get(t.Context(), time.Hour)
			wantRefusal(t, err, upstream.ReasonUnavailable, "busy")
			time.Sleep(59 * time.Second)
		}
		if s.count() != 1 {
			t.Errorf("%d requests in ten minutes", s.count())
		}
		time.Sleep(10 * time.Second)
		s.set(1, nil)
		wantValue(t, c, time.Hour, 1)
	})
}

// TestCachedServesTheOldOne: the provider's documents are down, and the provider is
// not. Sign-ins go on for a day.
func TestCachedServesTheOldOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &source{value: 1}
		c := newCached(time.Now, s.fetch)
		wantValue(t, c, time.Hour, 1)
		s.set(0, upstream.Refuse(upstream.ReasonUnavailable, "down"))
		for range 23 {
			time.Sleep(time.Hour)
			wantValue(t, c, time.Hour, 1)
		}
		time.Sleep(time.Hour)
		_, err := c.get(t.Context(), time.Hour)
		wantRefusal(t, err, upstream.ReasonUnavailable, "down")
		s.set(2, nil)
		time.Sleep(time.Minute)
		wantValue(t, c, time.Hour, 2)
	})
}

// TestCachedNewer: one that is not enough is replaced at most every ten seconds.
func TestCachedNewer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &source{value: 1}
		c := newCached(time.Now, s.fetch)
		old, err := c.get(t.Context(), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.newer(t.Context(), old)
		wantRefusal(t, err, upstream.ReasonUnavailable, "a moment ago")
		time.Sleep(minPause)
		newer, err := c.newer(t.Context(), old)
		if err != nil || newer == old || s.count() != 2 {
			t.Fatalf("newer %v, error %v, %d requests", newer, err, s.count())
		}
		// Somebody else who had the old one is content with what is there.
		again, err := c.newer(t.Context(), old)
		if err != nil || again != newer || s.count() != 2 {
			t.Errorf("again %v, error %v, %d requests", again, err, s.count())
		}
		_, err = c.newer(t.Context(), newer)
		wantRefusal(t, err, upstream.ReasonUnavailable, "a moment ago")
	})
}

// TestCachedWithAClockThatIsSetBack: a document from the future is not fresh for
// years, and a pause until then is none.
func TestCachedWithAClockThatIsSetBack(t *testing.T) {
	t.Parallel()
	k := newClock()
	s := &source{value: 1}
	c := newCached(k.now, s.fetch)
	wantValue(t, c, time.Hour, 1)
	for i, back := range []time.Duration{365 * 24 * time.Hour, time.Minute, time.Second} {
		k.pass(-back)
		s.set(i+2, nil)
		wantValue(t, c, time.Hour, i+2)
		wantValue(t, c, time.Hour, i+2)
		if s.count() != i+2 {
			t.Errorf("back by %s: %d requests", back, s.count())
		}
	}
	// It serves as well as any other where there is none to be had.
	k.pass(-time.Hour)
	s.set(0, upstream.Refuse(upstream.ReasonUnavailable, "down"))
	wantValue(t, c, time.Hour, 4)
}
