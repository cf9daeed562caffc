// SPDX-License-Identifier: Apache-2.0

package github

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testidp"
	"github.com/caddy-mcp/caddy-mcp-oauth/policy"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// acme is a member of organization acme, of its team ops, and of github.
func acme(s *testidp.Server) {
	s.UpdateUser(583231, func(u *testidp.User) {
		u.Orgs, u.Teams = []string{"acme", "github"}, []string{"acme/ops", "github/cats"}
	})
}

// TestOrganizationsThatFallSilent: GitHub leaves an organization out of the lists,
// with status 200, in which the user still is. The organization does not want us
// to know without the user's help, so the facts of before do not stand in.
func TestOrganizationsThatFallSilent(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		happens func(*testidp.Server)
		says    string
	}{
		"SAML session ended":            {func(s *testidp.Server) { s.RequireSAML("acme") }, "status 403"},
		"SAML, and GitHub shows the id": {func(s *testidp.Server) { s.RequireSAML("acme"); showID(s, "acme") }, "SAML"},
		"app not approved any more":     {func(s *testidp.Server) { s.RestrictOrg("acme") }, "status 403"},
	} {
		for kind, edit := range map[string]func(*testidp.Config){"OAuth app": func(*testidp.Config) {}, "GitHub App": app} {
			for need, needs := range map[string]policy.Needs{"both": needBoth, "orgs": {Orgs: true}, "teams": {Teams: true}} {
				t.Run(name+", "+kind+", "+need, func(t *testing.T) {
					t.Parallel()
					a := signedInAs(t, Config{Needs: needs}, acme, edit)
					tc.happens(a.srv)
					a.refused(upstream.ReasonSignInNeeded, "acme", tc.says)
					a.srv.OpenOrg("acme")
					if id, err := a.check(); err != nil || len(id.Groups) == 0 || !strings.HasPrefix(id.Groups[0], "acme") {
						t.Errorf("open again: %q, %v", id.Groups, err)
					}
				})
			}
		}
	}
}

// showID makes GitHub answer for an organization as it does to strangers, with
// the number that it has in the lists.
func showID(s *testidp.Server, org string) {
	s.AddUser(testidp.User{ID: 3, Login: "stranger"})
	s.Fail("/orgs/"+org, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		r.Header.Set("Authorization", "Bearer "+s.IssueToken(3, "read:org"))
		next.ServeHTTP(w, r)
	})
}

// TestRealLosses are what GitHub says outright, and are facts.
func TestRealLosses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		happens func(*account)
		want    []string
	}{
		"left the organization": {func(a *account) {
			a.change(func(u *testidp.User) { u.Orgs, u.Teams = []string{"github"}, []string{"github/cats"} })
		}, []string{"github", "github/cats"}},
		"left the team": {func(a *account) {
			a.change(func(u *testidp.User) { u.Teams = []string{"github/cats"} })
		}, []string{"acme", "github", "github/cats"}},
		"left everything": {func(a *account) {
			a.change(func(u *testidp.User) { u.Orgs, u.Teams = nil, nil })
		}, nil},
		"only invited now": {func(a *account) {
			a.change(func(u *testidp.User) { u.Orgs, u.Pending, u.Teams = []string{"github"}, []string{"acme"}, nil })
		}, []string{"github"}},
		"only pays the bills now": {func(a *account) {
			a.change(func(u *testidp.User) { u.Orgs, u.Billing, u.Teams = []string{"github"}, []string{"acme"}, nil })
		}, []string{"github"}},
		"the organization is called something else": {func(a *account) { a.srv.RenameOrg("acme", "Acme-Inc") }, []string{"acme-inc", "acme-inc/ops", "github", "github/cats"}},
		"called something else, with a redirect": {func(a *account) {
			a.srv.RenameOrg("acme", "Acme-Inc")
			a.srv.Fail("/user/memberships/orgs/acme", testidp.Raw(301, "application/json", `{"message":"Moved Permanently","url":"https://api.github.com/organizations/1"}`))
		}, []string{"acme-inc", "acme-inc/ops", "github", "github/cats"}},
		"the team is called something else": {func(a *account) { a.srv.RenameTeam("acme/ops", "acme/platform") }, []string{"acme", "acme/platform", "github", "github/cats"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := signedInAs(t, Config{Needs: needBoth}, acme)
			a.holds("acme", "acme/ops", "github", "github/cats")
			tc.happens(a)
			a.holds(tc.want...)
		})
	}
}

// TestAttackSilentOrgAsAnExcuse: mallory is removed from acme. She is also in an
// organization of her own with SAML, to which she never signs in, so that every
// list she gets is partial. That excuses nothing about acme.
func TestAttackSilentOrgAsAnExcuse(t *testing.T) {
	t.Parallel()
	a := signedInAs(t, Config{Needs: needBoth}, func(s *testidp.Server) {
		s.UpdateUser(583231, func(u *testidp.User) {
			u.Orgs, u.Teams = []string{"acme", "mallorys"}, []string{"acme/ops", "mallorys/x"}
		})
		s.AddUser(testidp.User{ID: 2, Login: "boss", Orgs: []string{"acme"}})
		s.RequireSAML("mallorys")
	})
	a.holds("acme", "acme/ops")
	a.change(func(u *testidp.User) { u.Orgs, u.Teams = []string{"mallorys"}, []string{"mallorys/x"} })
	a.holds()
}

