// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// confidential is a client with a secret and the tokens it got.
type confidential struct {
	registered
	tokens
}

func (w *world) confidential() confidential {
	w.t.Helper()
	c := w.registerAs("client_secret_basic", loopbackURI)
	code := w.browser().code(authorizeQuery(c.ClientID, loopbackURI))
	f := codeForm(c.ClientID, code)
	f.Del("client_id")
	return confidential{c, w.redeem(f, "Authorization", basic(c.ClientID, c.ClientSecret))}
}

func (w *world) introspect(c confidential, tok string) *http.Response {
	w.t.Helper()
	return w.postForm(oauth.PathIntrospect, url.Values{"token": {tok}}, "Authorization", basic(c.ClientID, c.ClientSecret))
}

// wantIntrospection compares the answer, member by member.
func wantIntrospection(t *testing.T, resp *http.Response, want map[string]any) {
	t.Helper()
	var got map[string]any
	text := body(t, resp)
	if err := json.Unmarshal([]byte(text), &got); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%d %v: %s", resp.StatusCode, err, text)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("introspection (-want +got):\n%s", diff)
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Cache-Control": "no-store", "Access-Control-Allow-Origin": "",
	} {
		if got := resp.Header.Get(name); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
}

// wantInactive is the answer about everything that is not an active token of the
// client: these bytes and no other, so that nothing can be told from it.
func wantInactive(t *testing.T, resp *http.Response) {
	t.Helper()
	if text := body(t, resp); resp.StatusCode != http.StatusOK || text != `{"active":false}` {
		t.Errorf("got %d %s", resp.StatusCode, text)
	}
}

func TestIntrospection(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.confidential()
	now := w.clock.Now()
	common := func(more map[string]any) map[string]any {
		m := map[string]any{
			"active": true, "client_id": c.ClientID, "username": "octocat", "sub": "github:583231",
			"aud": resource, "iss": issuer, "scope": "mcp",
		}
		for k, v := range more {
			m[k] = v
		}
		return m
	}
	access := common(map[string]any{"token_type": "Bearer", "exp": float64(now.Add(time.Hour).Unix())})
	refresh := common(map[string]any{"exp": float64(now.Add(90 * 24 * time.Hour).Unix())})
	for range 2 { // looking changes nothing
		wantIntrospection(t, w.introspect(c, c.AccessToken), access)
		wantIntrospection(t, w.introspect(c, c.RefreshToken), refresh)
	}
	form := tokenForm(c.ClientID, c.AccessToken, "client_secret", c.ClientSecret, "token_type_hint", "refresh_token")
	wantIntrospection(t, w.postForm(oauth.PathIntrospect, form), access)

	// A token with less scope, and what it was exchanged from.
	second := w.redeem(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {c.RefreshToken}},
		"Authorization", basic(c.ClientID, c.ClientSecret))
	wantInactive(t, w.introspect(c, c.RefreshToken))
	wantIntrospection(t, w.introspect(c, second.RefreshToken), refresh)
	wantIntrospection(t, w.introspect(c, c.AccessToken), access)
}

// Every way in which a token is of no use now is the same answer.
func TestInactiveTokens(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*world, confidential){
		"revoked": func(w *world, c confidential) {
			wantRevoked(w.t, w.postForm(oauth.PathRevoke, tokenForm(c.ClientID, c.RefreshToken, "client_secret", c.ClientSecret)))
		},
		"expired": func(w *world, _ confidential) { w.clock.Advance(91 * 24 * time.Hour) },
		"not allowed any more": func(w *world, _ confidential) {
			w.config.Resources[0].Policy = rules(w.t, "user:somebody-else")
			w.reload()
		},
		"renamed, and a login is what counts": func(w *world, _ confidential) {
			w.up.change(func(id *identity.Identity) { id.Login = "hubot" })
			w.browser().signIn(authorizeQuery(w.register(loopbackURI), loopbackURI))
		},
		"audience gone": func(w *world, _ confidential) {
			other := *w.config.Resources[0]
			other.Path = "/other"
			w.config.Resources = []*gateway.Resource{&other}
			w.reload()
		},
		"audience is another path of another resource": func(w *world, _ confidential) {
			other := *w.config.Resources[0]
			other.Path, other.Also = "/other", []string{"/mcp"}
			w.config.Resources = []*gateway.Resource{&other}
			w.reload()
		},
		"keys gone": func(w *world, _ confidential) { w.state.SetRing(token.NewRing(token.Key{2})) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c := w.confidential()
			w.introspect(c, c.AccessToken) // it is known already
			change(w, c)
			wantInactive(t, w.introspect(c, c.AccessToken))
			if name != "audience is another path of another resource" { // whose refresh would say so, too
				wantInactive(t, w.introspect(c, c.RefreshToken))
			}
		})
	}
}

