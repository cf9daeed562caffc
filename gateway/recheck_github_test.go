// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway"
	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testidp"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
)

const (
	recheckInterval = 10 * time.Minute
	recheckOutage   = 24 * time.Hour
)

// recheck turns checks on, with the rules of the configuration that is loaded.
func (w *world) recheck(edit ...func(*gateway.Recheck)) {
	w.t.Helper()
	resources := w.config.Resources
	allowed := func(resource string, id identity.Identity) bool {
		for _, r := range resources {
			if issuer+r.Path == resource {
				return r.Policy.Allows(id)
			}
		}
		return false
	}
	r := gateway.Recheck{
		Interval: recheckInterval, Outage: recheckOutage, Upstreams: w.config.Upstreams, Allowed: allowed,
	}
	for _, res := range resources {
		r.Forwards = r.Forwards || res.ForwardUpstreamToken
	}
	for _, e := range edit {
		e(&r)
	}
	w.state.SetJudge(allowed)
	w.state.SetRecheck(r)
}

// connected is one MCP client of a person, with its tokens.
type connected struct {
	id  string
	tok tokens
}

// connect registers a client and signs in at GitHub for it, in a browser of its own.
func (w *world) connect(b *browser) connected {
	w.t.Helper()
	id := w.register(loopbackURI)
	loc := location(w.t, b.get(b.visit(b.consent(authorizeQuery(id, loopbackURI), "approve")).RequestURI()))
	return connected{id, w.redeem(codeForm(id, loc.Query().Get("code")))}
}

// checkedWorld is a gateway in front of the fake GitHub that looks at people again.
func checkedWorld(t *testing.T) (*world, *testidp.Server) {
	t.Helper()
	w, idp := atGitHub(t)
	w.recheck()
	return w, idp
}

// GitHub keeps ten tokens per user, application and scopes, and drops the oldest for
// every further one. Somebody connects eleven MCP clients: nobody's session ends for
// it, now or at any later check, because the account keeps the newest token and all
// clients live on that.
func TestTenTokenLimitCostsNobodyASession(t *testing.T) {
	t.Parallel()
	w, idp := checkedWorld(t)
	var clients []connected
	var first string
	for range 11 {
		clients = append(clients, w.connect(w.browser()))
		if first == "" {
			first = idp.Tokens(583231)[0]
		}
	}
	if live := idp.Tokens(583231); len(live) != 10 || live[0] == first {
		t.Fatalf("the fake keeps %d tokens, the first one among them: %v", len(live), live[0] == first)
	}
	for round := range 5 {
		w.clock.Advance(recheckInterval + time.Second)
		before := len(idp.Requests("/user"))
		for i := range clients {
			w.wantCall("/mcp", clients[i].tok.AccessToken, http.StatusOK)
		}
		if asked := len(idp.Requests("/user")) - before; asked != 1 {
			t.Errorf("round %d: GitHub was asked %d times for eleven clients", round, asked)
		}
	}
	w.clock.Advance(time.Hour)
	for i := range clients {
		clients[i].tok = w.redeem(refreshForm(clients[i].id, clients[i].tok.RefreshToken))
		w.wantCall("/mcp", clients[i].tok.AccessToken, http.StatusOK)
	}
	for _, secret := range append(idp.Tokens(583231), first) {
		if strings.Contains(w.log.String(), secret) {
			t.Error("a token of GitHub is in the log")
		}
	}
}

// The ways to lose access at GitHub, all with the same end: the first request after
// the interval is refused, the client cannot refresh, and the browser session is of
// no use.
func TestAccessLostAtGitHub(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*testidp.Server){
		"removed from the organization": func(s *testidp.Server) { s.UpdateUser(583231, func(u *testidp.User) { u.Orgs, u.Teams = nil, nil }) },
		"account suspended":             func(s *testidp.Server) { s.UpdateUser(583231, func(u *testidp.User) { u.Suspended = true }) },
		"account deleted":               func(s *testidp.Server) { s.RemoveUser(583231) },
		"application's access revoked":  func(s *testidp.Server) { s.RevokeTokens(583231) },
	} {
		for _, by := range []string{"request", "refresh"} {
			t.Run(name+", "+by, func(t *testing.T) {
				t.Parallel()
				w, idp := checkedWorld(t)
				b := w.browser()
				one, two := w.connect(b), w.connect(w.browser())
				lose(idp)
				w.wantCall("/mcp", one.tok.AccessToken, http.StatusOK) // within the interval
				w.clock.Advance(recheckInterval)
				if by == "request" {
					w.wantCall("/mcp", one.tok.AccessToken, http.StatusUnauthorized)
				}
				w.refused(refreshForm(one.id, one.tok.RefreshToken))
				w.wantCall("/mcp", one.tok.AccessToken, http.StatusUnauthorized)
				w.wantCall("/mcp", two.tok.AccessToken, http.StatusUnauthorized)
				w.refused(refreshForm(two.id, two.tok.RefreshToken))
				wantAsked(t, b.get(oauth.PathAuthorize+"?"+authorizeQuery(one.id, loopbackURI).Encode()), "")
				if !strings.Contains(w.log.String(), "grant revoked after a check at the provider") {
					t.Error("no audit line")
				}
			})
		}
	}
}

// GitHub is not there for three hours: calls, refreshes and the browser go on with
// what was known; after a day nothing does, and all comes back with GitHub.
func TestGitHubIsAway(t *testing.T) {
	t.Parallel()
	w, idp := checkedWorld(t)
	b := w.browser()
	c := w.connect(b)
	idp.Fail("/user", testidp.Status(http.StatusServiceUnavailable, "down"))
	for range 6 {
		w.clock.Advance(30 * time.Minute)
		w.wantCall("/mcp", c.tok.AccessToken, http.StatusOK)
		c.tok = w.redeem(refreshForm(c.id, c.tok.RefreshToken))
		action, fields := wantAsked(t, b.get(oauth.PathAuthorize+"?"+authorizeQuery(c.id, loopbackURI).Encode()), "octocat")
		wantCode(t, b.approve(action, fields))
	}
	w.clock.Advance(recheckOutage)
	wantError(t, w.postForm(oauth.PathToken, refreshForm(c.id, c.tok.RefreshToken)), http.StatusServiceUnavailable, "temporarily_unavailable")
	idp.Heal()
	w.clock.Advance(time.Hour)
	c.tok = w.redeem(refreshForm(c.id, c.tok.RefreshToken))
	w.wantCall("/mcp", c.tok.AccessToken, http.StatusOK)
}
