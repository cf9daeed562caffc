// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// A token ends at its time, by our clock, also one that is known already.
func TestTokenExpiresByTheClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	calls := w.countCalls()
	tok := w.issue()
	unseen := w.seal(tok.grant, w.clock.Now().Add(time.Hour))
	w.clock.Advance(time.Hour - time.Second)
	w.wantStatus(w.call(tok.token), 202)
	w.clock.Advance(time.Second)
	for _, presented := range []string{tok.token, unseen, w.seal(tok.grant, time.Unix(0, 0)), w.seal(tok.grant, time.Unix(-1<<40, 0))} {
		resp := w.call(presented)
		if resp.StatusCode != 401 || challengeParam(resp.Header.Get("WWW-Authenticate"), "error_description") != "the access token expired" {
			t.Errorf("%d %q", resp.StatusCode, resp.Header.Get("WWW-Authenticate"))
		}
	}
	w.clock.Advance(-5 * time.Minute) // a clock that was set back must not break anything
	w.wantStatus(w.call(tok.token), 202)
	if calls.Load() != 2 {
		t.Errorf("the backend was called %d times", calls.Load())
	}
}

// Revocation through reuse of an old refresh token is effective on the very next
// request, with a token the gateway has in its cache.
func TestRevocationIsEffectiveOnTheNextRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clientID, tok := w.tokens()
	w.wantStatus(w.call(tok.AccessToken), 200)
	second := decode[tokens](t, w.postForm(oauth.PathToken, refreshForm(clientID, tok.RefreshToken)))
	third := decode[tokens](t, w.postForm(oauth.PathToken, refreshForm(clientID, second.RefreshToken)))
	for _, known := range []string{tok.AccessToken, second.AccessToken, third.AccessToken} {
		w.wantStatus(w.call(known), 200)
	}
	other := w.issue()
	w.wantStatus(w.call(other.token), 200)
	w.clock.Advance(20 * time.Minute)
	w.wantStatus(w.postForm(oauth.PathToken, refreshForm(clientID, tok.RefreshToken)), 400)

	calls, reads := w.countCalls(), w.store.reads()
	for _, known := range []string{tok.AccessToken, second.AccessToken, third.AccessToken} {
		resp := w.call(known)
		if resp.StatusCode != 401 || challengeParam(resp.Header.Get("WWW-Authenticate"), "error") != "invalid_token" {
			t.Errorf("after revocation: %d", resp.StatusCode)
		}
	}
	if calls.Load() != 0 || w.store.reads() != reads {
		t.Errorf("backend called %d times, store read %d times", calls.Load(), w.store.reads()-reads)
	}
	w.wantStatus(w.call(other.token), 202) // nobody else was cut off
}

// A token whose grant the store does not have is 401, and the store is not asked
// again: a client that keeps trying costs nothing.
func TestMissingGrantLeavesATombstone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	calls := w.countCalls()
	gone := w.issue()
	if err := w.store.Store.RevokeGrant(t.Context(), issuer, gone.grant.ID); err != nil {
		t.Fatal(err)
	}
	unredeemed := w.issue(func(g *storage.Grant) { g.Code.RedeemedAt = time.Time{} })
	for name, tok := range map[string]issued{"missing": gone, "not redeemed": unredeemed} {
		before := w.store.reads()
		for range 5 {
			resp := w.call(tok.token)
			if resp.StatusCode != 401 || challengeParam(resp.Header.Get("WWW-Authenticate"), "error") != "invalid_token" {
				t.Errorf("%s: %d", name, resp.StatusCode)
			}
		}
		// Another token of the same grant is known to be gone too.
		w.wantStatus(w.call(w.seal(tok.grant, w.clock.Now().Add(time.Minute))), 401)
		if n := w.store.reads() - before; n != 1 {
			t.Errorf("%s: store read %d times, want 1", name, n)
		}
	}
	if calls.Load() != 0 {
		t.Error("the backend was called")
	}
}

