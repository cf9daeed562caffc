// SPDX-License-Identifier: Apache-2.0

package fetch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/fetch"
)

// clock is the injected time of a cache.
type clock struct {
	mu          sync.Mutex
	now, latest time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

// Steady never steps back, like the monotonic clock the limits use.
func (c *clock) Steady() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now.After(c.latest) {
		c.latest = c.now
	}
	return c.latest
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// cached is a cache before a site whose answer can be changed.
type cached struct {
	*fetch.Cache[string]
	site   *site
	clock  *clock
	answer atomic.Pointer[http.HandlerFunc]
}

// newCached makes one. A body that begins with "bad" does not parse.
func newCached(t *testing.T, first http.HandlerFunc) *cached {
	t.Helper()
	c := &cached{clock: newClock()}
	c.serve(first)
	c.site = newSite(t, func(w http.ResponseWriter, r *http.Request) { (*c.answer.Load())(w, r) })
	c.Cache = fetch.NewCache(fetch.CacheOptions[string]{
		Client: c.site.client(loopback()), Budget: fetch.NewBudget(c.clock.Steady), Limit: 1000, Capacity: 4096, Now: c.clock.Now,
		Parse: func(_ string, body []byte) (string, error) {
			switch s := string(body); {
			case strings.HasPrefix(s, "bad"):
				return "", errors.New("it is bad")
			case s == "panic":
				panic("a bug")
			default:
				return s, nil
			}
		},
	})
	return c
}

func (c *cached) serve(h http.HandlerFunc) { c.answer.Store(&h) }

func (c *cached) want(t *testing.T, want string, requests int64) {
	t.Helper()
	got, err := c.Get(t.Context(), c.site.url("/c"))
	if err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	c.wantRequests(t, requests)
}

func (c *cached) wantRequests(t *testing.T, want int64) {
	t.Helper()
	if got := c.site.Requests(); got != want {
		t.Errorf("%d requests so far, want %d", got, want)
	}
}

func (c *cached) wantFailure(t *testing.T, reason fetch.Reason, temporary bool, requests int64) {
	t.Helper()
	_, err := c.Get(t.Context(), c.site.url("/c"))
	wantFailure(t, err, reason, temporary)
	c.wantRequests(t, requests)
}

// What the server says of freshness counts, between five minutes and a day.
func TestFreshness(t *testing.T) {
	t.Parallel()
	date := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		header []string
		want   time.Duration
	}{
		"nothing":             {nil, time.Hour},
		"max-age":             {[]string{"Cache-Control", "max-age=1800"}, 30 * time.Minute},
		"among others":        {[]string{"Cache-Control", "public, Max-Age=1800, must-revalidate"}, 30 * time.Minute},
		"quoted":              {[]string{"Cache-Control", `max-age="1800"`}, 30 * time.Minute},
		"age":                 {[]string{"Cache-Control", "max-age=1800", "Age", "600"}, 20 * time.Minute},
		"s-maxage is ours":    {[]string{"Cache-Control", "max-age=60, s-maxage=7200"}, 2 * time.Hour},
		"too short":           {[]string{"Cache-Control", "max-age=1"}, 5 * time.Minute},
		"too old":             {[]string{"Cache-Control", "max-age=1800", "Age", "1790"}, 5 * time.Minute},
		"too long":            {[]string{"Cache-Control", "max-age=31536000, immutable"}, 24 * time.Hour},
		"beyond counting":     {[]string{"Cache-Control", "max-age=99999999999999999999"}, 24 * time.Hour},
		"negative":            {[]string{"Cache-Control", "max-age=-1"}, 5 * time.Minute},
		"no-store":            {[]string{"Cache-Control", "no-store, max-age=3600"}, 5 * time.Minute},
		"no-cache":            {[]string{"Cache-Control", "no-cache"}, 5 * time.Minute},
		"expires":             {[]string{"Date", date.Format(http.TimeFormat), "Expires", date.Add(3 * time.Hour).Format(http.TimeFormat)}, 3 * time.Hour},
		"expires in the past": {[]string{"Expires", "0"}, 5 * time.Minute},
		"max-age wins":        {[]string{"Cache-Control", "max-age=1800", "Expires", "0"}, 30 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCached(t, jsonHandler("v1", tt.header...))
			c.want(t, "v1", 1)
			c.serve(jsonHandler("v2"))
			c.clock.Advance(tt.want - time.Second)
			c.want(t, "v1", 1)
			c.clock.Advance(time.Second)
			c.want(t, "v2", 2)
		})
	}
}

