// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// withScopes is a resource that tells clients of read and write, wants read on
// every request, and has admin for who asks for it.
func withScopes(c *gateway.Config) {
	c.Resources[0].Scopes = []string{"read", "write"}
	c.Resources[0].RequireScopes = []string{"read"}
	c.Resources[0].ScopeIncludes = oauth.ScopeHierarchy{"admin": {"write"}, "write": {"read"}}
}

func (w *world) holding(scope string) string {
	w.t.Helper()
	return w.issue(func(g *storage.Grant) { g.Scopes = strings.Fields(scope) }).token
}

func wantStepUp(t *testing.T, resp *http.Response, scope string) {
	t.Helper()
	want := `Bearer resource_metadata="` + issuer + `/.well-known/oauth-protected-resource/mcp", scope="` + scope +
		`", error="insufficient_scope", error_description="the access token lacks a scope that this MCP server requires"`
	if diff := cmp.Diff(want, resp.Header.Get("WWW-Authenticate")); diff != "" {
		t.Errorf("challenge (-want +got):\n%s", diff)
	}
	e := decode[oauthError](t, resp)
	if resp.StatusCode != http.StatusForbidden || e.Error != "insufficient_scope" || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %+v %v", resp.StatusCode, e, resp.Header)
	}
}

// A scope that includes the required one is enough (R9.4), whatever else is held.
func TestRequiredScopes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withScopes)
	calls := w.countCalls()
	for _, scope := range []string{"read", "write", "admin", "read write", "offline_access read", "x write"} {
		w.wantStatus(w.call(w.holding(scope)), http.StatusAccepted)
	}
	before := calls.Load()
	for held, challenge := range map[string]string{
		"": "read", "x": "read", "offline_access": "read", "Read": "read", "rea": "read", "read:x": "read",
	} {
		tok := w.holding(held)
		for range 2 {
			wantStepUp(t, w.call(tok), challenge)
		}
	}
	if calls.Load() != before {
		t.Error("the backend was called")
	}
}

// The challenge names what the token has and what it needs in one (R9.3): a client
// that asks for just that loses nothing and is not sent away a second time.
func TestStepUpChallengeIsTheUnion(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withScopes, func(c *gateway.Config) {
		c.Resources[0].Scopes = []string{"read", "audit", "admin"}
		c.Resources[0].RequireScopes = []string{"write", "audit"}
	})
	for held, want := range map[string]string{
		"read":                        "read write audit",
		"write":                       "write audit",
		"audit":                       "audit write",
		"read offline_access removed": "read write audit",
	} {
		wantStepUp(t, w.call(w.holding(held)), want)
	}
	w.wantStatus(w.call(w.holding("admin audit")), http.StatusOK)
}

// The story of a client that asked for less than it was told to: refused with the
// way out, it signs in for what the challenge says and gets in.
func TestStepUpStory(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withScopes, func(c *gateway.Config) {
		c.Resources[0].RequireScopes = []string{"write"}
	})
	id := w.register(loopbackURI)
	signIn := func(scope string) tokens {
		return w.redeem(codeForm(id, w.browser().code(authorizeQuery(id, loopbackURI, "scope", scope))))
	}
	first := signIn("read offline_access unknown")
	if first.Scope != "read offline_access" {
		t.Errorf("granted %q", first.Scope)
	}
	resp := w.call(first.AccessToken, "Origin", issuer)
	if expose := resp.Header.Get("Access-Control-Expose-Headers"); !strings.Contains(expose, "WWW-Authenticate") {
		t.Errorf("web clients cannot read the challenge: %q", expose)
	}
	wantStepUp(t, resp, "read write")
	second := signIn("read write")
	if second.Scope != "read write" {
		t.Errorf("granted %q", second.Scope)
	}
	w.wantCall("/mcp", second.AccessToken, http.StatusOK)
	// Refreshing for less than is required is the client's own doing, and reversible.
	less := w.redeem(with(refreshForm(id, second.RefreshToken), "scope", "read"))
	wantStepUp(t, w.call(less.AccessToken), "read write")
	w.wantCall("/mcp", w.redeem(refreshForm(id, less.RefreshToken)).AccessToken, http.StatusOK)
}