// M-11: a store that cannot answer is 503, never a pass and never a 401 that would
// throw the client's token away; and the next request asks again.
func TestStoreErrorIsUnavailable(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"Grant", "Account"} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			calls := w.countCalls()
			tok, known := w.issue(), w.issue()
			w.wantStatus(w.call(known.token), 202)
			cause := errors.New("disk on fire")
			w.store.failOn(verb, cause)

			rec := httptest.NewRecorder()
			err := w.server.Guard("/mcp").Serve(rec, request("POST", "/mcp", "{}", bearer(tok.token)...), "/mcp",
				func(http.ResponseWriter, *http.Request, *gateway.Admitted) error { t.Error("admitted"); return nil })
			unavailable := (*gateway.Unavailable)(nil)
			if !errors.As(err, &unavailable) || !errors.Is(err, cause) {
				t.Errorf("error %v, want *Unavailable around the cause", err)
			}
			if rec.Body.Len() > 0 || rec.Header().Get("Retry-After") == "" || rec.Header().Get("WWW-Authenticate") != "" {
				t.Errorf("written: %v %q", rec.Header(), rec.Body)
			}
			w.wantStatus(w.call(tok.token), 503)
			w.wantStatus(w.call(known.token), 202) // needs no store
			w.store.failOn(verb, nil)
			w.wantStatus(w.call(tok.token), 202)
			if calls.Load() != 3 {
				t.Errorf("the backend was called %d times", calls.Load())
			}
		})
	}
}

// The error of the backend's handler is not ours to interpret.
func TestErrorOfNextIsReturnedUnchanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	want := errors.New("no upstreams available")
	err := w.server.Guard("/mcp").Serve(httptest.NewRecorder(), request("POST", "/mcp", "{}", bearer(w.issue().token)...), "/mcp",
		func(http.ResponseWriter, *http.Request, *gateway.Admitted) error { return want })
	if err != want { //nolint:errorlint // identity is what is promised
		t.Errorf("got %v", err)
	}
}

// A reconnecting client sends many requests at once after a restart: one read.
func TestFirstSightReadsTheStoreOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	calls := w.countCalls()
	tok := w.issue()
	entered, release := make(chan struct{}, 64), make(chan struct{})
	w.store.onGrant = func() { entered <- struct{}{}; <-release }
	var done sync.WaitGroup
	for range 64 {
		done.Go(func() {
			if resp := w.call(tok.token); resp.StatusCode != 202 {
				t.Errorf("status %d", resp.StatusCode)
			}
		})
	}
	<-entered
	time.Sleep(20 * time.Millisecond) // let the others come; fewer of them make the test weaker, not wrong
	close(release)
	done.Wait()
	if n := w.store.reads(); n != 1 || calls.Load() != 64 {
		t.Errorf("%d reads of the store for %d calls", n, calls.Load())
	}
}

// Whoever asked first hanging up must not fail the others who wait for the same read.
func TestFirstSightOutlivesTheOneWhoAskedFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tok := w.issue()
	entered, release := make(chan struct{}, 1), make(chan struct{})
	w.store.onGrant = func() { entered <- struct{}{}; <-release }
	ctx, hangUp := context.WithCancel(t.Context())
	var first, second int
	var done sync.WaitGroup
	done.Go(func() {
		first = w.do(request("POST", "/mcp", "{}", bearer(tok.token)...).WithContext(ctx)).StatusCode
	})
	<-entered
	hangUp()
	done.Go(func() { second = w.call(tok.token).StatusCode })
	time.Sleep(10 * time.Millisecond)
	close(release)
	done.Wait()
	if first != 200 || second != 200 || w.store.reads() != 1 {
		t.Errorf("status %d and %d after %d reads", first, second, w.store.reads())
	}
}

// The hot path and the attacker's path: neither touches the store (R8.3).
func TestNoStorageForKnownAndForgedTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tok := w.issue()
	w.wantStatus(w.call(tok.token), 200)
	sibling := w.seal(tok.grant, w.clock.Now().Add(time.Hour)) // unseen token of a known grant
	expired := w.seal(w.issue().grant, w.clock.Now())
	foreign := w.issue(func(g *storage.Grant) { g.Resource = issuer + "/elsewhere" })
	w.store.failOn("*", errors.New("nobody may ask the store"))
	reads := w.store.reads()
	for presented, want := range map[string]int{
		tok.token: 200, sibling: 200, expired: 401, foreign.token: 401, "mcpat_" + strings.Repeat("A", 300): 401,
		tok.token[:len(tok.token)-3] + "AAA": 401, "x": 401,
	} {
		for range 3 {
			w.wantStatus(w.call(presented), want)
		}
	}
	if n := w.store.reads() - reads; n != 0 {
		t.Errorf("%d reads of the store", n)
	}
}

