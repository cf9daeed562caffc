// SPDX-License-Identifier: Apache-2.0

package github

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testidp"
	"github.com/caddy-mcp/caddy-mcp-oauth/policy"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

func octocat() identity.Identity {
	return identity.Identity{
		Upstream: "github", Kind: "github", ID: "583231", Login: "octocat", Name: "The Octocat",
		Email: "octocat@github.example", EmailVerified: true,
	}
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		needs  policy.Needs
		groups []string
		asked  []string
	}{
		"nothing needed": {policy.Needs{}, nil, []string{"/user", "/user/emails"}},
		"orgs":           {policy.Needs{Orgs: true}, []string{"github"}, []string{"/user", "/user/emails", "/user/memberships/orgs"}},
		"teams":          {policy.Needs{Teams: true}, []string{"github/cats"}, []string{"/user", "/user/emails", "/user/teams"}},
		"both":           {needBoth, []string{"github", "github/cats"}, []string{"/user", "/user/emails", "/user/memberships/orgs", "/user/teams"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, srv := start(t, Config{Needs: tc.needs})
			got, err := signIn(t, g, srv)
			if err != nil {
				t.Fatal(err)
			}
			want := octocat()
			want.Groups = tc.groups
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			var asked []string
			for _, r := range srv.Requests() {
				if !strings.HasPrefix(r.Path, "/login/") {
					asked = append(asked, r.Path)
				}
			}
			if diff := cmp.Diff(tc.asked, asked); diff != "" {
				t.Errorf("API calls: %s", diff)
			}
		})
	}
}

// TestRequestsAreWhatGitHubAsksFor reads what went over the wire.
func TestRequestsAreWhatGitHubAsksFor(t *testing.T) {
	t.Parallel()
	g, srv := start(t, Config{Needs: needBoth})
	if _, err := signIn(t, g, srv); err != nil {
		t.Fatal(err)
	}
	exchanges := srv.Requests("/login/oauth/access_token")
	if len(exchanges) != 1 {
		t.Fatalf("%d token requests; a code works once", len(exchanges))
	}
	form := exchanges[0].Form
	if form.Get("client_secret") != srv.ClientSecret() || form.Get("redirect_uri") != redirectURI || form.Get("code_verifier") == "" {
		t.Errorf("token request lacks something: %d parameters", len(form))
	}
	if exchanges[0].Header.Get("Authorization") != "" || len(exchanges[0].Query) != 0 {
		t.Error("credentials are elsewhere than in the form")
	}
	token := srv.Tokens(583231)[0]
	for _, r := range srv.Requests() {
		if r.Path == "/login/oauth/authorize" {
			continue
		}
		if r.Header.Get("User-Agent") != "caddy-mcp-oauth" {
			t.Errorf("%s: User-Agent is %q", r.Path, r.Header.Get("User-Agent"))
		}
		if r.Path == "/login/oauth/access_token" {
			if r.Header.Get("Accept") != "application/json" {
				t.Errorf("%s: Accept is %q", r.Path, r.Header.Get("Accept"))
			}
			continue
		}
		want := map[string]string{
			"Accept": "application/vnd.github+json", "X-Github-Api-Version": "2022-11-28", "Authorization": "Bearer " + token,
		}
		for name, value := range want {
			if r.Header.Get(name) != value {
				t.Errorf("%s: %s is %q", r.Path, name, r.Header.Get(name))
			}
		}
		if r.Path != "/user" && r.Query.Get("per_page") != "100" {
			t.Errorf("%s: per_page is %q", r.Path, r.Query.Get("per_page"))
		}
	}
}

// TestNamedUpstreamNamesItself: the subject of a second GitHub must not collide
// with the first one's.
func TestNamedUpstreamNamesItself(t *testing.T) {
	t.Parallel()
	g, srv := start(t, Config{Name: "ghe"})
	id, err := signIn(t, g, srv)
	if err != nil {
		t.Fatal(err)
	}
	if id.Upstream != "ghe" || id.Subject() != "github:ghe:583231" {
		t.Errorf("upstream %q, subject %q", id.Upstream, id.Subject())
	}
}

