// SPDX-License-Identifier: Apache-2.0

package github

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testidp"
	"github.com/caddy-mcp/caddy-mcp-oauth/policy"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

func TestCheckSeesWhatChanged(t *testing.T) {
	t.Parallel()
	a := signedIn(t)
	before := a.last
	a.holds("github", "github/cats")
	if diff := cmp.Diff(before, a.last); diff != "" {
		t.Error(diff)
	}
	if !a.g.NeedsToken() {
		t.Error("checks without a token")
	}
	a.change(func(u *testidp.User) {
		u.Login, u.Name = "octocat2", "New Name"
		u.Emails = []testidp.Email{{Address: "new@github.example", Primary: true, Verified: true}}
		u.Orgs, u.Teams = []string{"github", "Acme"}, []string{"Acme/Ops"}
	})
	a.holds("acme", "acme/ops", "github")
	if a.last.Login != "octocat2" || a.last.Name != "New Name" || a.last.Email != "new@github.example" || a.last.Subject() != before.Subject() {
		t.Errorf("identity %+v", a.last)
	}
	a.change(func(u *testidp.User) { u.Orgs, u.Teams = nil, nil })
	a.holds()
	if a.saves != 0 {
		t.Errorf("%d tokens were saved, which do not end", a.saves)
	}
}

// TestCheckLoadsOnlyWhatRulesNeed, and does not take for lost what it did not load.
func TestCheckLoadsOnlyWhatRulesNeed(t *testing.T) {
	t.Parallel()
	a := signedIn(t)
	a.g.needs = policy.Needs{}
	a.holds()
	if diff := cmp.Diff([]string{"/user", "/user/emails"}, a.apiCalls()); diff != "" {
		t.Error(diff)
	}
	a = signedIn(t)
	a.g.needs = policy.Needs{Teams: true}
	a.holds("github/cats")
	if diff := cmp.Diff([]string{"/user", "/user/emails", "/user/teams"}, a.apiCalls()); diff != "" {
		t.Error(diff)
	}
}

// TestDefinitive are the answers after which a user is out.
func TestDefinitive(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		happens func(*account)
		says    string
	}{
		"the user revokes the app":        {func(a *account) { a.srv.RevokeTokens(583231) }, "status 401"},
		"GitHub revokes the newest token": {func(a *account) { a.srv.RevokeToken(a.tok.Access) }, "status 401"},
		"the account is deleted":          {func(a *account) { a.srv.RemoveUser(583231) }, "status 401"},
		"the account is suspended":        {func(a *account) { a.change(func(u *testidp.User) { u.Suspended = true }) }, "status 403"},
		"suspended, as GHES says it": {func(a *account) {
			a.srv.Fail("/user", testidp.Status(403, "Sorry. Your account is suspended. Please check with your installation administrator."))
		}, "status 403"},
		"revoked halfway": {func(a *account) { a.srv.Fail("/user/teams", testidp.Status(401, "Bad credentials")) }, "/user/teams"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := signedIn(t)
			tc.happens(a)
			a.refused(upstream.ReasonRevoked, tc.says)
			b := signedIn(t, app)
			tc.happens(b)
			if r := refusalOf(second(b.check())); name == "GitHub revokes the newest token" || name == "the account is deleted" || name == "the user revokes the app" {
				wantRefusal(t, r, upstream.ReasonRevoked, "bad_refresh_token") // which was tried first
			} else {
				wantRefusal(t, r, upstream.ReasonRevoked, tc.says)
			}
		})
	}
}

func second[T any](_ T, err error) error { return err }

// TestIndeterminate meets every call of a check with every kind of trouble. None
// says anything about the user.
func TestIndeterminate(t *testing.T) {
	t.Parallel()
	faults := map[string]struct {
		fault testidp.Fault
		retry time.Duration
	}{
		"primary limit":             {testidp.RateLimited(newClock().now.Add(20 * time.Minute)), 0},
		"primary limit, clocks off": {testidp.RateLimited(newClock().now.Add(-time.Hour)), 0},
		"secondary limit":           {testidp.SecondaryRateLimit(90 * time.Second), 90 * time.Second},
		"secondary limit, plain":    {testidp.SecondaryRateLimit(0), time.Minute},
		"abuse":                     {testidp.Status(403, "You have triggered an abuse detection mechanism."), time.Minute},
		"429":                       {testidp.TooManyRequests(5 * time.Second), 5 * time.Second},
		"429, a week":               {testidp.TooManyRequests(7 * 24 * time.Hour), time.Hour},
		"429, plain":                {testidp.TooManyRequests(0), time.Minute},
		"403 page":                  {testidp.HTML(403), 0},
		"401 page":                  {testidp.HTML(401), 0},
		"401 without the token":     {testidp.Status(401, "Requires authentication"), 0},
		"401, blank":                {testidp.Raw(401, "application/json", ""), 0},
		"404":                       {testidp.Status(404, "Not Found"), 0},
		"500":                       {testidp.Status(500, "oops"), 0},
		"502 page":                  {testidp.HTML(502), 0},
		"200 page":                  {testidp.HTML(200), 0},
		"304 nobody asked for":      {testidp.Raw(304, "", ""), 0},
		"half":                      {testidp.JSON(`[{"login":"acme"`), 0},
		"null":                      {testidp.JSON("null"), 0},
		"error as 200":              {testidp.JSON(`{"message":"Bad credentials","status":"401"}`), 0},
		"truncated":                 {testidp.Truncated(`[{"login":"acme"}`), 0},
		"too long":                  {testidp.Oversized(2 << 20), 0},
		"reset":                     {testidp.Reset(), 0},
		"redirect":                  {testidp.Redirect("https://evil.example/"), 0},
		"float id":                  {testidp.JSON(`{"id":583231.5,"login":"octocat"}`), 0},
		"id too large":              {testidp.JSON(`{"id":583231000000000000000,"login":"octocat"}`), 0},
	}
	for _, path := range []string{"/user", "/user/emails", "/user/memberships/orgs", "/user/teams"} {
		for name, tc := range faults {
			t.Run(strings.TrimPrefix(path, "/")+" "+name, func(t *testing.T) {
				t.Parallel()
				a := signedIn(t)
				a.srv.Fail(path, tc.fault)
				if r := a.refused(upstream.ReasonUnavailable); r.RetryAfter != tc.retry {
					t.Errorf("to be asked again in %s, want %s", r.RetryAfter, tc.retry)
				}
				a.srv.Heal()
				a.clock.move(time.Hour)
				a.holds("github", "github/cats")
			})
		}
	}
}

