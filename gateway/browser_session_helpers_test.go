// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/gateway/web"
	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

const sessionCookie = "__Host-mcp_signin"

func hubot() identity.Identity {
	return identity.Identity{Upstream: "github", Kind: identity.KindGitHub, ID: "480938", Login: "hubot"}
}

// anybody lets everybody in who can sign in.
func anybody(t *testing.T) func(*gateway.Config) {
	t.Helper()
	return func(c *gateway.Config) {
		for _, r := range c.Resources {
			r.Policy = rules(t, "any")
		}
	}
}

// signedIn is a browser that has signed in, for some other client.
func (w *world) signedIn() *browser {
	w.t.Helper()
	b := w.browser()
	b.code(authorizeQuery(w.register(loopbackURI), loopbackURI))
	if b.cookies[sessionCookie] == nil {
		w.t.Fatal("no session after signing in")
	}
	return b
}

// remembers has the person who is signed in agree to a client for good.
func (b *browser) remembers(q url.Values) {
	b.w.t.Helper()
	action, fields := b.open(q)
	wantOnce(b.w.t, location(b.w.t, b.approve(action, with(fields, "remember", web.RememberYes))),
		map[string]string{"code": "*", "state": "client-state"})
}

// navigation is how a browser asks for an authorization that the client's own
// website began, with changes: name, value …; an empty value removes a header.
func navigation(q url.Values, change ...string) *http.Request {
	r := request(http.MethodGet, oauth.PathAuthorize+"?"+q.Encode(), "", "Sec-Fetch-Dest", "document",
		"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", "cross-site", "Referer", "https://client.example/")
	for i := 0; i+1 < len(change); i += 2 {
		if change[i+1] == "" {
			r.Header.Del(change[i])
		} else {
			r.Header.Set(change[i], change[i+1])
		}
	}
	return r
}

// fromClient begins an authorization at the client's website.
func (b *browser) fromClient(q url.Values, change ...string) *http.Response {
	b.w.t.Helper()
	return b.send(navigation(q, change...))
}

// wantAsked checks that an answer is the consent page, and who it says is signed
// in, "" for nobody.
func wantAsked(t *testing.T, resp *http.Response, name string) (action string, fields url.Values) {
	t.Helper()
	text := wantPage(t, resp, http.StatusOK, "")
	if !strings.Contains(text, `value="approve"`) {
		t.Fatalf("not the consent page:\n%s", text)
	}
	if got := strings.Contains(text, web.StaySignedIn); got != (name != "") {
		t.Errorf("the page offers to stay signed in: %v, want %q", got, name)
	}
	if name != "" && !strings.Contains(text, "Go on as <strong><bdi>"+name+"</bdi>") {
		t.Errorf("the page does not say that %s is signed in:\n%s", name, text)
	}
	return form(t, text)
}

// editedStore answers with records that changed behind everybody's back.
type editedStore struct {
	storage.Store
	account identity.Identity
	client  func(*storage.Client)
}

func (s *editedStore) Account(ctx context.Context, subject string) (*storage.Account, error) {
	a, err := s.Store.Account(ctx, subject)
	if err == nil && s.account.ID != "" {
		a.Identity = s.account
	}
	return a, err
}

func (s *editedStore) Client(ctx context.Context, issuer, id string) (*storage.Client, error) {
	c, err := s.Store.Client(ctx, issuer, id)
	if err == nil && s.client != nil {
		s.client(c)
	}
	return c, err
}

// wantCode checks that an answer is a code for the client.
func wantCode(t *testing.T, resp *http.Response) string {
	t.Helper()
	loc := location(t, resp)
	wantOnce(t, loc, map[string]string{"code": "*", "state": "client-state"})
	return loc.Query().Get("code")
}

// wantUpstream checks that an answer leads to GitHub, and whether it is told to
// ask for the account.
func wantUpstream(t *testing.T, resp *http.Response, asks bool) (state string) {
	t.Helper()
	loc := location(t, resp)
	if loc.Host != "github.example" || (loc.Query().Get("prompt") == "select_account") != asks {
		t.Errorf("sent to %s, asking for the account: want %v", loc, asks)
	}
	return loc.Query().Get("state")
}
