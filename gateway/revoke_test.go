// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"bufio"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testmcp"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

func tokenForm(clientID, tok string, more ...string) url.Values {
	return with(url.Values{"client_id": {clientID}, "token": {tok}}, more...)
}

// wantRevoked is the answer of RFC 7009 §2.2: 200, whatever the token was worth.
func wantRevoked(t *testing.T, resp *http.Response) {
	t.Helper()
	text := body(t, resp)
	if resp.StatusCode != http.StatusOK || text != "" || resp.Header.Get("Cache-Control") != "no-store" ||
		resp.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("got %d %q %v, want an empty 200", resp.StatusCode, text, resp.Header)
	}
}

// ended checks that a grant is over: the next request is 401 and no refresh
// brings it back.
func (w *world) ended(clientID string, tok tokens) {
	w.t.Helper()
	w.wantCall("/mcp", tok.AccessToken, http.StatusUnauthorized)
	w.refused(refreshForm(clientID, tok.RefreshToken))
}

// Either token ends the grant, on the next request, whatever the hint says, and
// stays revoked however often it is sent. The grant of the next sign-in does not
// suffer.
func TestRevocationEndsTheGrant(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		which func(tokens) string
		more  []string
	}{
		"access token":                     {func(t tokens) string { return t.AccessToken }, nil},
		"refresh token":                    {func(t tokens) string { return t.RefreshToken }, nil},
		"access token, as hinted":          {func(t tokens) string { return t.AccessToken }, []string{"token_type_hint", "access_token"}},
		"refresh token, as hinted":         {func(t tokens) string { return t.RefreshToken }, []string{"token_type_hint", "refresh_token"}},
		"access token, wrongly hinted":     {func(t tokens) string { return t.AccessToken }, []string{"token_type_hint", "refresh_token"}},
		"refresh token, wrongly hinted":    {func(t tokens) string { return t.RefreshToken }, []string{"token_type_hint", "access_token"}},
		"refresh token, hint nobody has":   {func(t tokens) string { return t.RefreshToken }, []string{"token_type_hint", "pat"}},
		"with what other endpoints take":   {func(t tokens) string { return t.RefreshToken }, []string{"resource", resource, "grant_type", "x"}},
		"with an empty secret, as SDKs do": {func(t tokens) string { return t.RefreshToken }, []string{"client_secret", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			id, tok := w.tokens()
			w.wantCall("/mcp", tok.AccessToken, http.StatusOK)
			for range 2 {
				wantRevoked(t, w.postForm(oauth.PathRevoke, tokenForm(id, tt.which(tok), tt.more...)))
			}
			w.ended(id, tok)
			_, next := w.tokens()
			w.wantCall("/mcp", next.AccessToken, http.StatusOK)
		})
	}
}

// A client that refreshed in the meantime may still give back what it had before:
// at /token the old one would revoke the grant as well.
func TestRevocationByAnOldRefreshToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, first := w.tokens()
	second := w.redeem(refreshForm(id, first.RefreshToken))
	third := w.redeem(refreshForm(id, second.RefreshToken))
	w.clock.Advance(time.Hour / 2)
	wantRevoked(t, w.postForm(oauth.PathRevoke, tokenForm(id, first.RefreshToken)))
	w.ended(id, third)
}