// Many ask at once: the server is asked once.
func TestSingleFlight(t *testing.T) {
	t.Parallel()
	for _, fails := range []bool{false, true} {
		t.Run(fmt.Sprintf("fails %v", fails), func(t *testing.T) {
			t.Parallel()
			arrived, start := make(chan struct{}, 64), make(chan struct{})
			c := newCached(t, func(w http.ResponseWriter, r *http.Request) {
				arrived <- struct{}{}
				<-start
				if fails {
					http.NotFound(w, r)
					return
				}
				jsonHandler("v1")(w, r)
			})
			var wg sync.WaitGroup
			var good atomic.Int64
			for range 64 {
				wg.Go(func() {
					if v, err := c.Get(t.Context(), c.site.url("/c")); err == nil && v == "v1" {
						good.Add(1)
					}
				})
			}
			<-arrived
			close(start)
			wg.Wait()
			if n := good.Load(); n != 64 && !fails || n != 0 && fails {
				t.Errorf("%d of 64 got it", n)
			}
			c.wantRequests(t, 1)
		})
	}
}

// Somebody who goes away takes nothing with them: the others get the document.
func TestImpatientCaller(t *testing.T) {
	t.Parallel()
	arrived, start := make(chan struct{}, 2), make(chan struct{})
	c := newCached(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-start
		jsonHandler("v1")(w, r)
	})
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() { _, err := c.Get(ctx, c.site.url("/c")); gone <- err }()
	<-arrived
	cancel()
	wantFailure(t, <-gone, fetch.ReasonTimeout, true)
	close(start)
	c.want(t, "v1", 1)
}

// Neither an error answer nor an invalid document is kept, and neither makes us
// ask again at once (R4.8).
func TestFailuresAreNotKept(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		serve     http.HandlerFunc
		reason    fetch.Reason
		temporary bool
	}{
		"not found": {http.NotFound, fetch.ReasonStatus, false},
		"invalid":   {jsonHandler("bad"), fetch.ReasonInvalid, false},
		"bug":       {jsonHandler("panic"), fetch.ReasonInvalid, false},
		"broken":    {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, fetch.ReasonStatus, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCached(t, tt.serve)
			c.wantFailure(t, tt.reason, tt.temporary, 1)
			// Twice as long each time, and never longer than two minutes.
			requests := int64(1)
			for _, wait := range []time.Duration{10, 20, 40, 80, 120, 120} {
				c.clock.Advance(wait*time.Second - time.Millisecond)
				c.wantFailure(t, fetch.ReasonLimited, tt.temporary, requests)
				c.clock.Advance(time.Millisecond)
				requests++
				c.wantFailure(t, tt.reason, tt.temporary, requests)
			}
			c.serve(jsonHandler("v1"))
			c.clock.Advance(2 * time.Minute)
			c.want(t, "v1", requests+1)
			c.serve(http.NotFound)
			c.clock.Advance(time.Hour)
			c.wantFailure(t, fetch.ReasonStatus, false, requests+2)
			c.clock.Advance(10 * time.Second) // forgiven: it begins anew
			c.wantFailure(t, fetch.ReasonStatus, false, requests+3)
		})
	}
}

