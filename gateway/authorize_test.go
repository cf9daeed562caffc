// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
)

// Whoever can have a code sent to an address of their own has won. An address
// that is not the registered one, byte for byte, gets nothing: no redirect, no
// link, no consent page.
func TestRedirectManipulationAtAuthorize(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	web, loopback, private := w.register(webURI), w.register(loopbackURI), w.register(privateURI)
	two := w.register(webURI, "https://client.example/second")
	tests := map[string]struct{ client, redirect string }{
		"another host":               {web, "https://evil.example/callback"},
		"longer path":                {web, webURI + "/../../open-redirect"},
		"path suffix":                {web, webURI + "x"},
		"trailing slash":             {web, webURI + "/"},
		"query added":                {web, webURI + "?next=https://evil.example"},
		"empty query":                {web, webURI + "?"},
		"fragment":                   {web, webURI + "#@evil.example"},
		"subdomain":                  {web, "https://evil.client.example/callback"},
		"registered host as prefix":  {web, "https://client.example.evil.example/callback"},
		"registered host as user":    {web, "https://client.example@evil.example/callback"},
		"backslash":                  {web, `https://evil.example\@client.example/callback`},
		"host in capitals":           {web, "https://CLIENT.example/callback"},
		"scheme in capitals":         {web, "HTTPS://client.example/callback"},
		"downgrade to http":          {web, "http://client.example/callback"},
		"explicit default port":      {web, "https://client.example:443/callback"},
		"encoded path":               {web, "https://client.example/%63allback"},
		"scheme-relative":            {web, "//client.example/callback"},
		"relative":                   {web, "/callback"},
		"script":                     {web, "javascript:alert(1)//client.example/callback"},
		"wildcard":                   {web, "https://client.example/*"},
		"another client's":           {web, loopbackURI},
		"loopback, other path":       {loopback, "http://127.0.0.1:33418/other"},
		"loopback, query":            {loopback, loopbackURI + "?a=b"},
		"loopback by name":           {loopback, "http://localhost:33418/callback"},
		"loopback, IPv6":             {loopback, "http://[::1]:33418/callback"},
		"loopback, other address":    {loopback, "http://127.0.0.2:33418/callback"},
		"loopback, https":            {loopback, "https://127.0.0.1:33418/callback"},
		"loopback as user":           {loopback, "http://127.0.0.1:33418@evil.example/callback"},
		"loopback as label":          {loopback, "http://127.0.0.1.evil.example/callback"},
		"loopback in decimal":        {loopback, "http://2130706433:33418/callback"},
		"private use, other host":    {private, "cursor://evil/oauth/callback"},
		"private use, other scheme":  {private, "vscode://anysphere.cursor-mcp/oauth/callback"},
		"none, with two to choose":   {two, ""},
		"none of two":                {two, "https://client.example/third"},
		"control character":          {web, webURI + "\x7f"},
		"line break, header to come": {web, webURI + "\r\nSet-Cookie: a=b"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// With and without a further fault: neither may leak the code or the error.
			for _, also := range []string{"S256", "plain"} {
				resp := w.browser().get(oauth.PathAuthorize + "?" +
					authorizeQuery(tt.client, tt.redirect, "code_challenge_method", also).Encode())
				text := wantPage(t, resp, http.StatusBadRequest, "")
				if strings.Contains(text, "href=") || strings.Contains(text, "<form") || strings.Contains(text, "evil") {
					t.Errorf("the page offers a way on:\n%s", text)
				}
			}
		})
	}
}

// What must not be refused: a native client opens whatever port is free (R5.6).
func TestLoopbackPortIsFree(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	portless := w.register("http://127.0.0.1/callback")
	for _, client := range []string{portless, w.register(loopbackURI)} {
		for _, uri := range []string{"http://127.0.0.1/callback", "http://127.0.0.1:1/callback", "http://127.0.0.1:65535/callback"} {
			loc := location(t, w.browser().signIn(authorizeQuery(client, uri)))
			if got := loc.Scheme + "://" + loc.Host + loc.Path; got != uri {
				t.Errorf("answer goes to %s, want %s", got, uri)
			}
		}
	}
}

// With one registered address the client may leave it out (R5.6), and keeps the
// query that the address has.
func TestRedirectURIMayBeLeftOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.register("https://client.example/callback?tenant=7")
	loc := location(t, w.browser().signIn(authorizeQuery(id, "")))
	if loc.Host != "client.example" {
		t.Fatalf("answer goes to %s", loc)
	}
	wantOnce(t, loc, map[string]string{"tenant": "7", "code": "*", "state": "client-state"})
}