// encryption_key is changed by a reload: what the removed key made ends with the
// next request, cached or not; what the kept one made goes on.
func TestSetRingDropsTokensOfRemovedKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tok, unseen := w.issue(), w.issue()
	w.wantStatus(w.call(tok.token), 200)

	w.state.SetRing(token.NewRing(token.Key{2}, token.Key{1}))
	w.wantStatus(w.call(tok.token), 200)
	w.wantStatus(w.call(unseen.token), 200)

	w.state.SetRing(token.NewRing(token.Key{2}))
	for _, presented := range []string{tok.token, unseen.token} {
		resp := w.call(presented)
		if resp.StatusCode != 401 || challengeParam(resp.Header.Get("WWW-Authenticate"), "error") != "invalid_token" {
			t.Errorf("token of a removed key: %d", resp.StatusCode)
		}
	}
	w.state.SetRing(token.NewRing(token.Key{3}, token.Key{1})) // and back: nothing was revoked
	w.wantStatus(w.call(tok.token), 200)
}

// Someone leaves the organization and signs in again, for another resource: the
// fresh facts are shown to the older grant's next request.
func TestNewFactsShowOnTheNextRequestOfAnOlderGrant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, guardedPair(t), func(c *gateway.Config) { c.Resources[0].Policy = rules(t, "org:acme") })
	_, older := w.tokens()
	unseen := w.issue(func(g *storage.Grant) { g.ClientID = "mcpc_other" })
	var seen http.Header
	w.backend = func(_ http.ResponseWriter, r *http.Request) { seen = r.Header.Clone() }
	w.wantStatus(w.call(older.AccessToken), 200)

	signInForOps := func() {
		t.Helper()
		clientID := w.register(loopbackURI)
		w.browser().code(authorizeQuery(clientID, loopbackURI, "resource", issuer+"/ops", "scope", "ops"))
	}
	w.up.change(func(id *identity.Identity) { id.Login = "renamed"; id.EmailVerified = false })
	signInForOps()
	w.wantStatus(w.call(older.AccessToken), 200)
	if seen.Get("X-Forwarded-Preferred-Username") != "renamed" || seen["X-Forwarded-Email"] != nil {
		t.Errorf("backend saw %v", seen)
	}

	w.up.change(func(id *identity.Identity) { id.Groups = nil })
	signInForOps()
	calls := w.countCalls()
	for _, tok := range []string{older.AccessToken, unseen.token} {
		resp := w.call(tok)
		if resp.StatusCode != 403 || resp.Header.Get("WWW-Authenticate") != "" {
			t.Errorf("left the organization: %d %q", resp.StatusCode, resp.Header.Get("WWW-Authenticate"))
		}
	}
	if calls.Load() != 0 {
		t.Error("the backend was called")
	}
	w.up.change(func(id *identity.Identity) { id.Groups = []string{"acme"} })
	signInForOps()
	w.wantStatus(w.call(older.AccessToken), 202) // and back again: the grant was kept
}

// Policy belongs to the configuration: a reload that removes a person answers 403
// without a challenge (another sign-in would not help, R9.5) and keeps the grant.
func TestPolicyChangeByReload(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tok := w.issue()
	w.wantStatus(w.call(tok.token), 200)
	reads := w.store.reads()
	change := func(rule string) {
		res := *w.config.Resources[0]
		res.Policy = rules(t, rule)
		w.config.Resources = []*gateway.Resource{&res}
		w.reload()
	}
	change("user:somebody")
	calls := w.countCalls()
	resp := w.call(tok.token)
	if e := decode[oauthError](t, resp); resp.StatusCode != 403 || e.Error != "access_denied" || resp.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("%d %+v %v", resp.StatusCode, e, resp.Header)
	}
	if calls.Load() != 0 {
		t.Error("the backend was called")
	}
	if _, err := w.store.Store.Grant(t.Context(), issuer, tok.grant.ID); err != nil {
		t.Errorf("the grant is gone: %v", err)
	}
	change("id:583231")
	w.wantStatus(w.call(tok.token), 202)
	if w.store.reads() != reads {
		t.Error("a reload read the store again")
	}
}

// A request that comes in while everything changes is answered by one truth or the
// other; run with -race.
func TestGuardUnderConcurrentChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.countCalls()
	tok := w.issue()
	var stop atomic.Bool
	var done sync.WaitGroup
	for range 4 {
		done.Go(func() {
			for !stop.Load() {
				if s := w.call(tok.token).StatusCode; s != 202 {
					t.Errorf("status %d", s)
					return
				}
			}
		})
	}
	for i := range 200 {
		w.state.SetRing(token.NewRing(token.Key{byte(i)}, token.Key{1}))
		w.state.Rejudge(func(string, identity.Identity) bool { return true })
	}
	stop.Store(true)
	done.Wait()
}