// An outage of the client's server signs nobody out for a day. An answer that
// means something ends the copy at once.
func TestStaleCopies(t *testing.T) {
	t.Parallel()
	down := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }
	t.Run("outage", func(t *testing.T) {
		t.Parallel()
		c := newCached(t, jsonHandler("v1"))
		c.want(t, "v1", 1)
		c.serve(down)
		c.clock.Advance(2 * time.Hour)
		c.want(t, "v1", 2)
		c.want(t, "v1", 2) // paused
		c.clock.Advance(22*time.Hour - time.Second)
		c.want(t, "v1", 3)
		c.clock.Advance(time.Second)
		c.wantFailure(t, fetch.ReasonLimited, true, 3)
		c.serve(jsonHandler("v2"))
		c.clock.Advance(time.Hour)
		c.want(t, "v2", 4)
	})
	t.Run("unreachable", func(t *testing.T) {
		t.Parallel()
		c := newCached(t, jsonHandler("v1"))
		c.want(t, "v1", 1)
		c.serve(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		c.clock.Advance(2 * time.Hour)
		c.want(t, "v1", 2)
	})
	for name, gone := range map[string]http.HandlerFunc{
		"removed": http.NotFound, "invalid": jsonHandler("bad"), "moved": http.RedirectHandler("/d", http.StatusFound).ServeHTTP,
		"HTML": jsonHandler("v2", "Content-Type", "text/html"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCached(t, jsonHandler("v1"))
			c.want(t, "v1", 1)
			c.serve(gone)
			c.clock.Advance(2 * time.Hour)
			if _, err := c.Get(t.Context(), c.site.url("/c")); err == nil {
				t.Error("the copy is still used")
			}
			c.serve(down) // nor does an outage bring it back
			c.clock.Advance(10 * time.Second)
			c.wantFailure(t, fetch.ReasonStatus, true, 3)
		})
	}
}

// A clock that is set back makes no copy eternal, and no pause.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	c := newCached(t, jsonHandler("v1"))
	c.want(t, "v1", 1)
	c.serve(jsonHandler("v2"))
	c.clock.Advance(-10 * time.Hour)
	c.want(t, "v2", 2)
	c.serve(http.NotFound)
	c.clock.Advance(2 * time.Hour)
	c.wantFailure(t, fetch.ReasonStatus, false, 3)
	c.serve(jsonHandler("v3"))
	c.clock.Advance(-5 * time.Hour)
	c.want(t, "v3", 4)
}

// A key that is missing in the copy may be new: the copy is renewed, at most once
// a minute, however often somebody asks for a key that does not exist.
func TestRecheck(t *testing.T) {
	t.Parallel()
	c := newCached(t, jsonHandler("v1"))
	recheck := func(want string, requests int64) {
		t.Helper()
		got, err := c.Recheck(t.Context(), c.site.url("/c"))
		if err != nil || got != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
		c.wantRequests(t, requests)
	}
	recheck("v1", 1)
	c.serve(jsonHandler("v2"))
	for range 100 {
		recheck("v1", 1)
	}
	c.clock.Advance(time.Minute)
	for range 100 {
		recheck("v2", 2)
	}
	// A server that is down keeps the copy, and is not asked all the time.
	c.serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	c.clock.Advance(time.Minute)
	for range 100 {
		recheck("v2", 3)
	}
	c.want(t, "v2", 3)
}

