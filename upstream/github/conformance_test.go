// SPDX-License-Identifier: Apache-2.0

package github

import (
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testidp"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream/upstreamtest"
)

// TestContract holds what every upstream promises, for each kind of token there is.
func TestContract(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]testidp.Config{
		"OAuth app": {}, "GitHub App": {App: true}, "GitHub App with tokens that stay": {App: true, KeepTokens: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstreamtest.Run(t, upstreamtest.Harness{Start: func(t *testing.T, c upstreamtest.Config) *upstreamtest.World {
				return newWorld(t, cfg, c)
			}})
		})
	}
}

var people = [2]testidp.User{
	testidp.Octocat(),
	{
		ID: 1024025, Login: "bob", Emails: []testidp.Email{{Address: "bob@example.org", Primary: true, Verified: true}},
		Orgs: []string{"acme"}, Teams: []string{"acme/ops"},
	},
}

func newWorld(t *testing.T, cfg testidp.Config, c upstreamtest.Config) *upstreamtest.World {
	t.Helper()
	p := upstreamtest.NewProvider(t)
	now := newClock()
	cfg.RedirectURIs, cfg.Now = []string{redirectURI}, now.get
	fake := testidp.New(cfg)
	p.Serve(fake)
	for _, u := range people {
		fake.AddUser(u)
	}
	g := connect(t, Config{Needs: needBoth, Logger: c.Logger, HTTPClient: &http.Client{Timeout: c.Timeout}}, &testidp.Server{GitHub: fake, URL: p.URL})
	g.now = now.get
	browser := func(mode testidp.Mode) func(*testing.T, string, upstreamtest.Person) url.Values {
		return func(t *testing.T, to string, who upstreamtest.Person) url.Values {
			fake.SetMode(mode)
			fake.SignIn(people[who].ID)
			return visit(t, to)
		}
	}
	api := []string{"/api/v3/user", "/api/v3/user/emails", "/api/v3/user/memberships/orgs", "/api/v3/user/teams"}
	w := &upstreamtest.World{
		Upstream: g, Provider: p, RedirectURI: redirectURI,
		Approve: browser(testidp.Approve), Deny: browser(testidp.Deny),
		SignInPaths: append([]string{tokenPage}, api...), CheckPaths: api, RefreshPaths: []string{tokenPage},
		Remove: func(_ *testing.T, who upstreamtest.Person) { fake.RemoveUser(people[who].ID) },
		Change: func(_ *testing.T, who upstreamtest.Person) {
			fake.UpdateUser(people[who].ID, func(u *testidp.User) { u.Orgs = append(u.Orgs, "new") })
		},
		TakeBack: func(_ *testing.T, who upstreamtest.Person) { fake.RevokeTokens(people[who].ID) },
		Secrets: func() []string {
			all := []string{fake.ClientSecret()}
			for _, u := range people {
				all = append(append(all, fake.Tokens(u.ID)...), fake.RefreshTokens(u.ID)...)
			}
			return all
		},
	}
	for who, u := range people {
		w.People[who] = identity.Identity{Upstream: "github", Kind: identity.KindGitHub, ID: strconv.FormatInt(u.ID, 10)}
	}
	if cfg.App && !cfg.KeepTokens {
		w.Expire = func(*testing.T, upstreamtest.Person) { now.move(8 * time.Hour) }
	}
	return w
}