// TestAttackSuspendedInstallation: the owner of an organization suspends the
// GitHub App there, and GitHub says so with the word that it has for accounts, too.
// Nobody is gone.
func TestAttackSuspendedInstallation(t *testing.T) {
	t.Parallel()
	a := signedIn(t, app)
	a.srv.Fail("/user/teams", testidp.Status(403, "This installation has been suspended"))
	a.refused(upstream.ReasonMisconfigured, "/user/teams")
}

// TestAttackTokenOfAnother: records were mixed up, or mallory put her token into
// octocat's record. The check must not give octocat her groups, nor make octocat
// her, and the operator has to hear of it.
func TestAttackTokenOfAnother(t *testing.T) {
	t.Parallel()
	a := signedIn(t)
	a.srv.AddUser(testidp.User{ID: 666, Login: "mallory", Orgs: []string{"evil"}})
	a.tok = &upstream.Token{Access: a.srv.IssueToken(666, "read:org", "read:user", "user:email")}
	a.refused(upstream.ReasonRevoked, "another user")
	if diff := cmp.Diff([]string{"/user"}, a.apiCalls()); diff != "" {
		t.Errorf("it went on asking: %s", diff)
	}
	for _, want := range []string{"level=ERROR", "github_user_id=583231", "answered_user_id=666"} {
		if !strings.Contains(a.log.String(), want) {
			t.Errorf("the log does not say %s:\n%s", want, a.log)
		}
	}
}

// TestAttackAccountOfAnotherUpstream: the same number is somebody else at another
// GitHub.
func TestAttackAccountOfAnotherUpstream(t *testing.T) {
	t.Parallel()
	a := signedIn(t)
	a.last.Upstream = "ghe"
	a.refused(upstream.ReasonMisconfigured, "github:ghe:583231")
	a.last.Upstream, a.last.Kind = "github", "oidc"
	a.refused(upstream.ReasonMisconfigured)
	if calls := a.apiCalls(); len(calls) != 0 {
		t.Errorf("calls %q", calls)
	}
}

func TestCheckWithoutToken(t *testing.T) {
	t.Parallel()
	a := signedIn(t)
	for name, tok := range map[string]*upstream.Token{"nil": nil, "empty": {}, "header injection": {Access: "gho_a\r\nX-Evil: 1"}} {
		_, err := a.g.Check(t.Context(), a.last, tok, nil)
		t.Run(name, func(t *testing.T) { wantRefusal(t, err, upstream.ReasonSignInNeeded, "no token") })
	}
	if calls := a.apiCalls(); len(calls) != 0 {
		t.Errorf("calls %q", calls)
	}
}

// TestShrunkenScopes: the token may do less than at the sign-in, so that the facts
// can only be had with the user's help.
func TestShrunkenScopes(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		scopes  []string
		emailOK bool // there was none before
		want    upstream.Reason
		says    string
	}{
		"org scope gone":            {[]string{"read:user", "user:email"}, false, upstream.ReasonSignInNeeded, "read:org"},
		"email scope gone":          {[]string{"read:user", "read:org"}, false, upstream.ReasonSignInNeeded, "user:email"},
		"email gone that was none":  {[]string{"read:user", "read:org"}, true, "", ""},
		"all gone":                  {nil, false, upstream.ReasonSignInNeeded, "read:org"},
		"wider ones in their place": {[]string{"user", "admin:org"}, false, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := signedInAs(t, Config{Needs: needBoth}, func(s *testidp.Server) {
				if tc.emailOK {
					s.UpdateUser(583231, func(u *testidp.User) { u.Emails = nil })
				}
			})
			a.tok.Scope = "" // what matters is what GitHub says now
			a.holds("github", "github/cats")
			a.srv.NarrowTokens(583231, tc.scopes...)
			if tc.want == "" {
				a.holds("github", "github/cats")
				return
			}
			a.refused(tc.want, tc.says)
		})
	}
}

// TestAppLosesAPermission: what a GitHub App may do is the operator's affair, and
// no reason to send everybody to sign in.
func TestAppLosesAPermission(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/user/emails", "/user/memberships/orgs", "/user/teams"} {
		a := signedIn(t, app)
		a.srv.Fail(path, testidp.Status(403, "Resource not accessible by integration"))
		a.refused(upstream.ReasonMisconfigured, path)
	}
}