// TestAttackOrgTakenOver: acme is renamed, and mallory registers the name. A check
// cannot tell her members from acme's by the name; that it says what GitHub says
// is all it can do, and what the documentation warns of.
func TestAttackOrgTakenOver(t *testing.T) {
	t.Parallel()
	a := signedInAs(t, Config{Needs: policy.Needs{Orgs: true}}, acme)
	a.srv.RenameOrg("acme", "acme-inc")
	a.srv.AddUser(testidp.User{ID: 666, Login: "mallory", Orgs: []string{"acme"}})
	a.holds("acme-inc", "github") // octocat is not in hers
}

// TestTroubleWhileConfirming: GitHub breaks down between the lists and the question
// about what is missing from them.
func TestTroubleWhileConfirming(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/user/memberships/orgs/acme", "/orgs/acme"} {
		for name, fault := range map[string]testidp.Fault{
			"500": testidp.Status(500, "oops"), "limit": testidp.SecondaryRateLimit(0), "page": testidp.HTML(200), "half": testidp.JSON(`{"state":`),
			"no state": testidp.JSON(`{}`), "reset": testidp.Reset(), "captive portal": testidp.Redirect("https://portal.example/"),
			"moved page": testidp.Raw(301, "text/html", "moved"),
		} {
			t.Run(strings.TrimPrefix(path, "/")+" "+name, func(t *testing.T) {
				t.Parallel()
				a := signedInAs(t, Config{Needs: needBoth}, acme)
				a.change(func(u *testidp.User) { u.Orgs, u.Teams = []string{"other"}, nil })
				a.srv.RequireSAML("other") // so that /orgs/acme is asked
				a.srv.Fail(path, fault)
				a.refused(upstream.ReasonUnavailable)
			})
		}
	}
}

// TestListAndMembershipDisagree: somebody joined between the pages, or GitHub's
// replicas are not of one mind.
func TestListAndMembershipDisagree(t *testing.T) {
	t.Parallel()
	a := signedInAs(t, Config{Needs: needBoth}, acme)
	a.srv.Script("/user/memberships/orgs", testidp.JSON(`[]`))
	a.refused(upstream.ReasonUnavailable, "still has the user")
	a.holds("acme", "acme/ops", "github", "github/cats")
	teams := signedInAs(t, Config{Needs: policy.Needs{Teams: true}}, acme)
	teams.change(func(u *testidp.User) { u.Teams = nil })
	teams.holds() // in the organization, and in no team of it
}

// TestAttackManyLosses: somebody is removed from a whole enterprise at once, with
// more organizations than are asked about. Those that are not asked about are lost
// as well, and hold nobody.
func TestAttackManyLosses(t *testing.T) {
	t.Parallel()
	for _, n := range []int{maxLosses, maxLosses + 1, 3 * maxLosses} {
		a := signedInAs(t, Config{Needs: policy.Needs{Orgs: true}}, func(s *testidp.Server) {
			s.UpdateUser(583231, func(u *testidp.User) {
				u.Orgs = nil
				for i := range n {
					u.Orgs = append(u.Orgs, fmt.Sprintf("org-%d", i))
				}
			})
		})
		a.change(func(u *testidp.User) { u.Orgs = nil })
		a.holds()
		asked := slices.DeleteFunc(a.apiCalls(), func(p string) bool { return !strings.HasPrefix(p, "/user/memberships/orgs/") })
		if len(asked) != maxLosses {
			t.Errorf("%d losses: %d questions", n, len(asked))
		}
	}
}

func TestHiddenOrgs(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ missing, now, want []string }{
		"organization":            {[]string{"a"}, nil, []string{"a"}},
		"with its teams":          {[]string{"a", "a/x", "a/y"}, []string{"b"}, []string{"a"}},
		"team of a shown one":     {[]string{"a/x"}, []string{"a"}, nil},
		"team, another is shown":  {[]string{"a/x"}, []string{"a/y"}, nil},
		"org, its team is shown":  {[]string{"a"}, []string{"a/y"}, []string{"a"}},
		"prefix of another":       {[]string{"a/x"}, []string{"ab", "ab/x"}, []string{"a"}},
		"several, and only once":  {[]string{"b/x", "a/x", "b"}, nil, []string{"a", "b"}},
		"nothing is missing here": {nil, []string{"a"}, nil},
	} {
		if diff := cmp.Diff(tc.want, hiddenOrgs(tc.missing, tc.now)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestAttackSpentCalls: the lists of mallory's own organizations take nearly all calls
// of a check, with many teams above theirs and more than one page of everything. What
// is missing is asked about all the same.
func TestAttackSpentCalls(t *testing.T) {
	t.Parallel()
	a := signedInAs(t, Config{Needs: needBoth}, func(s *testidp.Server) {
		s.UpdateUser(583231, func(u *testidp.User) {
			u.Orgs, u.Teams = []string{"acme", "evil", "silent"}, []string{"evil/t-0"}
			for i := range maxLosses - 1 {
				u.Orgs = append(u.Orgs, fmt.Sprintf("own-%02d", i))
			}
		})
		for i := range 30 {
			s.SetParent(fmt.Sprintf("evil/t-%d", i), fmt.Sprintf("evil/t-%d", i+1))
		}
	})
	a.srv.RequireSAML("silent")
	a.last.Groups = slices.DeleteFunc(a.last.Groups, func(g string) bool { return g == "silent" })
	a.change(func(u *testidp.User) { u.Orgs = []string{"evil", "silent"} })
	id, err := a.check()
	if err != nil || slices.Contains(id.Groups, "acme") {
		t.Errorf("groups %q, error %v", id.Groups, err)
	}
	if n := len(a.apiCalls()); n <= maxCalls || n > 2*maxCalls {
		t.Errorf("%d calls", n)
	}
}
