// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
)

// A cookie with __Host- is refused by browsers unless it is Secure, has no Domain
// and Path=/ (RFC 6265bis §4.1.3.2). Lax, because the upstream's answer is a
// cross-site navigation: a Strict one would be missing there.
func TestCookiesOnHTTPS(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	id := w.register(loopbackURI)
	page := b.get(oauth.PathAuthorize + "?" + authorizeQuery(id, loopbackURI).Encode())
	action, fields := form(t, body(t, page))
	for resp, name := range map[*http.Response]string{
		page:                      "__Host-mcp_browser",
		b.approve(action, fields): "__Host-mcp_state_[0-9a-f]{12}",
	} {
		lines := resp.Header.Values("Set-Cookie")
		if len(lines) != 1 {
			t.Fatalf("cookies: %q", lines)
		}
		first, attributes, _ := strings.Cut(lines[0], "; ")
		if !regexp.MustCompile("^" + name + "=[A-Za-z0-9_-]{43}$").MatchString(first) {
			t.Errorf("cookie %q, want %s with 256 bits", first, name)
		}
		for _, want := range []string{"Path=/", "HttpOnly", "Secure", "SameSite=Lax"} {
			if !strings.Contains("; "+attributes+";", "; "+want+";") {
				t.Errorf("%s lacks %s: %q", name, want, lines[0])
			}
		}
		if strings.Contains(lines[0], "Domain") {
			t.Errorf("%s has a Domain: %q", name, lines[0])
		}
	}
}

// The browser's secret outlives a page and a tab, or the tabs would invalidate
// each other; one that cannot be ours is replaced.
func TestBrowserCookieIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	q := oauth.PathAuthorize + "?" + authorizeQuery(w.register(loopbackURI), loopbackURI).Encode()
	if len(b.get(q).Cookies()) != 1 || len(b.get(q).Cookies()) != 0 {
		t.Error("want one cookie, set once")
	}
	for _, planted := range []string{"", "short", "-"} {
		resp := w.get(q, "Cookie", "__Host-mcp_browser="+planted)
		if len(resp.Cookies()) != 1 {
			t.Errorf("planted value %q was taken", planted)
		}
	}
}

// A finished sign-in takes its cookie along, or a browser that signs in every day
// sends them all for ever.
func TestStateCookieIsDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b, _, state := w.begun(loopbackURI)
	resp := b.callback(state)
	location(t, resp)
	cookies := resp.Cookies() // the second one is the session that begins
	if len(cookies) != 2 || !strings.HasPrefix(cookies[0].Name, "__Host-mcp_state_") || cookies[1].Name != "__Host-mcp_signin" ||
		cookies[0].MaxAge >= 0 || cookies[0].Value != "" || !cookies[0].Secure || cookies[0].Path != "/" {
		t.Errorf("cookies: %q", resp.Header.Values("Set-Cookie"))
	}
	for name := range b.cookies {
		if strings.Contains(name, "state") {
			t.Errorf("%s is still there", name)
		}
	}
}

// Browsers refuse __Host- and Secure on plain http, and cookies do not tell ports
// apart: two gateways on one machine must not read each other's.
func TestCookiesOnLoopback(t *testing.T) {
	t.Parallel()
	for origin, suffix := range map[string]string{
		"http://localhost:8080": "_8080", "http://127.0.0.1:9000": "_9000", "http://[::1]:8080": "_8080",
	} {
		w := newWorld(t, func(c *gateway.Config) { c.Issuer = origin })
		id := w.register(loopbackURI)
		q := authorizeQuery(id, loopbackURI, "resource", origin+"/mcp")
		b := w.browser()
		page := b.send(at(origin, http.MethodGet, oauth.PathAuthorize+"?"+q.Encode(), nil))
		action, fields := form(t, body(t, page))
		fields.Set("decision", "approve")
		approved := b.send(at(origin, http.MethodPost, action, fields))
		state := upstreamState(t, approved)
		for _, resp := range []*http.Response{page, approved} {
			for _, c := range resp.Cookies() {
				if c.Secure || strings.HasPrefix(c.Name, "__") || !strings.HasSuffix(c.Name, suffix) || !c.HttpOnly ||
					c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
					t.Errorf("%s: cookie %s", origin, c)
				}
			}
			if len(resp.Cookies()) != 1 {
				t.Errorf("%s: %d cookies", origin, len(resp.Cookies()))
			}
		}
		loc := location(t, b.send(at(origin, http.MethodGet, oauth.PathCallback+"github?code=x&state="+state, nil)))
		if loc.Query().Get("code") == "" || loc.Query().Get("iss") != origin {
			t.Errorf("%s: %s", origin, loc)
		}
	}
}

// at is a browser's request to another origin than the usual one.
func at(origin, method, path string, fields url.Values) *http.Request {
	r := httptest.NewRequest(method, origin+path, strings.NewReader(fields.Encode()))
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", origin)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	return r
}
