// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// A thief has the code, from a log, a history or a hijacked port, but not the
// verifier. They get nothing, they do not use the code up, and after the client
// has redeemed it they cannot revoke its tokens either (OAuth 2.1 §7.5.3).
func TestStolenCodeWithoutVerifier(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.register(loopbackURI)
	code := w.browser().code(authorizeQuery(id, loopbackURI))
	thief := func() {
		t.Helper()
		wantError(t, w.postForm(oauth.PathToken, with(codeForm(id, code), "code_verifier", "")), http.StatusBadRequest, "invalid_request")
		wantError(t, w.postForm(oauth.PathToken, with(codeForm(id, code), "code_verifier", flip(verifier))), http.StatusBadRequest, "invalid_grant")
	}
	thief()
	tok := w.redeem(codeForm(id, code))
	thief()
	w.wantCall("/mcp", tok.AccessToken, http.StatusOK)
	w.redeem(refreshForm(id, tok.RefreshToken))
}

// Code injection: an attacker makes a victim's client redeem the attacker's code.
// The challenge belongs to the attacker's request, so the victim's verifier does
// not fit (RFC 9700 §4.5).
func TestInjectedCode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.register(loopbackURI)
	attackers := w.browser().code(authorizeQuery(id, loopbackURI, "code_challenge", "kFMmKnSQT3vgnGzrsHBmbiTqPYvzBgzwlKEvYYaBjAI"))
	wantError(t, w.postForm(oauth.PathToken, codeForm(id, attackers)), http.StatusBadRequest, "invalid_grant")
}

// The code comes again with everything that belongs to it: one of the two is not
// the client, so both lose, and at once (RFC 6749 §4.1.2).
func TestReplayedCodeRevokesTheGrant(t *testing.T) {
	t.Parallel()
	for name, later := range map[string]time.Duration{"at once": 0, "after its minute": 2 * time.Minute, "a month later": 30 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *gateway.Config) { c.AccessTokenTTL = 60 * 24 * time.Hour })
			id := w.register(loopbackURI)
			f := codeForm(id, w.browser().code(authorizeQuery(id, loopbackURI)))
			tok := w.redeem(f)
			w.wantCall("/mcp", tok.AccessToken, http.StatusOK)
			w.clock.Advance(later)
			wantError(t, w.postForm(oauth.PathToken, f), http.StatusBadRequest, "invalid_grant")
			w.wantCall("/mcp", tok.AccessToken, http.StatusUnauthorized)
			wantError(t, w.postForm(oauth.PathToken, refreshForm(id, tok.RefreshToken)), http.StatusBadRequest, "invalid_grant")
			wantError(t, w.postForm(oauth.PathToken, f), http.StatusBadRequest, "invalid_grant")
		})
	}
}

// Of the person's other grants nothing is lost by that.
func TestReplayRevokesOnlyItsOwnGrant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, other := w.tokens()
	id := w.register(loopbackURI)
	f := codeForm(id, w.browser().code(authorizeQuery(id, loopbackURI)))
	w.redeem(f)
	w.postForm(oauth.PathToken, f)
	w.wantCall("/mcp", other.AccessToken, http.StatusOK)
}

// 64 at once: one code, one token set. The others are replays, so that one is
// dead again, too.
func TestCodeRace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.register(loopbackURI)
	f := codeForm(id, w.browser().code(authorizeQuery(id, loopbackURI)))
	var wg sync.WaitGroup
	var mu sync.Mutex
	var won []tokens
	for range 64 {
		wg.Go(func() {
			resp := w.postForm(oauth.PathToken, f)
			if resp.StatusCode == http.StatusOK {
				mu.Lock()
				defer mu.Unlock()
				won = append(won, decode[tokens](t, resp))
				return
			}
			wantError(t, resp, http.StatusBadRequest, "invalid_grant")
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Fatalf("%d token sets of one code", len(won))
	}
	w.wantCall("/mcp", won[0].AccessToken, http.StatusUnauthorized)
	wantError(t, w.postForm(oauth.PathToken, refreshForm(id, won[0].RefreshToken)), http.StatusBadRequest, "invalid_grant")
}

// Client B redeems the code of client A, public or with a secret of its own, and
// even knowing the verifier. A's code stays good.
func TestCodeOfAnotherClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b, c := w.register(loopbackURI), w.register(loopbackURI), w.registerAs("client_secret_post", loopbackURI)
	code := w.browser().code(authorizeQuery(a, loopbackURI))
	wantError(t, w.postForm(oauth.PathToken, codeForm(b, code)), http.StatusBadRequest, "invalid_grant")
	wantError(t, w.postForm(oauth.PathToken, with(codeForm(c.ClientID, code), "client_secret", c.ClientSecret)), http.StatusBadRequest, "invalid_grant")
	tok := w.redeem(codeForm(a, code))
	// Nor does B's "replay" revoke what A got.
	wantError(t, w.postForm(oauth.PathToken, codeForm(b, code)), http.StatusBadRequest, "invalid_grant")
	w.wantCall("/mcp", tok.AccessToken, http.StatusOK)
}