// We are no battering ram: one host, one source, and all together are limited, and
// a copy is served where the limit is reached.
func TestBudget(t *testing.T) {
	t.Parallel()
	c := newCached(t, jsonHandler("v1"))
	c.want(t, "v1", 1)
	url := func(host string, i int) string { return fmt.Sprintf("https://%s.example:%s/%d", host, c.site.Port, i) }
	for i := range 150 {
		_, err := c.Get(t.Context(), url("client", i))
		if i < 119 && err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		if i >= 119 {
			wantFailure(t, err, fetch.ReasonLimited, true)
		}
	}
	c.wantRequests(t, 120)
	for _, same := range []string{"CLIENT", "Client", "cLiEnT"} { // is the same host, however it is written
		_, err := c.Get(t.Context(), url(same, 1))
		wantFailure(t, err, fetch.ReasonLimited, true)
	}
	c.clock.Advance(time.Hour)
	for i := range 120 {
		if _, err := c.Get(t.Context(), url("client", 1000+i)); err != nil {
			t.Fatal(err)
		}
	}
	c.want(t, "v1", 241) // a document that is known is renewed all the same
	one := fetch.WithSource(t.Context(), "192.0.2.7")
	for i := range 70 {
		_, err := c.Get(one, url(fmt.Sprintf("h%d", i), i))
		if (err == nil) != (i < 30) {
			t.Fatalf("request %d of one source: %v", i, err)
		}
	}
	if _, err := c.Get(fetch.WithSource(t.Context(), "192.0.2.8"), url("other", 1)); err != nil {
		t.Errorf("another source: %v", err)
	}
	c.clock.Advance(time.Hour)
	before := c.site.Requests()
	for i := range 1000 {
		_, _ = c.Get(t.Context(), url(fmt.Sprintf("all%d", i), i))
	}
	if n := c.site.Requests() - before; n != 900 {
		t.Errorf("%d requests in a minute, want 900", n)
	}
}

// Somebody asks for documents that are not there, at the host of a client that
// everybody uses, so that nobody can sign in with it any more. What they use up is
// theirs, and a copy that is there is renewed, as are addresses in the configuration.
func TestFloodAtAHostKeepsNobodyOut(t *testing.T) {
	t.Parallel()
	c := newCached(t, jsonHandler("v1"))
	url := func(i int) string { return fmt.Sprintf("https://client.example:%s/%d", c.site.Port, i) }
	attacker, user := fetch.WithSource(t.Context(), "198.51.100.66"), fetch.WithSource(t.Context(), "192.0.2.7")
	for i := range 50 {
		_, err := c.Get(attacker, url(i))
		if (err == nil) != (i < 10) {
			t.Fatalf("request %d of the attacker: %v", i, err)
		}
	}
	if _, err := c.Get(user, url(1000)); err != nil {
		t.Errorf("somebody else: %v", err)
	}
	for i := range 100 { // from many addresses now
		_, _ = c.Get(fetch.WithSource(t.Context(), fmt.Sprintf("198.51.100.%d", 100+i)), url(2000+i))
		_, _ = c.Get(fetch.WithSource(t.Context(), fmt.Sprintf("198.51.100.%d", 100+i)), url(3000+i))
	}
	_, err := c.Get(user, url(1001))
	wantFailure(t, err, fetch.ReasonLimited, true)
	if _, err := c.Get(fetch.Trusted(user), url(1002)); err != nil {
		t.Errorf("an address of the configuration: %v", err)
	}
}

// Servers that are slow on purpose take up a bounded number of requests.
func TestSlowServersAreBounded(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	c := newCached(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, "")
	})
	results := make(chan error, 100)
	for i := range 100 {
		go func() {
			results <- errOf(c.Get(t.Context(), fmt.Sprintf("https://h%d.example:%s/c", i, c.site.Port)))
		}()
	}
	for range 100 - 32 { // those that are not refused have no result yet
		wantFailure(t, <-results, fetch.ReasonLimited, true)
	}
	close(release)
	for range 32 {
		wantFailure(t, <-results, fetch.ReasonType, false)
	}
}

// A flood of documents that fail does not push out those that are in use.
func TestFailuresPushNothingOut(t *testing.T) {
	t.Parallel()
	c := newCached(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/c" {
			jsonHandler("v1")(w, r)
			return
		}
		http.NotFound(w, r)
	})
	c.want(t, "v1", 1)
	for i := range 250 {
		_, _ = c.Get(t.Context(), fmt.Sprintf("https://h%d.example:%s/none", i, c.site.Port))
	}
	c.want(t, "v1", 251)
}
