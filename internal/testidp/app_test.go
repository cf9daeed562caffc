// SPDX-License-Identifier: Apache-2.0

package testidp

import (
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// clock is a clock that stands still.
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

func refreshForm(s *Server, refresh string) url.Values {
	return url.Values{
		"client_id": {s.ClientID()}, "client_secret": {s.ClientSecret()},
		"grant_type": {"refresh_token"}, "refresh_token": {refresh},
	}
}

// TestAppTokensEnd after eight hours, their refresh tokens after six months. A
// refresh token works once, and ends the access token it came with.
func TestAppTokensEnd(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := withOctocat(t, func(c *Config) { c.App, c.Now = true, now.get })
	first := exchange(t, s, tokenForm(s, newCode(t, s)))
	want := map[string]string{
		"access_token": s.Tokens(583231)[0], "refresh_token": s.RefreshTokens(583231)[0], "token_type": "bearer", "scope": "",
		"expires_in": "28800", "refresh_token_expires_in": "1.58112e+07",
	}
	if diff := cmp.Diff(want, first); diff != "" || !strings.HasPrefix(first["refresh_token"], "ghr_") {
		t.Errorf("refresh token %q: %s", first["refresh_token"], diff)
	}
	status := func(token string) int { return apiGet(t, s, "/user", token).status }
	now.move(8*time.Hour - time.Second)
	if got := status(first["access_token"]); got != 200 {
		t.Errorf("within eight hours: %d", got)
	}
	second := exchange(t, s, refreshForm(s, first["refresh_token"]))
	if status(first["access_token"]) != 401 || status(second["access_token"]) != 200 || second["refresh_token"] == first["refresh_token"] {
		t.Errorf("after the refresh: %v", second)
	}
	now.move(8 * time.Hour)
	if got := apiGet(t, s, "/user", second["access_token"]); got.status != 401 || !strings.Contains(got.body, "Bad credentials") {
		t.Errorf("after eight hours: %d %s", got.status, got.body)
	}
	if got := exchange(t, s, refreshForm(s, first["refresh_token"])); got["error"] != "bad_refresh_token" {
		t.Errorf("a used refresh token: %v", got)
	}
	now.move(refreshLifetime - 8*time.Hour)
	if got := exchange(t, s, refreshForm(s, second["refresh_token"])); got["error"] != "bad_refresh_token" {
		t.Errorf("after six months: %v", got)
	}
}

func TestRefreshErrors(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		arrange func(*Server)
		edit    func(url.Values)
		want    string
	}{
		"wrong secret":     {edit: func(f url.Values) { f.Set("client_secret", "x") }, want: "incorrect_client_credentials"},
		"wrong client":     {edit: func(f url.Values) { f.Set("client_id", "x") }, want: "Not Found"},
		"no refresh token": {edit: func(f url.Values) { f.Del("refresh_token") }, want: "bad_refresh_token"},
		"made up":          {edit: func(f url.Values) { f.Set("refresh_token", "ghr_x") }, want: "bad_refresh_token"},
		"revoked":          {arrange: func(s *Server) { s.RevokeTokens(583231) }, want: "bad_refresh_token"},
		"account gone":     {arrange: func(s *Server) { s.RemoveUser(583231) }, want: "bad_refresh_token"},
		"access expired":   {arrange: func(s *Server) { s.ExpireTokens(583231) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := withOctocat(t, func(c *Config) { c.App = true })
			s.IssueToken(583231)
			form := refreshForm(s, s.RefreshTokens(583231)[0])
			if tc.arrange != nil {
				tc.arrange(s)
			}
			if tc.edit != nil {
				tc.edit(form)
			}
			if got := exchange(t, s, form); got["error"] != tc.want || (tc.want == "") != (got["access_token"] != "") {
				t.Errorf("answer %v", got)
			}
		})
	}
}

func TestTokensThatStay(t *testing.T) {
	t.Parallel()
	now := newClock()
	kept := withOctocat(t, func(c *Config) { c.App, c.KeepTokens, c.Now = true, true, now.get })
	got := exchange(t, kept, tokenForm(kept, newCode(t, kept)))
	now.move(365 * 24 * time.Hour)
	if got["refresh_token"] != "" || got["expires_in"] != "" || apiGet(t, kept, "/user", got["access_token"]).status != 200 {
		t.Errorf("an app that opted out: %v", got)
	}
	oauth := withOctocat(t)
	if got := exchange(t, oauth, refreshForm(oauth, "")); got["error"] != "unsupported_grant_type" {
		t.Errorf("an OAuth app: %v", got)
	}
}

// TestWhichOfTenTokensGoes is the order GitHub documents.
func TestWhichOfTenTokensGoes(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		age  time.Duration
		use  []int // in this order
		gone int
	}{
		"none was used":                         {0, nil, 0},
		"none was used for minutes":             {2 * time.Minute, nil, 0},
		"the oldest unused, of minutes":         {2 * time.Minute, []int{0, 1, 5}, 2},
		"young ones are spared":                 {0, []int{3, 1, 2}, 3},
		"the one that was not used for longest": {2 * time.Minute, []int{9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 9}, 8},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := newClock()
			s := withOctocat(t, func(c *Config) { c.Now = now.get })
			var tokens []string
			for range 10 {
				tokens = append(tokens, s.IssueToken(583231))
			}
			now.move(tc.age)
			for _, i := range tc.use {
				apiGet(t, s, "/user", tokens[i])
			}
			eleventh := s.IssueToken(583231)
			var want []string
			for i, token := range tokens {
				if i != tc.gone {
					want = append(want, token)
				}
			}
			if diff := cmp.Diff(append(want, eleventh), s.Tokens(583231)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSuspendedUser(t *testing.T) {
	t.Parallel()
	s := withOctocat(t)
	token := s.IssueToken(583231, allScopes...)
	s.UpdateUser(583231, func(u *User) { u.Suspended = true })
	for _, path := range []string{"/user", "/user/emails", "/user/teams"} {
		if a := apiGet(t, s, path, token); a.status != 403 || !strings.Contains(a.body, "Sorry. Your account was suspended.") {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	if a := do(t, request(t, "GET", s.URL+"/login/oauth/authorize?"+authorizeQuery(s).Encode(), nil)); a.status != 403 || !strings.Contains(a.body, "suspended") {
		t.Errorf("the web: %d %s", a.status, a.body)
	}
}

func TestNarrowTokens(t *testing.T) {
	t.Parallel()
	s := withOctocat(t)
	token := s.IssueToken(583231, allScopes...)
	s.NarrowTokens(583231, "read:user")
	a := apiGet(t, s, "/user", token)
	if a.header.Get("X-OAuth-Scopes") != "read:user" || apiGet(t, s, "/user/teams", token).status != 403 || apiGet(t, s, "/user/emails", token).status != 404 {
		t.Errorf("scopes %q", a.header.Get("X-OAuth-Scopes"))
	}
}
