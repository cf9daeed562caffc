// SPDX-License-Identifier: Apache-2.0

package testidp

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestExchange(t *testing.T) {
	t.Parallel()
	s := withOctocat(t)
	got := exchange(t, s, tokenForm(s, newCode(t, s)))
	want := map[string]string{"access_token": s.Tokens(583231)[0], "token_type": "bearer", "scope": "read:org,read:user,user:email"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !strings.HasPrefix(got["access_token"], "gho_") {
		t.Errorf("token %q", got["access_token"])
	}
}

// TestExchangeFormEncoded is what a client gets that does not say it wants JSON.
func TestExchangeFormEncoded(t *testing.T) {
	t.Parallel()
	s := withOctocat(t)
	a := do(t, request(t, "POST", s.URL+"/login/oauth/access_token", tokenForm(s, newCode(t, s))))
	v, err := url.ParseQuery(a.body)
	if err != nil || v.Get("token_type") != "bearer" || !strings.HasPrefix(a.header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		t.Errorf("%s: %s", a.header.Get("Content-Type"), a.body)
	}
}

// TestExchangeErrors have status 200, but for an unknown client id.
func TestExchangeErrors(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		edit   func(url.Values)
		want   string
		status int
	}{
		"no code":         {func(f url.Values) { f.Del("code") }, "bad_verification_code", 200},
		"wrong code":      {func(f url.Values) { f.Set("code", "x") }, "bad_verification_code", 200},
		"wrong secret":    {func(f url.Values) { f.Set("client_secret", "x") }, "incorrect_client_credentials", 200},
		"no secret":       {func(f url.Values) { f.Del("client_secret") }, "incorrect_client_credentials", 200},
		"wrong client":    {func(f url.Values) { f.Set("client_id", "x") }, "Not Found", 404},
		"wrong redirect":  {func(f url.Values) { f.Set("redirect_uri", callbackURL+"/x") }, "redirect_uri_mismatch", 200},
		"wrong verifier":  {func(f url.Values) { f.Set("code_verifier", verifier+"x") }, "bad_verification_code", 200},
		"no verifier":     {func(f url.Values) { f.Del("code_verifier") }, "bad_verification_code", 200},
		"wrong grant":     {func(f url.Values) { f.Set("grant_type", "password") }, "unsupported_grant_type", 200},
		"fine after all":  {func(url.Values) {}, "", 200},
		"without reduri":  {func(f url.Values) { f.Del("redirect_uri") }, "", 200},
		"with grant type": {func(f url.Values) { f.Set("grant_type", "authorization_code") }, "", 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := withOctocat(t)
			form := tokenForm(s, newCode(t, s))
			tc.edit(form)
			req := request(t, "POST", s.URL+"/login/oauth/access_token", form)
			req.Header.Set("Accept", "application/json")
			a := do(t, req)
			if a.status != tc.status {
				t.Errorf("status %d", a.status)
			}
			if tc.want != "" && !strings.Contains(a.body, `"error":"`+tc.want+`"`) {
				t.Errorf("body %s", a.body)
			}
			if n := len(s.Tokens(583231)); n != 0 && tc.want != "" || n != 1 && tc.want == "" {
				t.Errorf("%d tokens", n)
			}
		})
	}
}

func TestCodeWorksOnceAndTenMinutes(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	now := time.Now()
	s := withOctocat(t, func(c *Config) {
		c.Now = func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return now
		}
	})
	move := func(d time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(d)
	}
	code := newCode(t, s)
	move(codeLifetime - time.Second)
	if got := exchange(t, s, tokenForm(s, code)); got["access_token"] == "" {
		t.Errorf("within ten minutes: %v", got)
	}
	if got := exchange(t, s, tokenForm(s, code)); got["error"] != "bad_verification_code" {
		t.Errorf("the second time: %v", got)
	}
	code = newCode(t, s)
	move(codeLifetime)
	if got := exchange(t, s, tokenForm(s, code)); got["error"] != "bad_verification_code" {
		t.Errorf("after ten minutes: %v", got)
	}
}

// TestTenTokens: per user, app and set of scopes, the oldest goes.
func TestTenTokens(t *testing.T) {
	t.Parallel()
	s := withOctocat(t)
	s.AddUser(User{ID: 2, Login: "mona"})
	other := s.IssueToken(2, "read:user")
	narrow := s.IssueToken(583231, "read:user")
	var issued []string
	for range 12 {
		issued = append(issued, s.IssueToken(583231, "user:email", "read:user"))
	}
	if diff := cmp.Diff(append([]string{narrow}, issued[2:]...), s.Tokens(583231)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{other}, s.Tokens(2)); diff != "" {
		t.Error(diff)
	}
	if a := apiGet(t, s, "/user", issued[0]); a.status != http.StatusUnauthorized {
		t.Errorf("the oldest token still works: %d", a.status)
	}
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	s := withOctocat(t)
	one, two, three := s.IssueToken(583231), s.IssueToken(583231), s.IssueToken(583231)
	s.RevokeToken(two)
	if diff := cmp.Diff([]string{one, three}, s.Tokens(583231)); diff != "" {
		t.Error(diff)
	}
	s.RevokeTokens(583231)
	if n := len(s.Tokens(583231)); n != 0 {
		t.Errorf("%d tokens left", n)
	}
	gone := s.IssueToken(583231)
	s.RemoveUser(583231)
	if a := apiGet(t, s, "/user", gone); a.status != http.StatusUnauthorized {
		t.Errorf("the token of a deleted account works: %d", a.status)
	}
}

func TestScopesAreNormalized(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"user:email read:user":            "read:user,user:email",
		"read:user,user:email,read:user":  "read:user,user:email",
		"user read:user user:email":       "user",
		"admin:org read:org write:org":    "admin:org",
		"write:org read:org":              "write:org",
		"read:org repo made-up:by-client": "made-up:by-client,read:org,repo",
		"":                                "",
	} {
		if got := strings.Join(normalizeScopes(strings.FieldsFunc(in, isScopeSeparator)), ","); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func TestGrantOverridesScopes(t *testing.T) {
	t.Parallel()
	s := withOctocat(t)
	s.Grant("read:user")
	if got := exchange(t, s, tokenForm(s, newCode(t, s))); got["scope"] != "read:user" {
		t.Errorf("scope %q", got["scope"])
	}
	s.Grant()
	if got := exchange(t, s, tokenForm(s, newCode(t, s))); got["scope"] != "" {
		t.Errorf("scope %q", got["scope"])
	}
}

func TestGitHubAppTokens(t *testing.T) {
	t.Parallel()
	s := withOctocat(t, func(c *Config) { c.App = true })
	got := exchange(t, s, tokenForm(s, newCode(t, s)))
	if !strings.HasPrefix(got["access_token"], "ghu_") || got["scope"] != "" {
		t.Errorf("answer %v", got)
	}
	a := apiGet(t, s, "/user/orgs", got["access_token"])
	if a.status != 200 || a.header.Values("X-OAuth-Scopes") != nil {
		t.Errorf("status %d, scopes %q", a.status, a.header.Values("X-OAuth-Scopes"))
	}
}
