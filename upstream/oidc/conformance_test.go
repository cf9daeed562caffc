// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testop"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream/upstreamtest"
)

// TestContract holds what every upstream promises, at a real provider, for each way
// in which one hands out facts and tokens.
func TestContract(t *testing.T) {
	t.Parallel()
	for name, shape := range map[string]struct {
		online bool
		edit   func(*testop.Config)
	}{
		"refresh tokens that rotate":     {false, func(*testop.Config) {}},
		"refresh tokens that stay":       {false, func(c *testop.Config) { c.Reusable = true }},
		"no refresh tokens":              {true, func(*testop.Config) {}},
		"public client":                  {false, func(c *testop.Config) { c.ClientSecret = "" }},
		"claims in the id_token":         {false, func(c *testop.Config) { c.InIDToken = true }},
		"issuer with a slash, and ES256": {false, func(c *testop.Config) { c.IssuerPath, c.Algorithm = "/", "ES256" }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstreamtest.Run(t, upstreamtest.Harness{Start: func(t *testing.T, c upstreamtest.Config) *upstreamtest.World {
				return newWorld(t, c, shape.online, shape.edit)
			}})
		})
	}
}

func newWorld(t *testing.T, c upstreamtest.Config, online bool, edit func(*testop.Config)) *upstreamtest.World {
	t.Helper()
	p := upstreamtest.NewProvider(t)
	idp := testop.New(t, p.URL, edit, func(c *testop.Config) {
		c.RedirectURIs = []string{redirectURI}
		c.AccessTTL = time.Minute
	})
	p.Serve(idp)
	k := &realClock{}
	o, err := New(Config{
		Name: "company", Issuer: idp.Issuer(), ClientID: idp.ClientID(), ClientSecret: idp.ClientSecret(),
		Offline: !online, Logger: c.Logger, HTTPClient: &http.Client{Timeout: c.Timeout}, Now: k.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	people := [2]testop.User{testop.Alice(), testop.Bob()}
	browser := func(choose func(testop.User) string) func(*testing.T, string, upstreamtest.Person) url.Values {
		return func(t *testing.T, to string, who upstreamtest.Person) url.Values {
			idp.SignIn("")
			back, err := idp.Click(t.Context(), to, choose(people[who]))
			if err != nil {
				t.Fatal(err)
			}
			return back.Query()
		}
	}
	w := &upstreamtest.World{
		Upstream: o, Provider: p, RedirectURI: redirectURI,
		Approve:      browser(func(u testop.User) string { return u.Subject }),
		Deny:         browser(func(testop.User) string { return "" }),
		SignInPaths:  []string{testop.PathToken, testop.PathUserinfo},
		CheckPaths:   []string{testop.PathUserinfo},
		RefreshPaths: []string{testop.PathToken},
		Remove:       func(_ *testing.T, who upstreamtest.Person) { idp.RemoveUser(people[who].Subject) },
		TakeBack:     func(_ *testing.T, who upstreamtest.Person) { idp.SignOut(people[who].Subject) },
		Change: func(_ *testing.T, who upstreamtest.Person) {
			idp.UpdateUser(people[who].Subject, func(u *testop.User) { u.Groups = append(u.Groups, "new") })
		},
		Secrets: idp.Secrets,
	}
	for who, u := range people {
		w.People[who] = identity.Identity{Upstream: "company", Kind: identity.KindOIDC, ID: u.Subject}
	}
	if !online {
		w.Expire = func(_ *testing.T, who upstreamtest.Person) {
			idp.ExpireAccess(people[who].Subject)
			k.pass(time.Minute)
		}
	}
	var cfg testop.Config
	edit(&cfg)
	if cfg.InIDToken {
		w.SignInPaths = w.SignInPaths[:1] // nothing is left to ask
	}
	return w
}

// realClock is the real time and what a test made pass besides.
type realClock struct{ offset clock }

func (k *realClock) now() time.Time       { return time.Now().Add(k.offset.now().Sub(time.Time{})) }
func (k *realClock) pass(d time.Duration) { k.offset.pass(d) }