// The attack: send tokens to the endpoint to find out which are alive, or to log
// somebody out. What is not a living token of this issuer gets the same 200.
func TestRevocationOfUselessTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, tok := w.tokens()
	grant := w.issue()
	foreign := token.NewRing(token.Key{9})
	foreignAccess, err := foreign.SealAccess(token.Access{Issuer: issuer, GrantID: grant.grant.ID, ClientID: id, Resource: resource, ExpiresAt: w.clock.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	otherIssuer, err := token.NewRing(token.Key{1}).SealAccess(token.Access{Issuer: "https://other.example", GrantID: grant.grant.ID, ClientID: id, Resource: resource, ExpiresAt: w.clock.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	for name, useless := range map[string]string{
		"nonsense":               "x",
		"changed access token":   flip(tok.AccessToken),
		"changed refresh token":  flip(tok.RefreshToken),
		"code":                   token.NewRing(token.Key{1}).NewCode(grant.grant.ID),
		"access of another key":  foreignAccess,
		"refresh of another key": foreign.NewRefresh(grant.grant.ID),
		"of another issuer":      otherIssuer,
		"of a grant that is not": token.NewRing(token.Key{1}).NewRefresh(token.NewGrantID()),
		"long":                   strings.Repeat("x", 30_000),
		"client secret":          token.NewClientSecret(),
	} {
		if wantRevoked(t, w.postForm(oauth.PathRevoke, tokenForm(id, useless))); t.Failed() {
			t.Fatal(name)
		}
	}
	w.wantCall("/mcp", tok.AccessToken, http.StatusOK)
	w.wantCall("/mcp", grant.token, http.StatusOK)
}

// An access token that expired is no key to the grant any more: one found in an old
// log must not log anybody out.
func TestExpiredAccessTokenRevokesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, tok := w.tokens()
	w.clock.Advance(time.Hour)
	wantRevoked(t, w.postForm(oauth.PathRevoke, tokenForm(id, tok.AccessToken)))
	w.redeem(refreshForm(id, tok.RefreshToken))
}

// The attack: another registered client revokes tokens it got hold of. It is told
// that they are not its own (RFC 7009 §2.1), and they live on.
func TestRevocationByAnotherClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, tok := w.tokens()
	other := w.register(loopbackURI)
	for _, foreign := range []string{tok.AccessToken, tok.RefreshToken} {
		wantError(t, w.postForm(oauth.PathRevoke, tokenForm(other, foreign)), http.StatusBadRequest, "invalid_grant")
	}
	w.wantCall("/mcp", tok.AccessToken, http.StatusOK)
}

// The client is authenticated before anything is looked at, as at /token.
func TestRevocationRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, tok := w.tokens()
	secret := w.registerAs("client_secret_post", loopbackURI)
	for name, tt := range map[string]struct {
		form   url.Values
		header []string
		status int
		code   string
	}{
		"no client":         {url.Values{"token": {tok.RefreshToken}}, nil, 401, "invalid_client"},
		"unknown client":    {tokenForm("mcpc_unknown", tok.RefreshToken), nil, 401, "invalid_client"},
		"no secret":         {tokenForm(secret.ClientID, tok.RefreshToken), nil, 401, "invalid_client"},
		"wrong secret":      {tokenForm(secret.ClientID, tok.RefreshToken, "client_secret", "x"), nil, 401, "invalid_client"},
		"wrong Basic":       {url.Values{"token": {tok.RefreshToken}}, []string{"Authorization", basic(secret.ClientID, "x")}, 401, "invalid_client"},
		"the token as auth": {url.Values{"token": {tok.RefreshToken}}, bearer(tok.AccessToken), 401, "invalid_client"},
		"no token":          {url.Values{"client_id": {id}}, nil, 400, "invalid_request"},
		"empty token":       {url.Values{"client_id": {id}, "token": {""}}, nil, 400, "invalid_request"},
		"two tokens":        {url.Values{"client_id": {id}, "token": {tok.AccessToken, tok.RefreshToken}}, nil, 400, "invalid_request"},
	} {
		resp := w.postForm(oauth.PathRevoke, tt.form, tt.header...)
		if wantError(t, resp, tt.status, tt.code); t.Failed() {
			t.Fatal(name)
		}
	}
	for name, r := range map[string]*http.Request{
		"in the query": request(http.MethodPost, oauth.PathRevoke+"?"+tokenForm(id, tok.RefreshToken).Encode(), "", "Content-Type", "application/x-www-form-urlencoded"),
		"as JSON":      request(http.MethodPost, oauth.PathRevoke, `{"token":"x"}`, "Content-Type", "application/json"),
		"by GET":       request(http.MethodGet, oauth.PathRevoke+"?"+tokenForm(id, tok.RefreshToken).Encode(), ""),
	} {
		if resp := w.do(r); resp.StatusCode < 400 || resp.StatusCode > 499 {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
	}
	w.wantCall("/mcp", tok.AccessToken, http.StatusOK)
	wantRevoked(t, w.postForm(oauth.PathRevoke, url.Values{"token": {"x"}}, "Authorization", basic(secret.ClientID, secret.ClientSecret)))
}

// Somebody who is no longer on the list, and a resource that is no longer there:
// leaving is always possible.
func TestRevocationAfterTheWorldChanged(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*gateway.Config){
		"not allowed":   func(c *gateway.Config) { c.Resources[0].Policy = rules(t, "user:somebody-else") },
		"resource gone": func(c *gateway.Config) { c.Resources[0].Path = "/other" },
	} {
		w := newWorld(t)
		id, tok := w.tokens()
		before := w.config.Resources[0]
		changed := *before
		w.config.Resources = []*gateway.Resource{&changed}
		edit(&w.config)
		w.reload()
		wantRevoked(t, w.postForm(oauth.PathRevoke, tokenForm(id, tok.RefreshToken)))
		w.config.Resources = []*gateway.Resource{before}
		w.reload()
		if w.ended(id, tok); t.Failed() {
			t.Fatal(name)
		}
	}
}

