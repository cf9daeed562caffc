// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// refused refreshes and must be told to sign in again.
func (w *world) refused(f url.Values) {
	w.t.Helper()
	wantError(w.t, w.postForm(oauth.PathToken, f), http.StatusBadRequest, "invalid_grant")
}

// Several processes of one client share a keychain entry and refresh in the same
// second (clients.md): all get the same successor, each an access token that
// works, and nobody is logged out.
func TestParallelRefresh(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, tok := w.tokens()
	for range 3 { // and again with the successor: the chain does not fork
		var wg sync.WaitGroup
		var mu sync.Mutex
		successors, access := map[string]bool{}, map[string]bool{}
		for range 64 {
			wg.Go(func() {
				next := w.redeem(refreshForm(id, tok.RefreshToken))
				mu.Lock()
				defer mu.Unlock()
				successors[next.RefreshToken], access[next.AccessToken] = true, true
			})
		}
		wg.Wait()
		if len(successors) != 1 || len(access) != 64 {
			t.Fatalf("%d successors, %d access tokens", len(successors), len(access))
		}
		for a := range access {
			w.wantCall("/mcp", a, http.StatusOK)
		}
		for s := range successors {
			if s == tok.RefreshToken {
				t.Fatal("the token was not rotated")
			}
			tok.RefreshToken = s
		}
	}
}

// The answer got lost and the client comes back: at once, after minutes, and up
// to a quarter of an hour, as long as its successor was never used.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, tok := w.tokens()
	first := w.redeem(refreshForm(id, tok.RefreshToken))
	for _, later := range []time.Duration{0, 30 * time.Second, 7*time.Minute + 45*time.Second, 6*time.Minute + 45*time.Second} {
		w.clock.Advance(later) // 15 minutes in all
		again := w.redeem(refreshForm(id, tok.RefreshToken))
		if again.RefreshToken != first.RefreshToken {
			t.Fatalf("after %v: another successor", later)
		}
		w.wantCall("/mcp", again.AccessToken, http.StatusOK)
	}
	w.clock.Advance(time.Second)
	w.refused(refreshForm(id, tok.RefreshToken))
	w.refused(refreshForm(id, first.RefreshToken)) // that was reuse
}

// A stolen refresh token is used after the client went on: the thief gets
// nothing, and what the client has is dead with the next call, because which of
// the two is the client cannot be told (R7.7).
func TestStolenRefreshTokenIsNoticed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, tok := w.tokens()
	stolen := refreshForm(id, tok.RefreshToken)
	second := w.redeem(stolen)
	third := w.redeem(refreshForm(id, second.RefreshToken))
	w.clock.Advance(61 * time.Second)
	for _, a := range []string{tok.AccessToken, second.AccessToken, third.AccessToken} {
		w.wantCall("/mcp", a, http.StatusOK)
	}
	w.refused(stolen)
	for _, a := range []string{tok.AccessToken, second.AccessToken, third.AccessToken} {
		w.wantCall("/mcp", a, http.StatusUnauthorized)
	}
	w.refused(refreshForm(id, third.RefreshToken))
	if !strings.Contains(w.log.String(), "refresh token reused") {
		t.Error("nobody was told")
	}
}

// The thief is first. The client, which comes later, is refused and that ends
// the thief's access, too.
func TestThiefComesFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, tok := w.tokens()
	thief := w.redeem(refreshForm(id, tok.RefreshToken))
	thief = w.redeem(refreshForm(id, thief.RefreshToken))
	w.clock.Advance(2 * time.Minute)
	w.refused(refreshForm(id, tok.RefreshToken))
	w.wantCall("/mcp", thief.AccessToken, http.StatusUnauthorized)
	w.refused(refreshForm(id, thief.RefreshToken))
}

// Within the grace a token is answered although its successor was used: a slow
// process of the client, not a thief. It gets that successor and nothing newer.
func TestSlowProcessWithinGrace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, tok := w.tokens()
	second := w.redeem(refreshForm(id, tok.RefreshToken))
	w.clock.Advance(30 * time.Second)
	third := w.redeem(refreshForm(id, second.RefreshToken))
	w.clock.Advance(30 * time.Second)
	slow := w.redeem(refreshForm(id, tok.RefreshToken))
	if slow.RefreshToken != second.RefreshToken {
		t.Error("the slow process did not get the successor of its token")
	}
	again := w.redeem(refreshForm(id, slow.RefreshToken))
	if again.RefreshToken != third.RefreshToken {
		t.Error("the chain forked")
	}
}

// A clock that was set back ages nothing, and kills nothing.
func TestRefreshWithTheClockSetBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, tok := w.tokens()
	second := w.redeem(refreshForm(id, tok.RefreshToken))
	w.clock.Advance(-5 * time.Minute)
	if again := w.redeem(refreshForm(id, tok.RefreshToken)); again.RefreshToken != second.RefreshToken {
		t.Error("the repeat got another successor")
	}
	third := w.redeem(refreshForm(id, second.RefreshToken))
	w.wantCall("/mcp", third.AccessToken, http.StatusOK)
	w.clock.Advance(10 * time.Minute)
	w.redeem(refreshForm(id, third.RefreshToken))
}

