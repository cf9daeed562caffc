// SPDX-License-Identifier: Apache-2.0

package github

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testidp"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// TestCallsOfACheck are these in this order, one token request more where the
// token has ended.
func TestCallsOfACheck(t *testing.T) {
	t.Parallel()
	a := signedIn(t, app)
	a.holds("github", "github/cats")
	want := []string{"/user", "/user/emails", "/user/memberships/orgs", "/user/teams"}
	if diff := cmp.Diff(want, a.apiCalls()); diff != "" {
		t.Error(diff)
	}
	if n := len(a.srv.Requests()); n != len(want) {
		t.Errorf("%d requests", n)
	}
	a.srv.Forget()
	a.srv.ExpireTokens(583231)
	a.tok.Expiry = a.clock.now
	a.holds("github", "github/cats")
	if diff := cmp.Diff(want, a.apiCalls()); diff != "" || len(a.srv.Requests()) != len(want)+1 {
		t.Errorf("with a renewal, %d requests: %s", len(a.srv.Requests()), diff)
	}
}

// TestCallsOfACheckAreBounded: every list is as long as it may be, the token ends
// halfway and everything is lost. It is never more than one token request and
// maxCalls calls.
func TestCallsOfACheckAreBounded(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		arrange func(*account)
		api     int
	}{
		"lists that never end": {func(a *account) {
			a.change(func(u *testidp.User) {
				u.Emails, u.Orgs, u.Teams = nil, nil, nil
				for i := range maxPages {
					u.Emails = append(u.Emails, testidp.Email{Address: fmt.Sprintf("a%d@x.example", i), Verified: true})
					u.Orgs = append(u.Orgs, fmt.Sprintf("o%d", i))
					u.Teams = append(u.Teams, fmt.Sprintf("o%d/t", i))
				}
			})
		}, maxCalls},
		"also where the token has to be renewed": {func(a *account) {
			a.change(func(u *testidp.User) {
				u.Emails, u.Orgs = nil, nil
				for i := range maxPages {
					u.Emails = append(u.Emails, testidp.Email{Address: fmt.Sprintf("a%d@x.example", i), Verified: true})
					u.Orgs = append(u.Orgs, fmt.Sprintf("o%d", i))
				}
			})
			a.srv.Script("/user/teams", testidp.Status(401, "Bad credentials"))
		}, maxCalls},
		"as many losses as are looked into": {func(a *account) {
			for i := range maxLosses {
				a.last.Groups = append(a.last.Groups, fmt.Sprintf("gone-%d", i))
			}
			a.change(func(u *testidp.User) { u.Orgs, u.Teams = []string{"github", "silent"}, []string{"github/cats"} })
			a.srv.RequireSAML("silent")
		}, 4 + 2*maxLosses},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := signedIn(t, app, func(c *testidp.Config) { c.PageSize = 1 })
			tc.arrange(a)
			a.last.EmailVerified = false
			_, err := a.check()
			if api := len(a.apiCalls()); api != tc.api {
				t.Errorf("%d API calls, want %d; error %v", api, tc.api, err)
			}
			if n := len(a.srv.Requests(tokenPage)); n > 1 {
				t.Errorf("%d token requests", n)
			}
			if tc.api == maxCalls {
				wantRefusal(t, err, upstream.ReasonUnavailable, "more than 50 API calls")
			}
		})
	}
}

// TestAttackInvitations: mallory invites somebody into thousands of organizations.
// GitHub is asked for memberships only, so that the list does not get too long to
// be read.
func TestAttackInvitations(t *testing.T) {
	t.Parallel()
	a := signedIn(t, func(c *testidp.Config) { c.PageSize = 1 })
	a.change(func(u *testidp.User) {
		for i := range 2 * maxPages {
			u.Pending = append(u.Pending, fmt.Sprintf("evil-%d", i))
		}
	})
	a.holds("github", "github/cats")
	if n := len(a.srv.Requests("/user/memberships/orgs")); n != 1 {
		t.Errorf("%d pages", n)
	}
}

// TestTenTokens: GitHub has room for ten tokens of a user with one app and one set
// of scopes. The one that checks work with is the one that was used last, so that
// sign-ins whose tokens are dropped do not push it out.
func TestTenTokens(t *testing.T) {
	t.Parallel()
	a := signedIn(t)
	for range 3 {
		for range 9 {
			a.signIn() // and drop the token
		}
		a.holds("github", "github/cats")
	}
	for range 10 {
		a.signIn()
	}
	a.refused(upstream.ReasonRevoked, "status 401") // ten in a row do
	a.tok = a.signIn().Token
	a.holds("github", "github/cats")
}

// TestOneSetOfScopes: a sign-in asks for the same scopes every time, because tokens
// with other scopes have ten places of their own and are never pushed out.
func TestOneSetOfScopes(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		cfg  Config
		want []string
	}{
		"no rule needs a list": {Config{}, []string{"read:user", "user:email"}},
		"organizations":        {Config{Needs: needBoth}, []string{"read:user", "user:email", "read:org"}},
		"teams alone":          {Config{Needs: needTeams}, []string{"read:user", "user:email", "read:org"}},
		"more, by request":     {Config{Scopes: []string{"repo", "user:email"}}, []string{"read:user", "user:email", "repo"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, _ := start(t, tc.cfg)
			if diff := cmp.Diff(tc.want, g.Scopes()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