func TestEmail(t *testing.T) {
	t.Parallel()
	mail := func(address string, primary, verified bool) testidp.Email {
		return testidp.Email{Address: address, Primary: primary, Verified: verified}
	}
	many := make([]testidp.Email, 0, 7)
	for i := range 6 {
		many = append(many, mail(fmt.Sprintf("other%d@x.example", i), false, true))
	}
	many = append(many, mail("last@x.example", true, true))
	for name, tc := range map[string]struct {
		emails []testidp.Email
		fault  testidp.Fault
		want   string
	}{
		"primary and verified":    {[]testidp.Email{mail("a@x.example", true, true)}, nil, "a@x.example"},
		"none":                    {nil, nil, ""},
		"primary, unverified":     {[]testidp.Email{mail("a@x.example", true, false), mail("b@x.example", false, true)}, nil, ""},
		"verified, none primary":  {[]testidp.Email{mail("a@x.example", false, true)}, nil, ""},
		"on a later page":         {many, nil, "last@x.example"},
		"private address":         {nil, testidp.Status(404, "Not Found"), ""},
		"not permitted":           {nil, testidp.Status(403, "Resource not accessible by integration"), ""},
		"null address":            {nil, testidp.JSON(`[{"email":null,"primary":true,"verified":true}]`), ""},
		"two primaries":           {nil, testidp.JSON(`[{"email":"a@x","primary":true,"verified":true},{"email":"b@x","primary":true,"verified":true}]`), ""},
		"verified is not true":    {nil, testidp.JSON(`[{"email":"a@x","primary":true,"verified":null}]`), ""},
		"no verified field":       {nil, testidp.JSON(`[{"email":"a@x","primary":true}]`), ""},
		"an address that is none": {nil, testidp.JSON(`[{"email":"a@x\nX-Evil: 1","primary":true,"verified":true}]`), ""},
		"empty list":              {nil, testidp.JSON(`[]`), ""},
		"noreply beside it":       {[]testidp.Email{mail("583231+octocat@users.noreply.github.com", false, true), mail("a@x.example", true, true)}, nil, "a@x.example"},
		"only noreply":            {[]testidp.Email{mail("583231+octocat@users.noreply.github.com", true, true)}, nil, "583231+octocat@users.noreply.github.com"},
		"noreply, not verified":   {[]testidp.Email{mail("octocat@users.noreply.github.com", true, false)}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, srv := start(t, Config{}, func(c *testidp.Config) { c.PageSize = 3 })
			srv.UpdateUser(583231, func(u *testidp.User) { u.Emails = tc.emails })
			if tc.fault != nil {
				srv.Fail("/user/emails", tc.fault)
			}
			id, err := signIn(t, g, srv)
			if err != nil {
				t.Fatal(err)
			}
			if id.Email != tc.want || id.EmailVerified != (tc.want != "") {
				t.Errorf("email %q, verified %v; want %q", id.Email, id.EmailVerified, tc.want)
			}
		})
	}
}

// TestGroupsOverManyPages: the organization that counts is on the last page.
func TestGroupsOverManyPages(t *testing.T) {
	t.Parallel()
	g, srv := start(t, Config{Needs: needBoth}, func(c *testidp.Config) { c.PageSize = 2 })
	var want []string
	srv.UpdateUser(583231, func(u *testidp.User) {
		u.Orgs, u.Teams = nil, nil
		for i := range 9 {
			u.Orgs = append(u.Orgs, fmt.Sprintf("Org-%d", i))
			u.Teams = append(u.Teams, fmt.Sprintf("Org-%d/Team", i))
			want = append(want, fmt.Sprintf("org-%d", i), fmt.Sprintf("org-%d/team", i))
		}
		u.Pending = []string{"invited"}
	})
	id, err := signIn(t, g, srv)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, id.Groups); diff != "" {
		t.Error(diff)
	}
	if n := len(srv.Requests("/user/memberships/orgs")); n != 5 {
		t.Errorf("%d requests for five pages", n)
	}
}

// TestEndlessListIsNoList: past the bound the answer is "unknown", not "no".
func TestEndlessListIsNoList(t *testing.T) {
	t.Parallel()
	g, srv := start(t, Config{Needs: policy.Needs{Orgs: true}}, func(c *testidp.Config) { c.PageSize = 1 })
	for _, n := range []int{maxPages, maxPages + 1} {
		srv.Forget()
		srv.UpdateUser(583231, func(u *testidp.User) {
			u.Orgs = nil
			for i := range n {
				u.Orgs = append(u.Orgs, fmt.Sprintf("org-%d", i))
			}
		})
		id, err := signIn(t, g, srv)
		if n == maxPages {
			if err != nil || len(id.Groups) != n {
				t.Errorf("%d pages: %d groups, %v", n, len(id.Groups), err)
			}
			continue
		}
		wantRefusal(t, err, upstream.ReasonUnavailable, "/user/memberships/orgs has more than 20 pages")
		if asked := len(srv.Requests("/user/memberships/orgs")); asked != maxPages {
			t.Errorf("%d pages were asked for", asked)
		}
	}
}

