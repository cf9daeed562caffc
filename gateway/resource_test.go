// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"net/http"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
)

// What clients call a resource, and what they get a token for: that one resource
// and no other (R5.9, R5.10, R7.5).
func TestResourceAtAuthorize(t *testing.T) {
	t.Parallel()
	w := newWorld(t, twoResources(t))
	id := w.register(loopbackURI)
	for name, tt := range map[string]struct {
		raw string
		mcp bool
	}{
		"absent":            {"", true},
		"empty":             {"&resource=", true},
		"exact":             {"&resource=https://mcp.example.com/mcp", true},
		"trailing slash":    {"&resource=https://mcp.example.com/mcp/", true},
		"host in capitals":  {"&resource=HTTPS://MCP.Example.COM/mcp", true},
		"default port":      {"&resource=https://mcp.example.com:443/mcp", true},
		"query":             {"&resource=https://mcp.example.com/mcp?utm_source=claude", true},
		"twice the same":    {"&resource=https://mcp.example.com/mcp&resource=https://mcp.example.com/mcp/", true},
		"origin":            {"&resource=https://mcp.example.com", true},
		"origin with slash": {"&resource=https://mcp.example.com/", true},
		"second":            {"&resource=https://mcp.example.com/ops", false},
		"further path":      {"&resource=https://mcp.example.com/sse", false},
		"its other path":    {"&resource=https://mcp.example.com/messages/", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := w.browser()
			page := b.get(oauth.PathAuthorize + "?" + authorizeQuery(id, loopbackURI, "resource", "").Encode() + tt.raw)
			action, fields := form(t, wantPage(t, page, http.StatusOK, ""))
			loc := location(t, b.callback(upstreamState(t, b.approve(action, fields))))
			tok := w.redeem(with(codeForm(id, loc.Query().Get("code")), "resource", ""))
			in, out := "/mcp", "/ops"
			if !tt.mcp {
				in, out = out, in
			}
			w.wantCall(in, tok.AccessToken, http.StatusOK)
			w.wantCall(out, tok.AccessToken, http.StatusUnauthorized)
		})
	}
}

func TestResourceAtTheTokenEndpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t, twoResources(t))
	id := w.register(loopbackURI)
	const good, bad = "", "invalid_target"
	for name, tt := range map[string]struct{ resource, code string }{
		"absent":            {"", good},
		"exact":             {issuer + "/ops", good},
		"trailing slash":    {issuer + "/ops/", good},
		"host in capitals":  {"HTTPS://MCP.EXAMPLE.COM/ops", good},
		"default port":      {issuer + ":443/ops", good},
		"query":             {issuer + "/ops?kb_name=x", good},
		"further path":      {issuer + "/sse", good},
		"origin":            {issuer, good}, // of a grant that names its resource: no widening
		"the other one":     {resource, bad},
		"path in capitals":  {issuer + "/OPS", bad},
		"deeper":            {issuer + "/ops/x", bad},
		"another port":      {issuer + ":8443/ops", bad},
		"plain http":        {"http://mcp.example.com/ops", bad},
		"another host":      {"https://evil.example/ops", bad},
		"user":              {"https://mcp.example.com@evil.example/ops", bad},
		"dot segments":      {issuer + "/mcp/../ops", bad},
		"encoded":           {issuer + "/%6fps", bad},
		"no path separator": {issuer + "ops", bad},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code := w.browser().code(authorizeQuery(id, loopbackURI, "resource", issuer+"/ops"))
			resp := w.postForm(oauth.PathToken, with(codeForm(id, code), "resource", tt.resource))
			if tt.code == bad {
				wantError(t, resp, http.StatusBadRequest, bad)
				resp = w.postForm(oauth.PathToken, with(codeForm(id, code), "resource", ""))
			}
			tok := w.wantTokens(resp)
			w.wantCall("/ops", tok.AccessToken, http.StatusOK)
			w.wantCall("/sse", tok.AccessToken, http.StatusOK)
			w.wantCall("/mcp", tok.AccessToken, http.StatusUnauthorized)
			resp = w.postForm(oauth.PathToken, with(refreshForm(id, tok.RefreshToken), "resource", tt.resource))
			if tt.code == bad {
				wantError(t, resp, http.StatusBadRequest, bad)
				return
			}
			tok = w.wantTokens(resp)
			w.wantCall("/ops", tok.AccessToken, http.StatusOK)
			w.wantCall("/mcp", tok.AccessToken, http.StatusUnauthorized)
		})
	}
}

// Scopes: unknown ones are dropped, none means all, and what was granted is said.
func TestScopesAtAuthorize(t *testing.T) {
	t.Parallel()
	w := newWorld(t, twoResources(t))
	id := w.register(loopbackURI)
	for requested, want := range map[string]string{
		"": "read write", "read": "read", "write read": "read write", "read admin": "read", "mcp": "read write",
		"offline_access": "read write offline_access", "read offline_access": "read offline_access",
		"openid email profile": "read write", "  write  ": "write", "READ": "read write",
	} {
		code := w.browser().code(authorizeQuery(id, loopbackURI, "resource", issuer+"/ops", "scope", requested))
		tok := w.redeem(with(codeForm(id, code), "resource", ""))
		if tok.Scope != want {
			t.Errorf("%q: got %q, want %q", requested, tok.Scope, want)
		}
		if tok.RefreshToken == "" {
			t.Errorf("%q: no refresh token", requested)
		}
	}
}

// A refresh can ask for less, never for more, and less is not for ever.
func TestScopesAtRefresh(t *testing.T) {
	t.Parallel()
	w := newWorld(t, twoResources(t))
	id := w.register(loopbackURI)
	code := w.browser().code(authorizeQuery(id, loopbackURI, "resource", issuer+"/ops", "scope", "read offline_access"))
	tok := w.redeem(with(codeForm(id, code), "resource", "", "scope", "read write")) // ignored there
	if tok.Scope != "read offline_access" {
		t.Errorf("scope %q", tok.Scope)
	}
	for _, step := range []struct{ requested, want string }{
		{"", "read offline_access"}, {"read", "read"}, {"read write", "read"}, {"offline_access read", "read offline_access"}, {"", "read offline_access"},
	} {
		tok = w.redeem(with(refreshForm(id, tok.RefreshToken), "scope", step.requested))
		if tok.Scope != step.want {
			t.Errorf("%q: got %q, want %q", step.requested, tok.Scope, step.want)
		}
	}
	for _, requested := range []string{"write", "admin", "READ"} {
		wantError(t, w.postForm(oauth.PathToken, with(refreshForm(id, tok.RefreshToken), "scope", requested)), http.StatusBadRequest, "invalid_scope")
	}
	w.redeem(refreshForm(id, tok.RefreshToken))
}