// What is told, what is asked, what is granted. Scopes of the hierarchy that are
// not told are for who asks by name; nothing unknown is ever granted, and asking
// for nothing, in whatever form, gets what is told.
func TestScopesGranted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withScopes)
	id := w.register(loopbackURI)
	for asked, want := range map[string]string{
		"": "read write", " ": "read write", "unknown": "read write", "read": "read", "write": "write", "admin": "admin",
		"admin read": "read admin", "admin unknown": "admin", "write read write": "read write", "offline_access": "read write offline_access",
		"admin offline_access": "admin offline_access", "Admin": "read write",
	} {
		q := authorizeQuery(id, loopbackURI)
		q.Set("scope", asked)
		tok := w.redeem(codeForm(id, w.browser().code(q)))
		if tok.Scope != want {
			t.Errorf("asked for %q, got %q, want %q", asked, tok.Scope, want)
		}
		w.wantCall("/mcp", tok.AccessToken, http.StatusOK)
	}
	for path, want := range map[string]string{
		oauth.WellKnownResource + "/mcp": `"scopes_supported":["read","write"]`,
		oauth.WellKnownServer:            `"scopes_supported":["read","write","offline_access"]`,
	} {
		if doc := body(t, w.get(path)); !strings.Contains(doc, want) {
			t.Errorf("%s: %s", path, doc)
		}
	}
	if got := w.postJSON("/mcp", "{}").Header.Get("WWW-Authenticate"); !strings.Contains(got, `scope="read write"`) {
		t.Errorf("challenge %q", got)
	}
}

// A refresh may ask for a scope that a granted one includes, and for no other.
func TestRefreshForAnIncludedScope(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withScopes)
	id := w.register(loopbackURI)
	tok := w.redeem(codeForm(id, w.browser().code(authorizeQuery(id, loopbackURI, "scope", "write"))))
	for asked, want := range map[string]string{"read": "read", "write read": "write read", "admin read": "read", "": "write"} {
		f := refreshForm(id, tok.RefreshToken)
		f.Set("scope", asked)
		next := w.redeem(f)
		if next.Scope != want {
			t.Errorf("asked for %q, got %q, want %q", asked, next.Scope, want)
		}
		tok = next
	}
	wantError(t, w.postForm(oauth.PathToken, with(refreshForm(id, tok.RefreshToken), "scope", "admin")), http.StatusBadRequest, "invalid_scope")
}

// Clients sign in again at every insufficient_scope. It must not be said where that
// cannot help: to a person who is not allowed, or about a token that is not good.
func TestStepUpOnlyWhereItHelps(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withScopes)
	denied := w.issue(func(g *storage.Grant) { g.Scopes, g.Identity.Login = []string{"x"}, "hubot" })
	resp := w.call(denied.token)
	if got := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != http.StatusForbidden || got != "" {
		t.Errorf("not allowed: %d %q", resp.StatusCode, got)
	}
	for _, tok := range []string{"x", flip(w.holding("x"))} {
		if got := w.call(tok).Header.Get("WWW-Authenticate"); !strings.Contains(got, `error="invalid_token"`) {
			t.Errorf("bad token: %q", got)
		}
	}
	resp = w.do(request(http.MethodOptions, "/mcp", "", "Origin", issuer))
	w.wantStatus(resp, http.StatusNoContent)
}

// What is required is the configuration's of now, also for tokens seen before.
func TestRequiredScopesAfterAReload(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tok := w.holding("mcp")
	w.wantStatus(w.call(tok), http.StatusOK)
	plain := *w.config.Resources[0]
	set := func(required ...string) {
		changed := plain
		changed.Scopes, changed.RequireScopes = []string{"mcp", "more"}, required
		w.config.Resources = []*gateway.Resource{&changed}
		w.reload()
	}
	set("mcp")
	w.wantStatus(w.call(tok), http.StatusOK)
	set("more")
	wantStepUp(t, w.call(tok), "mcp more")
	set()
	w.wantStatus(w.call(tok), http.StatusOK)
}

// A configuration under which a client that does as it is told is refused, or is
// told to ask for what nobody gets, does not start.
func TestScopeConfigurations(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		edit func(*gateway.Resource)
		want string
	}{
		"good":               {func(*gateway.Resource) {}, ""},
		"required, not told": {func(r *gateway.Resource) { r.RequireScopes = []string{"admin"} }, "scopes do not cover admin"},
		"required, unknown":  {func(r *gateway.Resource) { r.RequireScopes = []string{"read", "x"} }, "scopes do not cover x"},
		"circle":             {func(r *gateway.Resource) { r.ScopeIncludes = oauth.ScopeHierarchy{"a": {"a"}} }, "includes itself"},
		"offline_access":     {func(r *gateway.Resource) { r.RequireScopes = []string{"offline_access"} }, "do not cover offline_access"},
		"no scope":           {func(r *gateway.Resource) { r.ScopeIncludes = oauth.ScopeHierarchy{"a": {`"`}} }, "cannot be a scope"},
	} {
		w := newWorld(t, withScopes)
		tt.edit(w.config.Resources[0])
		_, err := gateway.New(w.state, w.config)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}
