// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testmcp"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// issued is an access token and the grant behind it, made without a sign-in.
type issued struct {
	grant *storage.Grant
	token string
}

// issue stores a redeemed grant, octocat's for /mcp unless edited, and seals an
// access token for it as the token endpoint does.
func (w *world) issue(edit ...func(*storage.Grant)) issued {
	w.t.Helper()
	now := w.clock.Now()
	g := &storage.Grant{
		Issuer: issuer, ID: token.NewGrantID(), ClientID: "mcpc_test", Resource: resource,
		Scopes: []string{"mcp"}, Identity: octocat(),
		Code:      storage.Code{Hash: token.Hash(token.NewSecret()), ExpiresAt: now.Add(time.Minute), RedeemedAt: now},
		CreatedAt: now, ExpiresAt: now.Add(90 * 24 * time.Hour),
	}
	for _, e := range edit {
		e(g)
	}
	g.Subject = g.Identity.Subject()
	if err := w.store.Store.SaveAccount(w.t.Context(), &storage.Account{Subject: g.Subject, Identity: g.Identity, CheckedAt: now}); err != nil {
		w.t.Fatal(err)
	}
	if err := w.store.Store.CreateGrant(w.t.Context(), g); err != nil {
		w.t.Fatal(err)
	}
	return issued{grant: g, token: w.seal(g, now.Add(time.Hour))}
}

func (w *world) seal(g *storage.Grant, expires time.Time) string {
	w.t.Helper()
	tok, err := token.NewRing(token.Key{1}).SealAccess(token.Access{
		Issuer: g.Issuer, GrantID: g.ID, Subject: g.Subject, ClientID: g.ClientID,
		Resource: g.Resource, Scopes: g.Scopes, ExpiresAt: expires,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return tok
}

func bearer(tok string) []string { return []string{"Authorization", "Bearer " + tok} }

// countCalls makes the backend count instead of answering something.
func (w *world) countCalls() *atomic.Int64 {
	n := new(atomic.Int64)
	w.backend = func(rw http.ResponseWriter, _ *http.Request) { n.Add(1); rw.WriteHeader(http.StatusAccepted) }
	return n
}

func (s *faultyStore) reads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.grantReads
}

func (w *world) wantStatus(resp *http.Response, want int) {
	w.t.Helper()
	if resp.StatusCode != want {
		b, _ := io.ReadAll(resp.Body)
		w.t.Errorf("status %d, want %d: %s", resp.StatusCode, want, b)
	}
}

// proxied puts a recording backend behind a reverse proxy behind the guard, and a
// server in front, all on loopback. The front's URL has no path.
func (w *world) proxied() (front string, back *testmcp.Scripted) {
	w.t.Helper()
	back = &testmcp.Scripted{}
	backServer := httptest.NewServer(back)
	target, err := url.Parse(backServer.URL)
	if err != nil {
		w.t.Fatal(err)
	}
	transport := &http.Transport{DisableCompression: true}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(target)
			pr.Out.Host = pr.In.Host
		},
		Transport: transport, ErrorLog: log.New(io.Discard, "", 0),
	}
	w.backend = proxy.ServeHTTP
	frontServer := httptest.NewUnstartedServer(w)
	frontServer.Config.ErrorLog = log.New(io.Discard, "", 0)
	frontServer.Start()
	w.t.Cleanup(func() {
		frontServer.CloseClientConnections()
		frontServer.Close()
		transport.CloseIdleConnections()
		backServer.Close()
	})
	return frontServer.URL, back
}

// fetch sends a request over the wire, following no redirect.
func fetch(t *testing.T, method, rawURL string, body io.Reader, header ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, rawURL, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header[header[i]] = append(r.Header[header[i]], header[i+1])
	}
	c := &http.Client{
		Transport:     &http.Transport{DisableCompression: true, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// guardedPair configures /mcp (with /sse and /messages) and /ops.
func guardedPair(t *testing.T) func(*gateway.Config) {
	t.Helper()
	return func(c *gateway.Config) {
		c.Resources[0].Also = []string{"/sse", "/messages"}
		c.Resources = append(c.Resources, &gateway.Resource{
			Path: "/ops", Name: "Ops", Scopes: []string{"ops", "ops:read"}, IdentityHeaders: true, Policy: rules(t, "any"),
		})
	}
}

// change edits who the upstream says the user is.
func (u *scriptedUpstream) change(edit func(*identity.Identity)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	edit(&u.identity)
}
