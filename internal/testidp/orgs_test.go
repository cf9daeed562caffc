// SPDX-License-Identifier: Apache-2.0

package testidp

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type teamAnswer struct {
	ID           int64
	Slug         string
	Organization struct{ Login string }
	Parent       *struct {
		ID     int64
		Slug   string
		Parent any
	}
}

func getTeam(t *testing.T, s *Server, path, token string) teamAnswer {
	t.Helper()
	a := apiGet(t, s, path, token)
	var team teamAnswer
	if err := json.Unmarshal([]byte(a.body), &team); a.status != 200 || err != nil {
		t.Fatalf("%s: %d %s", path, a.status, a.body)
	}
	return team
}

// TestTeamsBelowTeams: a list has the teams somebody was put into, each with the
// next one above, and no more.
func TestTeamsBelowTeams(t *testing.T) {
	t.Parallel()
	s := withOctocat(t)
	s.SetParent("github/cats", "github/animals")
	s.SetParent("github/animals", "github/life")
	token := s.IssueToken(583231, allScopes...)
	a := apiGet(t, s, "/user/teams", token)
	var list []teamAnswer
	if err := json.Unmarshal([]byte(a.body), &list); err != nil || len(list) != 1 || list[0].Parent == nil || list[0].Parent.Slug != "animals" || list[0].Parent.Parent != nil {
		t.Fatalf("%s", a.body)
	}
	animals := getTeam(t, s, "/api/v3/orgs/github/teams/animals", token)
	if animals.ID != list[0].Parent.ID || animals.Organization.Login != "github" || animals.Parent == nil || animals.Parent.Slug != "life" {
		t.Errorf("%+v", animals)
	}
	if life := getTeam(t, s, "/orgs/GitHub/teams/Life", token); life.Parent != nil || life.Slug != "life" {
		t.Errorf("%+v", life)
	}
	s.AddUser(User{ID: 3, Login: "colleague", Orgs: []string{"github"}, Teams: []string{"github/animals"}})
	for path, want := range map[string]int{
		"cats/memberships/octocat": 200, "animals/memberships/Octocat": 200, "life/memberships/octocat": 200, "life/memberships/colleague": 200,
		"cats/memberships/colleague": 404, "cats/memberships/nobody": 404, "none/memberships/octocat": 404,
	} {
		if a := apiGet(t, s, "/orgs/github/teams/"+path, token); a.status != want || want == 200 && !strings.Contains(a.body, `"state":"active"`) {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	s.AddUser(User{ID: 2, Login: "stranger", Orgs: []string{"other"}})
	for path, token := range map[string]string{
		"/orgs/github/teams/none":    token,
		"/orgs/other/teams/cats":     token,
		"/orgs/github/teams/animals": s.IssueToken(2, allScopes...),
	} {
		if a := apiGet(t, s, path, token); a.status != 404 {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	s.SetParent("github/cats", "")
	if cats := getTeam(t, s, "/orgs/github/teams/cats", token); cats.Parent != nil {
		t.Errorf("%+v", cats)
	}
}

// TestRenames keep the numbers. Who takes the old name gets another one.
func TestRenames(t *testing.T) {
	t.Parallel()
	s := withOctocat(t)
	s.SetParent("github/cats", "github/animals")
	s.RequireSAML("github")
	s.OpenOrg("github")
	token := s.IssueToken(583231, allScopes...)
	before := getTeam(t, s, "/orgs/github/teams/animals", token)
	s.RenameOrg("GitHub", "Octo")
	s.RenameTeam("octo/animals", "Octo/beasts")
	after := getTeam(t, s, "/orgs/octo/teams/beasts", token)
	if after.ID != before.ID || after.Slug != "beasts" {
		t.Errorf("before %+v, after %+v", before, after)
	}
	for _, path := range []string{"/orgs/github", "/orgs/github/teams/cats", "/orgs/octo/teams/animals", "/user/memberships/orgs/github"} {
		if a := apiGet(t, s, path, token); a.status != 404 {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	s.AddUser(User{ID: 666, Login: "mallory", Orgs: []string{"github"}})
	id := func(path string) (n int64) {
		var o struct{ ID int64 }
		if err := json.Unmarshal([]byte(apiGet(t, s, path, token).body), &o); err != nil {
			t.Fatal(err)
		}
		return o.ID
	}
	if id("/orgs/octo") != idOf("github") || id("/orgs/github") == idOf("github") {
		t.Errorf("ids %d and %d, once %d", id("/orgs/octo"), id("/orgs/github"), idOf("github"))
	}
}

// TestKeptOut holds what an organization answers to whom.
func TestKeptOut(t *testing.T) {
	t.Parallel()
	s := withOctocat(t)
	s.UpdateUser(583231, func(u *User) {
		u.Orgs, u.Teams, u.Billing = []string{"saml", "closed", "open"}, []string{"saml/a", "closed/b"}, []string{"paid", "saml2"}
	})
	s.AddUser(User{ID: 2, Login: "stranger"})
	s.RequireSAML("saml")
	s.RequireSAML("saml2")
	s.RestrictOrg("closed")
	token, stranger := s.IssueToken(583231, allScopes...), s.IssueToken(2, allScopes...)
	for path, want := range map[string]int{
		"/user/memberships/orgs/saml": 403, "/user/memberships/orgs/closed": 403, "/user/memberships/orgs/open": 200, "/user/memberships/orgs/paid": 200,
		"/orgs/saml": 403, "/orgs/closed": 200, "/orgs/open": 200, "/orgs/nobody": 404,
		"/orgs/saml/teams/a": 403, "/orgs/closed/teams/b": 403,
	} {
		a := apiGet(t, s, path, token)
		if a.status != want || strings.Contains(path, "saml") != strings.HasPrefix(a.header.Get("X-GitHub-SSO"), "required; url="+s.URL+"/orgs/saml/sso?") {
			t.Errorf("%s: %d %q", path, a.status, a.header.Get("X-GitHub-SSO"))
		}
	}
	for path, want := range map[string]int{"/user/memberships/orgs/saml": 404, "/orgs/saml": 200, "/orgs/saml/teams/a": 404} {
		if a := apiGet(t, s, path, stranger); a.status != want || a.header.Get("X-GitHub-SSO") != "" {
			t.Errorf("a stranger, %s: %d", path, a.status)
		}
	}
	list := apiGet(t, s, "/user/memberships/orgs?state=active", token)
	if strings.Count(list.body, `"state":"active"`) != 2 || !strings.Contains(list.body, `"role":"billing_manager"`) {
		t.Errorf("%s", list.body)
	}
	sso := list.header.Get("X-GitHub-SSO")
	for _, org := range []string{"saml", "saml2"} {
		if !strings.Contains(sso, strings.TrimSpace(mustJSON(t, idOf(org)))) {
			t.Errorf("X-GitHub-SSO %q is without %s", sso, org)
		}
	}
	if diff := cmp.Diff("", apiGet(t, s, "/user/memberships/orgs?state=pending", token).header.Get("X-GitHub-SSO")); diff != "" {
		t.Error(diff)
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
