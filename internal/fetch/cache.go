// SPDX-License-Identifier: Apache-2.0

package fetch

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/shardmap"
)

const (
	// maxAge is the end of a copy, also while its server does not answer.
	maxAge = 24 * time.Hour
	// recheckAge is how young a copy must be for Recheck to leave it at that.
	recheckAge = time.Minute

	// After a failure the next request waits, twice as long each time.
	firstPause = 10 * time.Second
	maxPause   = 2 * time.Minute
	pauseCount = 4096
)

// Cache keeps parsed documents of one kind. It is safe for concurrent use; a
// document that many ask for is fetched once.
//
// Neither an error answer nor an invalid document is ever kept (R4.8): what is
// remembered of them is that the next request has to wait. A copy outlives its
// freshness only while its server gives no answer that means anything (no
// connection, 5xx, 429, our own limits), and ends a day after it was fetched, the
// longest any copy may be used: so that a client's outage does not sign out its
// users. An answer such as 404, or an invalid document, ends it at once.
type Cache[T any] struct {
	o      CacheOptions[T]
	copies *shardmap.Map[*stored[T]]
	pauses *shardmap.Map[pause]
	flight singleflight.Group
}

// CacheOptions builds a Cache. All are required.
type CacheOptions[T any] struct {
	Client *Client
	Budget *Budget
	// Limit of a document in bytes.
	Limit int64
	// Capacity is how many documents are kept.
	Capacity int
	// Parse makes a document of a body, or says what is wrong with it in words
	// that are fit for the log.
	Parse func(url string, body []byte) (T, error)
	Now   func() time.Time
}

type stored[T any] struct {
	value             T
	fetched, freshEnd time.Time
}

// pause is that a document failed, and how often in a row.
type pause struct {
	until     time.Time
	failures  int
	temporary bool
}

// NewCache makes an empty cache.
func NewCache[T any](o CacheOptions[T]) *Cache[T] {
	return &Cache[T]{
		o:      o,
		copies: shardmap.New[*stored[T]](o.Capacity),
		pauses: shardmap.New[pause](pauseCount),
	}
}

// Get returns the document at a URL. The error is a *Failure.
func (c *Cache[T]) Get(ctx context.Context, url string) (T, error) { return c.get(ctx, url, maxFresh) }

// Recheck is Get for somebody who missed something in the copy: one that is older
// than a minute is not used, unless its server does not answer.
func (c *Cache[T]) Recheck(ctx context.Context, url string) (T, error) {
	return c.get(ctx, url, recheckAge)
}

func (c *Cache[T]) get(ctx context.Context, url string, young time.Duration) (T, error) {
	key, now := sha256.Sum256([]byte(url)), c.o.Now()
	kept, ok := c.copies.Get(key)
	if ok && now.Before(kept.freshEnd) && kept.age(now) < young {
		return kept.value, nil
	}
	got, err := c.share(ctx, url, key, kept)
	if err == nil {
		return got.value, nil
	}
	var f *Failure
	if ok && errors.As(err, &f) && f.Temporary && kept.age(now) < maxAge {
		return kept.value, nil
	}
	return *new(T), err
}

// age of a copy. Where the clock was set back it cannot be told.
func (s *stored[T]) age(now time.Time) time.Duration {
	if now.Before(s.fetched) {
		return maxAge
	}
	return now.Sub(s.fetched)
}

// share makes one request for all who want the document at this time. None of
// them ends it by going away; the client's timeout does.
func (c *Cache[T]) share(ctx context.Context, url string, key shardmap.Key, seen *stored[T]) (*stored[T], error) {
	ch := c.flight.DoChan(url, func() (any, error) {
		// Somebody may have been faster between our look and our turn.
		if newer, ok := c.copies.Get(key); ok && newer != seen {
			return newer, nil
		}
		return c.fetch(context.WithoutCancel(ctx), url, key, seen != nil)
	})
	select {
	case r := <-ch:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*stored[T]), nil
	case <-ctx.Done():
		return nil, transient(ReasonTimeout, context.Cause(ctx))
	}
}

func (c *Cache[T]) fetch(ctx context.Context, url string, key shardmap.Key, renewal bool) (*stored[T], error) {
	last, paused := c.pauses.Get(key)
	// A pause longer than any we make is one from before the clock was set back.
	if now := c.o.Now(); paused && now.Before(last.until) && last.until.Sub(now) <= maxPause {
		return nil, &Failure{
			Reason: ReasonLimited, Temporary: last.temporary,
			Err: fmt.Errorf("it failed %d times in a row, next try in %s", last.failures, last.until.Sub(now).Round(time.Second)),
		}
	}
	if err := c.o.Budget.take(ctx, url, renewal); err != nil {
		return nil, transient(ReasonLimited, err)
	}
	defer c.o.Budget.release()
	got, err := c.request(ctx, url)
	if err != nil {
		c.failed(key, last.failures+1, err)
		return nil, err
	}
	c.pauses.Delete(key)
	c.copies.Set(key, got)
	return got, nil
}

func (c *Cache[T]) request(ctx context.Context, url string) (got *stored[T], err error) {
	// A parser's bug must not end the process: this is nobody's goroutine.
	defer func() {
		if v := recover(); v != nil {
			got, err = nil, definite(ReasonInvalid, fmt.Errorf("panic: %v", v))
		}
	}()
	resp, err := c.o.Client.Get(ctx, url, c.o.Limit)
	if err != nil {
		return nil, err
	}
	value, err := c.o.Parse(url, resp.Body)
	if err != nil {
		return nil, definite(ReasonInvalid, err)
	}
	now := c.o.Now()
	return &stored[T]{value: value, fetched: now, freshEnd: now.Add(freshness(resp.Header))}, nil
}

func (c *Cache[T]) failed(key shardmap.Key, failures int, err error) {
	wait := maxPause
	if shift := failures - 1; shift < 4 {
		wait = min(firstPause<<shift, maxPause)
	}
	f := (*Failure)(nil)
	temporary := errors.As(err, &f) && f.Temporary
	c.pauses.Set(key, pause{until: c.o.Now().Add(wait), failures: failures, temporary: temporary})
	if !temporary {
		c.copies.Delete(key)
	}
}