// Another issuer of the same gateway, with the same keys and store.
func TestCodeAtAnotherIssuer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.register(loopbackURI)
	f := codeForm(id, w.browser().code(authorizeQuery(id, loopbackURI)))
	home, cfg := w.server, w.config
	cfg.Issuer = "https://other.example.com"
	other, err := gateway.New(w.state, cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.server = other
	wantError(t, w.postForm(oauth.PathToken, f), http.StatusUnauthorized, "invalid_client")
	there := w.register(loopbackURI)
	wantError(t, w.postForm(oauth.PathToken, with(f, "client_id", there, "resource", "")), http.StatusBadRequest, "invalid_grant")
	w.server = home
	w.redeem(f)
}

func TestCodeExpires(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.register(loopbackURI)
	f := codeForm(id, w.browser().code(authorizeQuery(id, loopbackURI)))
	w.clock.Advance(time.Minute)
	wantError(t, w.postForm(oauth.PathToken, f), http.StatusBadRequest, "invalid_grant")
	f = codeForm(id, w.browser().code(authorizeQuery(id, loopbackURI)))
	w.clock.Advance(time.Minute - time.Second)
	w.redeem(f)
}

// redirect_uri at the token endpoint: enforced if it is there (TestTokenErrors),
// and not asked for, because OAuth 2.1 clients leave it out (R7.4).
func TestRedirectURIMayBeLeftOutAtTheTokenEndpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.register(loopbackURI)
	for _, atAuthorize := range []string{loopbackURI, ""} {
		w.redeem(with(codeForm(id, w.browser().code(authorizeQuery(id, atAuthorize))), "redirect_uri", ""))
	}
}

// Between code and token the world changed.
func TestCodeAfterTheWorldChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, twoResources(t))
	id := w.register(loopbackURI)
	q := authorizeQuery(id, loopbackURI, "resource", issuer+"/ops")
	f := with(codeForm(id, w.browser().code(q)), "resource", "")

	ops := w.config.Resources[1]
	w.config.Resources[1] = &gateway.Resource{Path: "/ops", Scopes: ops.Scopes, Policy: rules(t, "user:nobody")}
	w.reload()
	wantError(t, w.postForm(oauth.PathToken, f), http.StatusBadRequest, "invalid_grant")

	w.config.Resources = w.config.Resources[:1]
	w.reload()
	wantError(t, w.postForm(oauth.PathToken, f), http.StatusBadRequest, "invalid_grant")

	// Neither used it up.
	w.config.Resources = append(w.config.Resources, ops)
	w.state.SetRing(token.NewRing(token.Key{2}, token.Key{1}))
	w.reload()
	w.wantCall("/ops", w.redeem(f).AccessToken, http.StatusOK)
}

// No token is ever good for longer than its grant, or the grant's end would not
// be one.
func TestAccessTokenEndsWithTheGrant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *gateway.Config) { c.AccessTokenTTL, c.RefreshTokenTTL = 2*time.Hour, 2*time.Hour })
	id, tok := w.tokens()
	if tok.ExpiresIn != 7200 {
		t.Errorf("expires_in %d", tok.ExpiresIn)
	}
	// A repeat is answered while the grant goes on from its first answer.
	first := w.redeem(refreshForm(id, tok.RefreshToken))
	w.clock.Advance(10 * time.Minute)
	again := w.redeem(refreshForm(id, tok.RefreshToken))
	if first.RefreshToken != again.RefreshToken || again.ExpiresIn != 7200-600 {
		t.Errorf("repeated answer is good for %d s, the grant for %d s", again.ExpiresIn, 7200-600)
	}
	w.clock.Advance(110*time.Minute - time.Second)
	w.wantCall("/mcp", again.AccessToken, http.StatusOK)
	w.clock.Advance(time.Second)
	w.wantCall("/mcp", again.AccessToken, http.StatusUnauthorized)
	wantError(t, w.postForm(oauth.PathToken, refreshForm(id, again.RefreshToken)), http.StatusBadRequest, "invalid_grant")
}