// encryption_key is replaced between the first answer, which got lost, and the
// repeat: the same successor all the same. When the old key goes, its tokens go.
func TestRefreshAcrossAKeyRotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, tok := w.tokens()
	first := w.redeem(refreshForm(id, tok.RefreshToken))
	w.state.SetRing(token.NewRing(token.Key{2}, token.Key{1}))
	again := w.redeem(refreshForm(id, tok.RefreshToken))
	if again.RefreshToken != first.RefreshToken {
		t.Error("the repeat after the rotation got another successor")
	}
	w.wantCall("/mcp", first.AccessToken, http.StatusOK)
	w.wantCall("/mcp", again.AccessToken, http.StatusOK)
	second := w.redeem(refreshForm(id, again.RefreshToken))
	w.state.SetRing(token.NewRing(token.Key{2}))
	w.wantCall("/mcp", first.AccessToken, http.StatusUnauthorized)
	w.wantCall("/mcp", second.AccessToken, http.StatusOK)
	w.refused(refreshForm(id, tok.RefreshToken)) // no longer ours, hence no reuse either
	w.redeem(refreshForm(id, second.RefreshToken))
}

// Somebody learned a grant id, which is no secret, and makes up a refresh token
// for it. It dies before the store is asked, and logs nobody out (ADR 0004).
func TestForgedRefreshTokenTouchesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, tok := w.tokens()
	grant, secret, _ := strings.Cut(tok.RefreshToken, ".")
	reads := w.store.grantReads
	for _, forged := range []string{
		grant + "." + flip(secret), grant + "." + secret[:len(secret)-1], grant + "." + secret + "A", grant + ".", grant,
		grant + "." + strings.Repeat("A", len(secret)), token.NewRing(token.Key{7}).NewRefresh(strings.TrimPrefix(grant, "mcprt_")),
		strings.Replace(tok.RefreshToken, "mcprt_", "mcpac_", 1), tok.AccessToken, "mcprt_", ".",
		"mcprt_AAAAAAAAAAAAAAAAAAAAAA." + secret,
	} {
		w.refused(refreshForm(id, forged))
	}
	if w.store.grantReads != reads {
		t.Errorf("%d grants were read for forged tokens", w.store.grantReads-reads)
	}
	w.wantCall("/mcp", tok.AccessToken, http.StatusOK)
	w.redeem(refreshForm(id, tok.RefreshToken))
}

// A refresh token is its client's alone. Another's attempt uses nothing up.
func TestRefreshByAnotherClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, tok := w.tokens()
	other, third := w.register(loopbackURI), w.registerAs("client_secret_post", loopbackURI)
	w.refused(refreshForm(other, tok.RefreshToken))
	w.refused(with(refreshForm(third.ClientID, tok.RefreshToken), "client_secret", third.ClientSecret))
	next := w.redeem(refreshForm(id, tok.RefreshToken))
	w.clock.Advance(time.Hour)
	w.refused(refreshForm(other, tok.RefreshToken)) // late, but not ours to judge for them
	w.redeem(refreshForm(id, next.RefreshToken))
}

// The operator narrows the list and widens it again: refused meanwhile, but not
// signed out, since the operator may have made a mistake (design decision 4).
func TestRefreshWhileNotAllowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, tok := w.tokens()
	allowed := w.config.Resources
	w.config.Resources = []*gateway.Resource{{Path: "/mcp", Scopes: []string{"mcp"}, Policy: rules(t, "user:nobody")}}
	w.reload()
	w.refused(refreshForm(id, tok.RefreshToken))
	w.wantCall("/mcp", tok.AccessToken, http.StatusForbidden)
	w.config.Resources = []*gateway.Resource{{Path: "/else", Scopes: []string{"mcp"}, Policy: rules(t, "user:octocat")}}
	w.reload()
	w.refused(refreshForm(id, tok.RefreshToken))
	w.config.Resources = allowed
	w.reload()
	next := w.redeem(refreshForm(id, tok.RefreshToken))
	w.wantCall("/mcp", next.AccessToken, http.StatusOK)
}

// A later sign-in brought newer facts of the person: they decide, not what the
// grant began with.
func TestRefreshIsJudgedByTheNewestFacts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *gateway.Config) { c.Resources[0].Policy = rules(t, "org:acme") })
	id, tok := w.tokens()
	w.up.identity.Groups = nil // left the organization
	b, _, state := w.begun(loopbackURI)
	wantPage(t, b.callback(state), http.StatusForbidden, "not_allowed")
	// What a refused sign-in told is not kept; what the recheck will store is.
	gone := octocat()
	gone.Groups = nil
	if err := w.store.SaveAccount(t.Context(), &storage.Account{Subject: gone.Subject(), Identity: gone, CheckedAt: w.clock.Now()}); err != nil {
		t.Fatal(err)
	}
	w.refused(refreshForm(id, tok.RefreshToken))
}

// 90 days from the last use, for as long as it is used; and not a second more.
func TestRefreshLifeSlides(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, tok := w.tokens()
	for range 5 {
		w.clock.Advance(90*24*time.Hour - time.Second)
		tok = w.redeem(refreshForm(id, tok.RefreshToken))
	}
	w.clock.Advance(90 * 24 * time.Hour)
	w.refused(refreshForm(id, tok.RefreshToken))
}

// A client that refreshes in a tight loop does not grow its record without end,
// and stays signed in.
func TestRefreshLoop(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rec := w.observed()
	id, tok := w.tokens()
	for range 50 {
		tok = w.redeem(refreshForm(id, tok.RefreshToken))
	}
	before := len(rec.atRest())
	tok = w.redeem(refreshForm(id, tok.RefreshToken))
	if grown := len(rec.atRest()) - before; grown > 20_000 {
		t.Errorf("the record has %d bytes", grown)
	}
	w.wantCall("/mcp", tok.AccessToken, http.StatusOK)
}