// The attack: a client asks about tokens of others to learn who their users are,
// or whether they are alive. A code is no token, and neither is nonsense.
func TestIntrospectionOfOtherTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, other := w.confidential(), w.confidential()
	public, tok := w.tokens()
	ring := token.NewRing(token.Key{1})
	seal := func(edit func(*token.Access)) string {
		a := token.Access{Issuer: issuer, GrantID: "g", ClientID: c.ClientID, Resource: resource, ExpiresAt: w.clock.Now().Add(time.Hour)}
		edit(&a)
		s, err := ring.SealAccess(a)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for name, foreign := range map[string]string{
		"another's access":  other.AccessToken,
		"another's refresh": other.RefreshToken,
		"a public client's": tok.AccessToken,
		"and its refresh":   tok.RefreshToken,
		"changed":           flip(c.AccessToken),
		"of another issuer": seal(func(a *token.Access) { a.Issuer = "https://other.example" }),
		"of no resource":    seal(func(a *token.Access) { a.Resource = issuer + "/none" }),
		"of no grant":       seal(func(*token.Access) {}),
		"refresh, no grant": ring.NewRefresh("g"),
		"a code":            ring.NewCode("g"),
		"its own secret":    c.ClientSecret,
		"its own id":        public,
		"nonsense":          "x",
	} {
		if wantInactive(t, w.introspect(c, foreign)); t.Failed() {
			t.Fatal(name)
		}
	}
	wantIntrospection(t, w.introspect(other, other.AccessToken), map[string]any{
		"active": true, "client_id": other.ClientID, "username": "octocat", "sub": "github:583231", "aud": resource, "iss": issuer,
		"scope": "mcp", "token_type": "Bearer", "exp": float64(w.clock.Now().Add(time.Hour).Unix()),
	})
}

// A grant that is still a code has no tokens.
func TestIntrospectionBeforeTheCodeIsRedeemed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.confidential()
	unredeemed := w.issue(func(g *storage.Grant) { g.ClientID, g.Code.RedeemedAt = c.ClientID, time.Time{} })
	wantInactive(t, w.introspect(c, unredeemed.token))
}

// Only a client that proves who it is may ask.
func TestIntrospectionRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.confidential()
	public, tok := w.tokens()
	for name, tt := range map[string]struct {
		form   url.Values
		header []string
		status int
		code   string
	}{
		"a public client, of its own token": {tokenForm(public, tok.AccessToken), nil, 401, "invalid_client"},
		"a public client with a secret":     {tokenForm(public, tok.AccessToken, "client_secret", "x"), nil, 401, "invalid_client"},
		"no client":                         {url.Values{"token": {c.AccessToken}}, nil, 401, "invalid_client"},
		"no secret":                         {tokenForm(c.ClientID, c.AccessToken), nil, 401, "invalid_client"},
		"wrong secret":                      {url.Values{"token": {c.AccessToken}}, []string{"Authorization", basic(c.ClientID, "x")}, 401, "invalid_client"},
		"the token itself as credential":    {url.Values{"token": {c.AccessToken}}, bearer(c.AccessToken), 401, "invalid_client"},
		"no token":                          {tokenForm(c.ClientID, "", "client_secret", c.ClientSecret), nil, 400, "invalid_request"},
		"two tokens":                        {url.Values{"token": {"a", "b"}}, []string{"Authorization", basic(c.ClientID, c.ClientSecret)}, 400, "invalid_request"},
	} {
		resp := w.postForm(oauth.PathIntrospect, tt.form, tt.header...)
		challenge := resp.Header.Get("WWW-Authenticate")
		if e := decode[oauthError](t, resp); resp.StatusCode != tt.status || e.Error != tt.code || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %+v", name, resp.StatusCode, e)
		}
		if (challenge != "") != (tt.status == 401 && tt.header != nil) {
			t.Errorf("%s: WWW-Authenticate %q", name, challenge)
		}
	}
}

// The store is away: not "inactive", which would be a lie that ends sessions, but
// 503 (M-11). Nobody's token is told about meanwhile.
func TestIntrospectionWhileTheStoreFails(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"Client", "Grant", "Account", "*"} {
		w := newWorld(t)
		c := w.confidential()
		w.store.failOn(verb, errDisk)
		for _, tok := range []string{c.AccessToken, c.RefreshToken} {
			resp := w.introspect(c, tok)
			if e := decode[oauthError](t, resp); resp.StatusCode != http.StatusServiceUnavailable || e.Error != "temporarily_unavailable" {
				t.Errorf("%s: %d %+v", verb, resp.StatusCode, e)
			}
		}
		w.store.failOn(verb, nil)
		if got := decode[oauth.Introspection](t, w.introspect(c, c.RefreshToken)); !got.Active {
			t.Errorf("%s: after the store is back: %+v", verb, got)
		}
	}
}