// wantStreamEnd checks that a stream is over without another byte.
func wantStreamEnd(t *testing.T, stream io.ReadCloser) {
	t.Helper()
	timeout := time.AfterFunc(10*time.Second, func() { _ = stream.Close() })
	n, err := stream.Read(make([]byte, 1))
	if !timeout.Stop() || n > 0 || err == nil {
		t.Errorf("the stream goes on: %d bytes, %v", n, err)
	}
}

// The stream that is open ends with the grant, and only that one.
func TestRevocationEndsOpenStreams(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	front, back := w.proxied()
	id, tok := w.tokens()
	_, other := w.tokens()
	open := func(tok tokens) (*testmcp.Stream, io.ReadCloser) {
		s := testmcp.NewStream(nil)
		back.Next(s.Reply)
		resp := fetch(t, "GET", front+"/mcp", nil, append(bearer(tok.AccessToken), "Accept", "text/event-stream")...)
		return s, resp.Body
	}
	_, mine := open(tok)
	stays, theirs := open(other)
	wantRevoked(t, w.postForm(oauth.PathRevoke, tokenForm(id, tok.RefreshToken)))
	wantStreamEnd(t, mine)
	if err := stays.Send(t.Context(), ": on\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(theirs).ReadString('\n'); err != nil || line != ": on\n" {
		t.Errorf("the other stream: %q, %v", line, err)
	}
}

// Guessing a client secret here counts like guessing it at /token; asking for the
// same thing twice does not.
func TestRevocationFailuresAreLimited(t *testing.T) {
	t.Parallel()
	w := newWorld(t, limits("tokens", 3))
	id, tok := w.tokens()
	for range 10 {
		wantRevoked(t, w.postForm(oauth.PathRevoke, tokenForm(id, tok.RefreshToken)))
	}
	for range 3 {
		wantError(t, w.postForm(oauth.PathRevoke, tokenForm("mcpc_x", "x")), http.StatusUnauthorized, "invalid_client")
	}
	wantError(t, w.postForm(oauth.PathRevoke, tokenForm("mcpc_x", "x")), http.StatusTooManyRequests, "temporarily_unavailable")
	wantError(t, w.postForm(oauth.PathToken, refreshForm("mcpc_x", "x")), http.StatusTooManyRequests, "temporarily_unavailable")
}
