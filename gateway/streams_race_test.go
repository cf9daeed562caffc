// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
)

// The attack: revoked in the instant between the check of the token and the entry
// among the streams. Nobody else would end that request.
func TestRevokedBetweenCheckAndEntry(t *testing.T) {
	t.Parallel()
	for _, evicted := range []bool{false, true} {
		b := newTestbed(t)
		p := person("1")
		b.store.add("g", p)
		tok, err := b.st.verify(t.Context(), sealFor(t, b.st, "g", p), testIssuer, testIssuer+"/mcp", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if evicted {
			evictAll(b.st)
		}
		if err := b.st.revokeGrant(t.Context(), testIssuer, "g"); err != nil {
			t.Fatal(err)
		}
		rec := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, testIssuer+"/mcp", http.NoBody)
		v := tok.viewFor(b.guard.cfg.Policy, b.guard.log)
		err = b.guard.forward(rec, r, admission{now: b.guard.st.now(), matched: "/mcp", tok: tok, view: v}, func(http.ResponseWriter, *http.Request, *Admitted) error {
			t.Error("admitted")
			return nil
		})
		if err != nil || rec.Code != http.StatusUnauthorized || rec.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("evicted %v: %d %v", evicted, rec.Code, err)
		}
		var s stream
		ctx := b.st.streams.add(t.Context(), tok.grant, &s)
		if !evicted && !errors.Is(context.Cause(ctx), errStreamRevoked) {
			t.Errorf("a request of a revoked grant runs: %v", context.Cause(ctx))
		}
		s.remove()
	}
}

// Adding, removing and ending at once; run with -race.
func TestStreamTableUnderConcurrency(t *testing.T) {
	t.Parallel()
	table := newStreamTable()
	var done sync.WaitGroup
	for i := range 8 {
		done.Go(func() {
			g := &liveGrant{id: fmt.Sprint("g", i%3), account: &liveAccount{}}
			g.account.facts.Store(&identity.Identity{})
			for range 300 {
				var s stream
				table.add(t.Context(), g, &s)
				s.markOpen()
				s.remove()
			}
		})
	}
	done.Go(func() {
		for range 100 {
			table.endGrant("g1")
			table.rejudge(func(string, identity.Identity) bool { return false }, "")
		}
	})
	done.Wait()
	table.each(func(*stream) { t.Error("a stream stayed behind") })
}

// M-42: a thousand clients that open a stream and hang up leave nothing behind.
func TestNoLeakAfterAThousandAbortedStreams(t *testing.T) {
	b := newTestbed(t)
	b.store.add("g", person("1"))
	raw := sealFor(t, b.st, "g", person("1"))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = b.guard.Serve(w, r, "/mcp", func(w http.ResponseWriter, r *http.Request, _ *Admitted) error {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: 1\n\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		})
	}))
	defer srv.Close()
	before := runtime.NumGoroutine()
	var done sync.WaitGroup
	for range 20 {
		done.Go(func() {
			for range 50 {
				if err := abortedStream(t.Context(), srv.URL+"/mcp", raw); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	done.Wait()
	deadline := time.Now().Add(10 * time.Second)
	for b.inFlight() > 0 || runtime.NumGoroutine() > before+10 {
		if time.Now().After(deadline) {
			t.Fatalf("%d streams and %d goroutines left, %d before", b.inFlight(), runtime.NumGoroutine(), before)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// abortedStream opens a stream, reads its first event and hangs up.
func abortedStream(ctx context.Context, url, raw string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+raw)
	tr := &http.Transport{DisableKeepAlives: true}
	defer tr.CloseIdleConnections()
	resp, err := tr.RoundTrip(r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.ReadFull(resp.Body, make([]byte, 9)); err != nil {
		return fmt.Errorf("first event: %w", err)
	}
	return nil
}

// A client that reconnects in a loop while the operator takes its person off the
// list: judged by the old list, it enters the table just after the new one was
// applied to all that was in there.
func TestRejudgedBetweenVerdictAndEntry(t *testing.T) {
	t.Parallel()
	b := newTestbed(t)
	p := person("1")
	b.store.add("g", p)
	tok, err := b.st.verify(t.Context(), sealFor(t, b.st, "g", p), testIssuer, testIssuer+"/mcp", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	judged := b.st.judge.Load()
	v := tok.viewFor(b.guard.cfg.Policy, b.guard.log)
	b.st.Rejudge(func(string, identity.Identity) bool { return false })
	rec := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, testIssuer+"/mcp", http.NoBody)
	err = b.guard.forward(rec, r, admission{matched: "/mcp", tok: tok, view: v, judged: judged},
		func(http.ResponseWriter, *http.Request, *Admitted) error {
			t.Error("admitted")
			return nil
		})
	if err != nil || rec.Code != http.StatusUnauthorized {
		t.Errorf("%d %v", rec.Code, err)
	}
}
