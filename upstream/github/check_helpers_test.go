// SPDX-License-Identifier: Apache-2.0

package github

import (
	"bytes"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testidp"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// clock stands still, for the fake and for us.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) get() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// account is somebody who has signed in and is checked from time to time.
type account struct {
	*testing.T
	g     *GitHub
	srv   *testidp.Server
	clock *clock
	log   *bytes.Buffer
	last  identity.Identity
	tok   *upstream.Token
	saves int
}

// signedIn is octocat, whom the rules need orgs and teams of.
func signedIn(t *testing.T, edit ...func(*testidp.Config)) *account {
	t.Helper()
	return signedInAs(t, Config{Needs: needBoth}, nil, edit...)
}

func signedInAs(t *testing.T, cfg Config, change func(*testidp.Server), edit ...func(*testidp.Config)) *account {
	t.Helper()
	a := &account{T: t, clock: newClock(), log: new(bytes.Buffer)}
	cfg.Logger = slog.New(slog.NewTextHandler(a.log, nil))
	a.g, a.srv = start(t, cfg, append(edit, func(c *testidp.Config) { c.Now = a.clock.get })...)
	a.g.now = a.clock.get
	if change != nil {
		change(a.srv)
	}
	in := a.signIn()
	a.last, a.tok = in.Identity, in.Token
	a.srv.Forget()
	return a
}

func (a *account) signIn() *upstream.SignIn {
	a.Helper()
	verifier := oauth2.GenerateVerifier()
	in, err := a.g.Identify(a.Context(), visit(a.T, authCodeURL(a.T, a.g, "s", verifier)), verifier, redirectURI)
	if err != nil {
		a.Fatal(err)
	}
	return in
}

// check is what the caller does: it keeps the token when told to, and the facts
// when there are some.
func (a *account) check() (identity.Identity, error) {
	a.Helper()
	secrets := append(a.srv.Tokens(583231), a.srv.RefreshTokens(583231)...)
	secrets = append(secrets, a.tok.Access, a.srv.ClientSecret())
	if a.tok.Refresh != "" {
		secrets = append(secrets, a.tok.Refresh)
	}
	id, err := a.g.Check(a.Context(), a.last, a.tok, func(tok *upstream.Token) error {
		a.tok, a.saves = tok, a.saves+1
		secrets = append(secrets, tok.Access, tok.Refresh)
		return nil
	})
	if err != nil {
		keepsSecret(a.T, err, secrets...)
		return id, err
	}
	keepsSecret(a.T, errors.New(a.log.String()), secrets...)
	a.last = id
	return id, nil
}

// holds checks, and fails unless the facts are these groups.
func (a *account) holds(groups ...string) {
	a.Helper()
	id, err := a.check()
	if err != nil {
		a.Fatal(err)
	}
	if len(id.Groups) != len(groups) {
		a.Fatalf("groups %q, want %q", id.Groups, groups)
	}
	for i, want := range groups {
		if id.Groups[i] != want {
			a.Fatalf("groups %q, want %q", id.Groups, groups)
		}
	}
}

// refused checks, and fails unless that ends for this reason. The facts of
// before are kept.
func (a *account) refused(reason upstream.Reason, says ...string) *upstream.Refusal {
	a.Helper()
	id, err := a.check()
	wantRefusal(a.T, err, reason, says...)
	if id.ID != "" {
		a.Errorf("identity %+v with an error", id)
	}
	return refusalOf(err)
}

// change changes octocat at GitHub.
func (a *account) change(f func(*testidp.User)) { a.srv.UpdateUser(583231, f) }

// apiCalls are the paths of all API calls since the last Forget.
func (a *account) apiCalls() []string {
	var paths []string
	for _, r := range a.srv.Requests() {
		if r.Path != "/login/oauth/access_token" && r.Path != "/login/oauth/authorize" {
			paths = append(paths, r.Path)
		}
	}
	return paths
}

func app(c *testidp.Config) { c.App = true }
