// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// tokenUpstream is the scripted upstream with tokens, which can be asked again.
type tokenUpstream struct {
	*scriptedUpstream
	hints []upstream.Hint
}

func (u *tokenUpstream) Identify(ctx context.Context, q url.Values, verifier, redirect string) (*upstream.SignIn, error) {
	in, err := u.scriptedUpstream.Identify(ctx, q, verifier, redirect)
	if err != nil {
		return nil, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	in.Token, in.Hints = &upstream.Token{Access: fmt.Sprintf("gho_secret%d", u.calls)}, u.hints
	return in, nil
}

func (u *tokenUpstream) NeedsToken() bool { return true }

func (u *tokenUpstream) Check(context.Context, identity.Identity, *upstream.Token, func(*upstream.Token) error) (identity.Identity, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.identity, u.err
}

// withTokens gives the upstream tokens, and has the resource forward them if asked.
func withTokens(forward bool) func(*gateway.Config) {
	return func(c *gateway.Config) {
		c.Upstreams = []upstream.Upstream{&tokenUpstream{scriptedUpstream: c.Upstreams[0].(*scriptedUpstream)}}
		c.Resources[0].ForwardUpstreamToken = forward
	}
}

func (w *world) keptToken() string {
	w.t.Helper()
	a, err := w.store.Account(w.t.Context(), octocat().Subject())
	if err != nil {
		w.t.Fatal(err)
	}
	return a.Token
}

// Tokens are dropped unless something needs them, and never stand in the store as
// they are.
func TestUpstreamTokenIsDroppedUnlessNeeded(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		forward bool
		recheck *gateway.Recheck
		kept    bool
	}{
		"nothing configured":          {kept: false},
		"checks turned off":           {recheck: &gateway.Recheck{}, kept: false},
		"checks":                      {recheck: &gateway.Recheck{Interval: time.Minute}, kept: true},
		"forwarded here":              {forward: true, kept: true},
		"forwarded by another issuer": {recheck: &gateway.Recheck{Forwards: true}, kept: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, withTokens(tt.forward))
			if tt.recheck != nil {
				w.recheck(func(r *gateway.Recheck) {
					r.Interval, r.Forwards = tt.recheck.Interval, tt.recheck.Forwards || tt.forward
				})
			}
			w.tokens()
			kept := w.keptToken()
			if (kept != "") != tt.kept {
				t.Errorf("kept %q", kept)
			}
			if strings.Contains(kept+w.log.String(), "gho_secret") {
				t.Error("the token is readable")
			}
		})
	}
}

// The option is turned on, for people who are connected already: their clients are
// sent to sign in once more, by the guard and by the token endpoint alike, and the
// browser session does not stand in for that. Afterwards the backend gets the token,
// and nobody else does.
func TestForwardingIsTurnedOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withTokens(false))
	var seen []string
	w.backend = func(_ http.ResponseWriter, r *http.Request) { seen = r.Header["Authorization"] }
	b := w.browser()
	id := w.register(loopbackURI)
	tok := w.redeem(codeForm(id, b.code(authorizeQuery(id, loopbackURI))))
	w.wantCall("/mcp", tok.AccessToken, http.StatusOK)
	if seen != nil {
		t.Errorf("the backend got %v", seen)
	}
	w.config.Resources[0].ForwardUpstreamToken = true
	w.reload()
	w.wantCall("/mcp", tok.AccessToken, http.StatusUnauthorized)
	w.refused(refreshForm(id, tok.RefreshToken))
	// The page names nobody, and says what the backend will get.
	page := b.get(oauth.PathAuthorize + "?" + authorizeQuery(id, loopbackURI).Encode())
	text := body(t, page)
	if strings.Contains(text, "Go on as") || !strings.Contains(text, "GitHub") || !strings.Contains(text, "token") {
		t.Errorf("the consent page:\n%s", text)
	}
	tok = w.redeem(codeForm(id, b.code(authorizeQuery(id, loopbackURI))))
	w.wantCall("/mcp", tok.AccessToken, http.StatusOK)
	if len(seen) != 1 || seen[0] != "Bearer gho_secret2" {
		t.Errorf("the backend got %v", seen)
	}
	// Signed in with a token: the session will do from now on.
	wantAsked(t, b.get(oauth.PathAuthorize+"?"+authorizeQuery(id, loopbackURI).Encode()), "octocat")
	w.redeem(refreshForm(id, tok.RefreshToken))
	if strings.Contains(w.log.String(), "gho_secret") {
		t.Error("the token is in the log")
	}
}

// What a person agreed to for good did not say that the backend gets their token.
func TestRememberedConsentBeforeForwarding(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withTokens(false))
	w.recheck() // the token is kept: it is only the consent that is missing
	b := w.signedIn()
	q := authorizeQuery(w.register(webURI), webURI)
	b.remembers(q)
	wantCode(t, b.fromClient(q))
	w.config.Resources[0].ForwardUpstreamToken = true
	w.reload()
	wantAsked(t, b.fromClient(q), "octocat")
	b.remembers(q)
	wantCode(t, b.fromClient(q))
	w.config.Resources[0].ForwardUpstreamToken = false
	w.reload()
	wantCode(t, b.fromClient(q)) // what was agreed to at first
}

// The page was shown before the option was turned on: approving it approves something
// else (M-34).
func TestConsentPageOfBeforeForwarding(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withTokens(false))
	b := w.browser()
	action, fields := b.open(authorizeQuery(w.register(loopbackURI), loopbackURI))
	w.config.Resources[0].ForwardUpstreamToken = true
	w.reload()
	wantPage(t, b.approve(action, fields), http.StatusBadRequest, "flow_expired")
}

// An upstream that gave no token after all, and one that never does.
func TestForwardingWithoutATokenAtAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *gateway.Config) { c.Resources[0].ForwardUpstreamToken = true })
	rec := w.observed()
	wantPage(t, w.browser().signIn(authorizeQuery(w.register(loopbackURI), loopbackURI)), http.StatusForbidden, "no_upstream_token")
	if rec.count("CreateGrant") != 0 {
		t.Error("a grant was made")
	}
}

// An organization hides until the person signs in there first: the page says where.
func TestHintsOfTheProviderAreShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withTokens(false), func(c *gateway.Config) {
		c.Resources[0].Policy = rules(t, "org:hidden")
		c.Upstreams[0].(*tokenUpstream).hints = []upstream.Hint{{Text: "hidden wants you to sign in with SSO.", URL: "https://github.example/orgs/hidden/sso"}}
	})
	page := wantPage(t, w.browser().signIn(authorizeQuery(w.register(loopbackURI), loopbackURI)), http.StatusForbidden, "not_allowed")
	for _, want := range []string{"hidden wants you to sign in with SSO.", `href="https://github.example/orgs/hidden/sso"`} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s on the page:\n%s", want, page)
		}
	}
}

// Introspection says what the guard would say: a token of somebody who was removed is
// not active from the interval on.
func TestIntrospectionLooksAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withTokens(false))
	w.recheck()
	c := w.confidential()
	if text := body(t, w.introspect(c, c.AccessToken)); !strings.Contains(text, `"active":true`) {
		t.Errorf("before: %s", text)
	}
	w.up.change(func(id *identity.Identity) { id.Login = "somebody-else" })
	w.clock.Advance(recheckInterval)
	wantInactive(t, w.introspect(c, c.AccessToken))
}