// authorizeFaults are requests of a known client to a known address that cannot
// be served.
var authorizeFaults = map[string]struct {
	override []string
	raw      string
	code     string
}{
	"no response_type":      {[]string{"response_type", ""}, "", "invalid_request"},
	"implicit":              {[]string{"response_type", "token"}, "", "unsupported_response_type"},
	"hybrid":                {[]string{"response_type", "code token"}, "", "unsupported_response_type"},
	"PKCE left out":         {[]string{"code_challenge", "", "code_challenge_method", ""}, "", "invalid_request"},
	"challenge left out":    {[]string{"code_challenge", ""}, "", "invalid_request"},
	"PKCE method left out":  {[]string{"code_challenge_method", ""}, "", "invalid_request"},
	"PKCE plain":            {[]string{"code_challenge_method", "plain"}, "", "invalid_request"},
	"PKCE s256":             {[]string{"code_challenge_method", "s256"}, "", "invalid_request"},
	"PKCE S256 and a blank": {[]string{"code_challenge_method", "S256 "}, "", "invalid_request"},
	"PKCE SHA-256":          {[]string{"code_challenge_method", "SHA-256"}, "", "invalid_request"},
	"padded challenge":      {[]string{"code_challenge", s256 + "="}, "", "invalid_request"},
	"short challenge":       {[]string{"code_challenge", s256[:42]}, "", "invalid_request"},
	"standard base64":       {[]string{"code_challenge", strings.Repeat("+", 43)}, "", "invalid_request"},
	"two challenges":        {nil, "&code_challenge=" + s256, "invalid_request"},
	"two methods":           {nil, "&code_challenge_method=plain", "invalid_request"},
	"two response types":    {nil, "&response_type=token", "invalid_request"},
	"two scopes":            {nil, "&scope=admin", "invalid_request"},
	"bad scope":             {[]string{"scope", `m"cp`}, "", "invalid_scope"},
	"foreign resource":      {[]string{"resource", "https://evil.example/mcp"}, "", "invalid_target"},
	"resource above":        {[]string{"resource", issuer + "/mcpx"}, "", "invalid_target"},
	"resource below":        {[]string{"resource", resource + "/tools"}, "", "invalid_target"},
	"resource in capitals":  {[]string{"resource", issuer + "/MCP"}, "", "invalid_target"},
	"resource no URI":       {[]string{"resource", "weather"}, "", "invalid_target"},
	"resource fragment":     {[]string{"resource", resource + "#x"}, "", "invalid_target"},
	"two resources":         {nil, "&resource=https://mcp.example.com/ops", "invalid_target"},
}

// An error before anybody approved anything is redirected only to the user's own
// computer; elsewhere it is a page with a link, or we would send people wherever
// a registered stranger likes (RFC 9700 §4.11.2, R5.8).
func TestAuthorizeErrorsAreNoOpenRedirector(t *testing.T) {
	t.Parallel()
	w := newWorld(t, twoResources(t))
	clients := map[string]string{}
	for _, uri := range []string{loopbackURI, webURI, privateURI} {
		clients[uri] = w.register(uri)
	}
	for name, tt := range authorizeFaults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for uri, id := range clients {
				resp := w.browser().get(oauth.PathAuthorize + "?" + authorizeQuery(id, uri, tt.override...).Encode() + tt.raw)
				var loc *url.URL
				if uri == loopbackURI {
					loc = location(t, resp)
				} else {
					loc = backLink(t, wantPage(t, resp, http.StatusBadRequest, tt.code))
				}
				if got := loc.Scheme + "://" + loc.Host + loc.Path; got != uri {
					t.Errorf("answer goes to %s, want %s", got, uri)
				}
				wantOnce(t, loc, map[string]string{"error": tt.code, "error_description": "*", "state": "client-state"})
			}
		})
	}
}

// A state that was sent twice is sent back not at all: which one the client will
// compare cannot be told.
func TestRepeatedStateIsNotGuessed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.register(loopbackURI)
	resp := w.browser().get(oauth.PathAuthorize + "?" + authorizeQuery(id, loopbackURI).Encode() + "&state=attacker")
	wantOnce(t, location(t, resp), map[string]string{"error": "invalid_request", "error_description": "*"})
}

