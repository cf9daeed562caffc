// SPDX-License-Identifier: Apache-2.0

package testidp

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var allScopes = []string{"read:user", "user:email", "read:org"}

func TestUser(t *testing.T) {
	t.Parallel()
	s := withOctocat(t)
	token := s.IssueToken(583231, allScopes...)
	for _, path := range []string{"/user", "/api/v3/user"} {
		a := apiGet(t, s, path, token)
		var u struct {
			ID    int64
			Login string
			Name  *string
			Email *string
		}
		if err := json.Unmarshal([]byte(a.body), &u); err != nil {
			t.Fatal(err)
		}
		if a.status != 200 || u.ID != 583231 || u.Login != "octocat" || u.Name == nil || *u.Name != "The Octocat" || u.Email != nil {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	s.UpdateUser(583231, func(u *User) { u.Name = "" })
	if a := apiGet(t, s, "/user", token); !strings.Contains(a.body, `"name":null`) {
		t.Errorf("without a name: %s", a.body)
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	s := withOctocat(t)
	token := s.IssueToken(583231, allScopes...)
	var last answer
	for range 3 {
		last = apiGet(t, s, "/user/orgs", token)
	}
	want := map[string]string{
		"Content-Type":            "application/json; charset=utf-8",
		"X-Oauth-Scopes":          "read:org, read:user, user:email",
		"X-Accepted-Oauth-Scopes": "admin:org, read:org, repo, user, write:org",
		"X-Oauth-Client-Id":       s.ClientID(),
		"X-Ratelimit-Limit":       "5000",
		"X-Ratelimit-Remaining":   "4997",
		"X-Ratelimit-Used":        "3",
		"X-Ratelimit-Resource":    "core",
	}
	got := map[string]string{}
	for name := range want {
		got[name] = last.header.Get(name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if id := last.header.Get("X-GitHub-Request-Id"); id == "" || id == apiGet(t, s, "/user", token).header.Get("X-GitHub-Request-Id") {
		t.Errorf("request id %q", id)
	}
}

func TestAPIErrors(t *testing.T) {
	t.Parallel()
	s := withOctocat(t)
	none, user := s.IssueToken(583231), s.IssueToken(583231, "user")
	for name, tc := range map[string]struct {
		path, token string
		status      int
		message     string
	}{
		"no token":             {"/user", "", 401, "Requires authentication"},
		"bad token":            {"/user", "gho_x", 401, "Bad credentials"},
		"unknown path":         {"/api/v3/nothing", none, 404, "Not Found"},
		"orgs without scope":   {"/user/orgs", none, 403, "You need at least read:org scope or user scope to list your organizations."},
		"emails without scope": {"/user/emails", none, 404, "Not Found"},
		"stranger's org":       {"/user/memberships/orgs/acme", user, 404, "Not Found"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := apiGet(t, s, tc.path, tc.token)
			var got map[string]string
			if err := json.Unmarshal([]byte(a.body), &got); err != nil {
				t.Fatal(err)
			}
			want := map[string]string{"message": tc.message, "documentation_url": "https://docs.github.com/rest", "status": fmt.Sprint(tc.status)}
			if diff := cmp.Diff(want, got); diff != "" || a.status != tc.status {
				t.Errorf("status %d: %s", a.status, diff)
			}
		})
	}
	for _, path := range []string{"/user/emails", "/user/orgs", "/user/teams"} {
		if a := apiGet(t, s, path, user); a.status != 200 {
			t.Errorf("%s with scope user: %d", path, a.status)
		}
	}
}

func TestUserAgentIsRequired(t *testing.T) {
	t.Parallel()
	s := withOctocat(t)
	req := request(t, "GET", s.URL+"/user", nil)
	req.Header.Set("Authorization", "token "+s.IssueToken(583231))
	if a := do(t, req); a.status != 200 {
		t.Errorf("the old scheme: %d", a.status)
	}
	req = request(t, "GET", s.URL+"/user", nil)
	req.Header["User-Agent"] = []string{""}
	if a := do(t, req); a.status != http.StatusForbidden || !strings.Contains(a.body, "User-Agent") {
		t.Errorf("without User-Agent: %d %s", a.status, a.body)
	}
}

// TestPages follows the links, as a client does, and counts.
func TestPages(t *testing.T) {
	t.Parallel()
	s := withOctocat(t, func(c *Config) { c.PageSize = 2 })
	s.UpdateUser(583231, func(u *User) { u.Orgs = []string{"a", "b", "c", "d", "e"} })
	token := s.IssueToken(583231, allScopes...)
	first := apiGet(t, s, "/user/orgs?per_page=100", token)
	want := `<` + s.URL + `/user/orgs?page=2&per_page=100>; rel="next", <` + s.URL + `/user/orgs?page=3&per_page=100>; rel="last"`
	if got := first.header.Get("Link"); got != want {
		t.Errorf("Link: %s", got)
	}
	last := apiGet(t, s, "/user/orgs?page=3", token)
	want = `<` + s.URL + `/user/orgs?page=2>; rel="prev", <` + s.URL + `/user/orgs?page=1>; rel="first"`
	if got := last.header.Get("Link"); got != want || strings.Count(last.body, `"login"`) != 1 {
		t.Errorf("Link: %s, body %s", got, last.body)
	}
	if beyond := apiGet(t, s, "/user/orgs?page=9", token); strings.TrimSpace(beyond.body) != "[]" || beyond.status != 200 {
		t.Errorf("beyond the end: %d %s", beyond.status, beyond.body)
	}
	if one := apiGet(t, s, "/user/teams", token); one.header.Get("Link") != "" {
		t.Errorf("one page has links: %s", one.header.Get("Link"))
	}
	if mounted := apiGet(t, s, "/api/v3/user/orgs", token); !strings.Contains(mounted.header.Get("Link"), s.URL+"/api/v3/user/orgs?page=2") {
		t.Errorf("below /api/v3: %s", mounted.header.Get("Link"))
	}
}

func TestPerPage(t *testing.T) {
	t.Parallel()
	s := withOctocat(t)
	s.UpdateUser(583231, func(u *User) {
		u.Orgs = nil
		for i := range 150 {
			u.Orgs = append(u.Orgs, fmt.Sprintf("o%d", i))
		}
	})
	token := s.IssueToken(583231, allScopes...)
	for query, want := range map[string]int{"": 30, "?per_page=100": 100, "?per_page=1000": 100, "?per_page=7": 7, "?per_page=0": 30, "?per_page=x&page=x": 30} {
		if got := strings.Count(apiGet(t, s, "/user/orgs"+query, token).body, `"login"`); got != want {
			t.Errorf("%q: %d entries, want %d", query, got, want)
		}
	}
}

func TestMemberships(t *testing.T) {
	t.Parallel()
	s := withOctocat(t)
	s.UpdateUser(583231, func(u *User) {
		u.Orgs = []string{"Active", "saml", "closed"}
		u.Pending = []string{"invited"}
		u.Teams = []string{"Active/ops", "saml/x"}
	})
	s.RequireSAML("SAML")
	s.RestrictOrg("Closed")
	token := s.IssueToken(583231, allScopes...)
	for path, want := range map[string][2]string{
		"/user/orgs":                            {"Active", "invited saml closed"},
		"/user/teams":                           {`"slug":"ops"`, `"slug":"x"`},
		"/user/memberships/orgs":                {"invited", "closed"},
		"/user/memberships/orgs?state=active":   {`"state":"active"`, "invited"},
		"/user/memberships/orgs?state=pending":  {`"state":"pending"`, "Active"},
		"/user/memberships/orgs/active":         {`"state":"active"`, "pending"},
		"/api/v3/user/memberships/orgs/INVITED": {`"state":"pending"`, "active"},
	} {
		a := apiGet(t, s, path, token)
		if a.status != 200 || !strings.Contains(a.body, want[0]) {
			t.Errorf("%s: %d, without %s: %s", path, a.status, want[0], a.body)
		}
		for unwanted := range strings.FieldsSeq(want[1]) {
			if strings.Contains(a.body, unwanted) {
				t.Errorf("%s: with %s: %s", path, unwanted, a.body)
			}
		}
	}
	if got := apiGet(t, s, "/user/orgs", token).header.Get("X-GitHub-SSO"); got != fmt.Sprintf("partial-results; organizations=%d", idOf("saml")) {
		t.Errorf("X-GitHub-SSO: %q", got)
	}
	if a := apiGet(t, s, "/user/memberships/orgs/saml", token); a.status != 403 || !strings.HasPrefix(a.header.Get("X-GitHub-SSO"), "required; url=") {
		t.Errorf("SAML: %d %q", a.status, a.header.Get("X-GitHub-SSO"))
	}
	if a := apiGet(t, s, "/user/memberships/orgs/closed", token); a.status != 403 || !strings.Contains(a.body, "access restrictions") {
		t.Errorf("restricted: %d %s", a.status, a.body)
	}
}

func TestRecycleLogin(t *testing.T) {
	t.Parallel()
	s := withOctocat(t)
	old := s.IssueToken(583231)
	s.RecycleLogin(583231, "former", User{ID: 666})
	taken := s.IssueToken(666)
	if a := apiGet(t, s, "/user", old); !strings.Contains(a.body, `"login":"former"`) || !strings.Contains(a.body, `"id":583231`) {
		t.Errorf("the owner: %s", a.body)
	}
	if a := apiGet(t, s, "/user", taken); !strings.Contains(a.body, `"login":"octocat"`) || !strings.Contains(a.body, `"id":666`) {
		t.Errorf("the taker: %s", a.body)
	}
	defer func() {
		if recover() == nil {
			t.Error("two accounts share a login")
		}
	}()
	s.AddUser(User{ID: 7, Login: "OCTOCAT"})
}

func TestFaults(t *testing.T) {
	t.Parallel()
	s := withOctocat(t)
	token := s.IssueToken(583231, allScopes...)
	for name, tc := range map[string]struct {
		fault  Fault
		status int
		header string
		value  string
		body   string
	}{
		"primary limit":   {RateLimited(time.Unix(1700000000, 0)), 403, "X-RateLimit-Reset", "1700000000", "API rate limit exceeded"},
		"secondary limit": {SecondaryRateLimit(time.Minute), 403, "Retry-After", "60", "secondary rate limit"},
		"no retry-after":  {SecondaryRateLimit(0), 403, "Retry-After", "", "secondary rate limit"},
		"429":             {TooManyRequests(time.Second), 429, "Retry-After", "1", "Too many"},
		"status":          {Status(500, "oops"), 500, "", "", `"message":"oops"`},
		"html":            {HTML(502), 502, "Content-Type", "text/html; charset=utf-8", "Unicorn"},
		"malformed":       {JSON(`{"`), 200, "Content-Type", "application/json; charset=utf-8", `{"`},
		"redirect":        {Redirect("https://x.example/"), 302, "Location", "https://x.example/", ""},
		"header":          {With("X-Extra", "1"), 200, "X-Extra", "1", "octocat"},
	} {
		t.Run(name, func(t *testing.T) { // one server, one path: not parallel
			s.Fail("/user", tc.fault)
			defer s.Heal()
			for _, path := range []string{"/user", "/api/v3/user"} {
				a := apiGet(t, s, path, token)
				if a.status != tc.status || tc.header != "" && a.header.Get(tc.header) != tc.value || !strings.Contains(a.body, tc.body) {
					t.Errorf("%s: %d %q %s", path, a.status, a.header.Get(tc.header), a.body)
				}
			}
			if a := apiGet(t, s, "/user/emails", token); a.status != 200 {
				t.Errorf("another path: %d", a.status)
			}
		})
	}
	if a := apiGet(t, s, "/user", token); a.status != 200 {
		t.Errorf("after Heal: %d", a.status)
	}
}

func TestErrorAs200(t *testing.T) {
	t.Parallel()
	s := withOctocat(t)
	s.Script("/login/oauth/access_token", ErrorAs200("slow_down", "d"))
	if got := exchange(t, s, tokenForm(s, newCode(t, s))); got["error"] != "slow_down" {
		t.Errorf("answer %v", got)
	}
	if got := exchange(t, s, tokenForm(s, newCode(t, s))); got["access_token"] == "" {
		t.Errorf("after the script: %v", got)
	}
}

// TestScript runs out, and comes before what stands.
func TestScript(t *testing.T) {
	t.Parallel()
	s := withOctocat(t)
	token := s.IssueToken(583231)
	s.Fail("/user", Status(503, "standing"))
	s.Script("/user", nil, Status(500, "a"), nil)
	var got []int
	for range 5 {
		got = append(got, apiGet(t, s, "/user", token).status)
	}
	if diff := cmp.Diff([]int{200, 500, 200, 503, 503}, got); diff != "" {
		t.Error(diff)
	}
}

func TestBrokenConnections(t *testing.T) {
	t.Parallel()
	s := withOctocat(t)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	s.Fail("/user", Reset())
	if _, err := client.Get(s.URL + "/user"); err == nil {
		t.Error("a reset connection answered")
	}
	s.Fail("/user", Truncated(`{"id":`))
	resp, err := client.Get(s.URL + "/user")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) || string(body) != `{"id":` {
		t.Errorf("body %q, error %v", body, err)
	}
}

func TestHang(t *testing.T) {
	t.Parallel()
	s := withOctocat(t)
	token := s.IssueToken(583231)
	release := make(chan struct{})
	s.Fail("/user", Hang(release))
	client := &http.Client{Timeout: 50 * time.Millisecond}
	if _, err := client.Get(s.URL + "/user"); err == nil {
		t.Error("a hanging request answered")
	}
	close(release)
	if a := apiGet(t, s, "/user", token); a.status != 200 {
		t.Errorf("after the release: %d", a.status)
	}
}

// TestTwoHosts: one handler passes for the web host and the API host.
func TestTwoHosts(t *testing.T) {
	t.Parallel()
	g := New(Config{PageSize: 1})
	u := Octocat()
	u.Orgs = []string{"a", "b"}
	g.AddUser(u)
	req := httptest.NewRequest("GET", "https://api.github.test/user/orgs", nil)
	req.Header.Set("Authorization", "Bearer "+g.IssueToken(583231, "read:org"))
	req.Header.Set("User-Agent", "test")
	rec := httptest.NewRecorder()
	g.ServeHTTP(rec, req)
	if rec.Code != 200 || !strings.HasPrefix(rec.Header().Get("Link"), "<https://api.github.test/user/orgs?page=2>") {
		t.Errorf("%d %q", rec.Code, rec.Header().Get("Link"))
	}
}

func TestOversizedRequest(t *testing.T) {
	t.Parallel()
	s := withOctocat(t)
	form := tokenForm(s, strings.Repeat("c", 2*maxForm))
	if a := do(t, request(t, "POST", s.URL+"/login/oauth/access_token", form)); a.status != http.StatusBadRequest {
		t.Errorf("status %d", a.status)
	}
}