// TestCallsAreBounded: every list is as long as it may be, and the sign-in still
// makes a bounded number of calls.
func TestCallsAreBounded(t *testing.T) {
	t.Parallel()
	g, srv := start(t, Config{Needs: needBoth}, func(c *testidp.Config) { c.PageSize = 1 })
	srv.UpdateUser(583231, func(u *testidp.User) {
		u.Emails, u.Orgs, u.Teams = nil, nil, nil
		for i := range maxPages {
			u.Emails = append(u.Emails, testidp.Email{Address: fmt.Sprintf("a%d@x.example", i), Verified: true})
			u.Orgs = append(u.Orgs, fmt.Sprintf("o%d", i))
			u.Teams = append(u.Teams, fmt.Sprintf("o%d/t", i))
		}
	})
	_, err := signIn(t, g, srv)
	wantRefusal(t, err, upstream.ReasonUnavailable, "more than 50 API calls")
	if n := len(srv.Requests("/user", "/user/emails", "/user/memberships/orgs", "/user/teams")); n != maxCalls {
		t.Errorf("%d API calls", n)
	}
}

// TestOrganizationsThatKeepUsOut: GitHub leaves them out with status 200. The
// user is then not known to be in them, and for SAML the log says why.
func TestOrganizationsThatKeepUsOut(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	g, srv := start(t, Config{Needs: needBoth, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	srv.UpdateUser(583231, func(u *testidp.User) {
		u.Orgs = []string{"open", "saml", "restricted"}
		u.Teams = []string{"saml/a", "open/b", "restricted/c"}
	})
	srv.RequireSAML("SAML")
	srv.RestrictOrg("restricted")
	id, err := signIn(t, g, srv)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"open", "open/b"}, id.Groups); diff != "" {
		t.Error(diff)
	}
	if n := strings.Count(log.String(), "SAML single sign-on"); n != 1 || !strings.Contains(log.String(), "level=WARN") {
		t.Errorf("%d log lines about SAML, want one warning for orgs and teams:\n%s", n, log.String())
	}
	if strings.Contains(log.String(), srv.Tokens(583231)[0]) {
		t.Error("the log has the token")
	}
}

// TestGitHubApp: its user tokens have permissions instead of scopes, and an
// empty list of scopes proves nothing.
func TestGitHubApp(t *testing.T) {
	t.Parallel()
	g, srv := start(t, Config{Needs: needBoth}, func(c *testidp.Config) { c.App = true })
	id, err := signIn(t, g, srv)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"github", "github/cats"}, id.Groups); diff != "" {
		t.Error(diff)
	}
	srv.Fail("/user/memberships/orgs", testidp.Status(403, "Resource not accessible by integration"))
	_, err = signIn(t, g, srv)
	wantRefusal(t, err, upstream.ReasonInsufficientScope, "/user/memberships/orgs", "status 403")
}

// TestEnterpriseServerWithoutIssuer: older servers send no iss.
func TestEnterpriseServerWithoutIssuer(t *testing.T) {
	t.Parallel()
	g, srv := start(t, Config{}, func(c *testidp.Config) { c.OmitIssuer = true })
	if _, err := signIn(t, g, srv); err != nil {
		t.Fatal(err)
	}
}

// TestAttackRecycledLogin: the login changed hands; the id did not.
func TestAttackRecycledLogin(t *testing.T) {
	t.Parallel()
	g, srv := start(t, Config{})
	before, err := signIn(t, g, srv)
	if err != nil {
		t.Fatal(err)
	}
	srv.RecycleLogin(583231, "octocat-old", testidp.User{ID: 666})
	renamed, err := signIn(t, g, srv)
	if err != nil {
		t.Fatal(err)
	}
	srv.SignIn(666)
	taker, err := signIn(t, g, srv)
	if err != nil {
		t.Fatal(err)
	}
	if renamed.Subject() != before.Subject() || renamed.Login != "octocat-old" {
		t.Errorf("after renaming: %s %s", renamed.Subject(), renamed.Login)
	}
	if taker.Subject() == before.Subject() || taker.Login != "octocat" {
		t.Errorf("the taker: %s %s", taker.Subject(), taker.Login)
	}
}

// TestManySignInsLeaveTheNewestToken documents why nothing may rely on older
// tokens: the eleventh sign-in revokes the first.
func TestManySignInsLeaveTheNewestToken(t *testing.T) {
	t.Parallel()
	g, srv := start(t, Config{})
	var first string
	for i := range 11 {
		if _, err := signIn(t, g, srv); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = srv.Tokens(583231)[0]
		}
	}
	tokens := srv.Tokens(583231)
	if len(tokens) != 10 || strings.Contains(strings.Join(tokens, " "), first) {
		t.Errorf("%d tokens are left, the first among them: %v", len(tokens), strings.Contains(strings.Join(tokens, " "), first))
	}
}