func TestStateComesBackByteForByte(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.register(loopbackURI)
	for _, state := range []string{
		"x", "a b+c%20d", "a&error=access_denied&iss=https://evil.example", "é漢字🙂", "</script><b>", `"\'`,
		"\u2028\u202e", strings.Repeat("s", 4096), "?#/=",
	} {
		want := map[string]string{"code": "*", "state": state}
		wantOnce(t, location(t, w.browser().signIn(authorizeQuery(id, loopbackURI, "state", state))), want)
		want = map[string]string{"error": "access_denied", "error_description": "*", "state": state}
		wantOnce(t, location(t, w.browser().consent(authorizeQuery(id, loopbackURI, "state", state), "deny")), want)
	}
	// It is optional (R5.4), and then absent.
	wantOnce(t, location(t, w.browser().signIn(authorizeQuery(id, loopbackURI, "state", ""))), map[string]string{"code": "*"})
	// Too long is an error, told with the state it is about.
	long := strings.Repeat("s", 4097)
	resp := w.browser().get(oauth.PathAuthorize + "?" + authorizeQuery(id, loopbackURI, "state", long).Encode())
	wantOnce(t, location(t, resp), map[string]string{"error": "invalid_request", "error_description": "*", "state": long})
}

func TestAuthorizeNeedsAKnownClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.register(loopbackURI)
	for name, tt := range map[string]struct{ query, reason string }{
		"nothing at all":       {"", "invalid_request"},
		"unknown":              {authorizeQuery("mcpc_unknown", loopbackURI).Encode(), "unknown_client"},
		"case folded":          {authorizeQuery(strings.ToUpper(id), loopbackURI).Encode(), "unknown_client"},
		"a URL":                {authorizeQuery("https://client.example/metadata.json", loopbackURI).Encode(), "unknown_client"},
		"two clients":          {authorizeQuery(id, loopbackURI).Encode() + "&client_id=" + id, "invalid_request"},
		"two redirect URIs":    {authorizeQuery(id, loopbackURI).Encode() + "&redirect_uri=https://evil.example/", "invalid_request"},
		"semicolon separator":  {"client_id=" + id + ";redirect_uri=" + loopbackURI, "invalid_request"},
		"broken escape":        {authorizeQuery(id, loopbackURI).Encode() + "&x=%zz", "invalid_request"},
		"not UTF-8":            {authorizeQuery(id, loopbackURI).Encode() + "&x=%ff", "invalid_request"},
		"NUL":                  {authorizeQuery(id, loopbackURI).Encode() + "&state=%00", "invalid_request"},
		"hundreds of them":     {authorizeQuery(id, loopbackURI).Encode() + strings.Repeat("&a=b", 200), "invalid_request"},
		"client with a quote":  {authorizeQuery(`"><script>alert(1)</script>`, loopbackURI).Encode(), "unknown_client"},
		"endless redirect URI": {authorizeQuery(id, loopbackURI+strings.Repeat("x", 3000)).Encode(), "invalid_request"},
	} {
		text := wantPage(t, w.browser().get(oauth.PathAuthorize+"?"+tt.query), http.StatusBadRequest, tt.reason)
		if strings.Contains(text, "<script") || strings.Contains(text, "href=") {
			t.Errorf("%s: page contains what it must not:\n%s", name, text)
		}
	}
}

// POST is allowed (R5.1) and reads the body alone.
func TestAuthorizeByPost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.register(loopbackURI)
	q := authorizeQuery(id, loopbackURI)
	wantPage(t, w.postForm(oauth.PathAuthorize, q), http.StatusOK, "")
	wantPage(t, w.postForm(oauth.PathAuthorize+"?"+q.Encode(), url.Values{}), http.StatusBadRequest, "invalid_request")
	wantPage(t, w.postJSON(oauth.PathAuthorize, `{"client_id":"x"}`), http.StatusBadRequest, "invalid_request")
	wantPage(t, w.postForm(oauth.PathAuthorize, with(q, "x", strings.Repeat("y", 70_000))), http.StatusBadRequest, "invalid_request")
}

// The authorization endpoint can be opened by anybody as often as they like. It
// must cost nothing that is kept (ADR 0003), and say so when it is too often.
func TestAuthorizeStoresNothingAndIsLimited(t *testing.T) {
	t.Parallel()
	w := newWorld(t, limits("authorizations", 20))
	id := w.register(loopbackURI)
	rec := w.observed()
	q := oauth.PathAuthorize + "?" + authorizeQuery(id, loopbackURI).Encode()
	for range 20 {
		wantPage(t, w.get(q), http.StatusOK, "")
	}
	resp := w.get(q)
	if got := resp.Header.Get("Retry-After"); got == "" || got == "0" {
		t.Errorf("Retry-After: %q", got)
	}
	wantPage(t, resp, http.StatusTooManyRequests, "rate_limited")
	if rec.atRest() != "" {
		t.Errorf("written: %s", rec.atRest())
	}
	other := request(http.MethodGet, q, "")
	other.RemoteAddr = "198.51.100.1:1"
	wantPage(t, w.do(other), http.StatusOK, "")
}
