// SPDX-License-Identifier: Apache-2.0

package testidp

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAuthorize(t *testing.T) {
	t.Parallel()
	s := withOctocat(t)
	where, back := authorize(t, s, authorizeQuery(s))
	if where != callbackURL || back.Get("state") != "s t&" || back.Get("code") == "" || back.Get("iss") != s.URL+"/login/oauth" {
		t.Errorf("sent to %s with %v", where, back)
	}
	old := withOctocat(t, func(c *Config) { c.OmitIssuer = true })
	if _, back := authorize(t, old, authorizeQuery(old)); back.Has("iss") {
		t.Error("iss although it was to be omitted")
	}
}

// TestAuthorizeErrors holds GitHub's shape: errors are redirects to the
// registered callback, an unknown app is a page.
func TestAuthorizeErrors(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		edit func(url.Values)
		set  func(*Server)
		want string
	}{
		"foreign redirect":   {edit: func(q url.Values) { q.Set("redirect_uri", "https://evil.example/cb") }, want: "redirect_uri_mismatch"},
		"lookalike host":     {edit: func(q url.Values) { q.Set("redirect_uri", "https://mcp.example.com.evil.example/callback/github") }, want: "redirect_uri_mismatch"},
		"user info":          {edit: func(q url.Values) { q.Set("redirect_uri", "https://mcp.example.com@evil.example/callback/github") }, want: "redirect_uri_mismatch"},
		"other port":         {edit: func(q url.Values) { q.Set("redirect_uri", "https://mcp.example.com:8443/callback/github") }, want: "redirect_uri_mismatch"},
		"other scheme":       {edit: func(q url.Values) { q.Set("redirect_uri", "http://mcp.example.com/callback/github") }, want: "redirect_uri_mismatch"},
		"sibling path":       {edit: func(q url.Values) { q.Set("redirect_uri", callbackURL+"2") }, want: "redirect_uri_mismatch"},
		"climbing path":      {edit: func(q url.Values) { q.Set("redirect_uri", callbackURL+"/../x") }, want: "redirect_uri_mismatch"},
		"relative":           {edit: func(q url.Values) { q.Set("redirect_uri", "/callback/github") }, want: "redirect_uri_mismatch"},
		"plain PKCE":         {edit: func(q url.Values) { q.Set("code_challenge_method", "plain") }, want: "invalid_request"},
		"PKCE, no method":    {edit: func(q url.Values) { q.Del("code_challenge_method") }, want: "invalid_request"},
		"PKCE, no challenge": {edit: func(q url.Values) { q.Del("code_challenge") }, want: "invalid_request"},
		"denied":             {set: func(s *Server) { s.SetMode(Deny) }, want: "access_denied"},
		"suspended":          {set: func(s *Server) { s.Suspend(true) }, want: "application_suspended"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := withOctocat(t)
			q := authorizeQuery(s)
			if tc.edit != nil {
				tc.edit(q)
			}
			if tc.set != nil {
				tc.set(s)
			}
			where, back := authorize(t, s, q)
			if where != callbackURL || back.Get("error") != tc.want || back.Get("state") != "s t&" || back.Has("code") {
				t.Errorf("sent to %s with %v", where, back)
			}
			if back.Get("error_description") == "" || !strings.HasPrefix(back.Get("error_uri"), "https://docs.github.com/") {
				t.Errorf("without explanation: %v", back)
			}
		})
	}
}

func TestAuthorizeUnknownApp(t *testing.T) {
	t.Parallel()
	s := withOctocat(t)
	q := authorizeQuery(s)
	q.Set("client_id", "somebody")
	a := do(t, request(t, "GET", s.URL+"/login/oauth/authorize?"+q.Encode(), nil))
	if a.status != http.StatusNotFound || a.header.Get("Location") != "" || !strings.Contains(a.body, "<html") {
		t.Errorf("status %d, Location %q", a.status, a.header.Get("Location"))
	}
}

func TestRedirectRules(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		registered []string
		given      string
		want       bool
	}{
		{[]string{callbackURL}, callbackURL, true},
		{[]string{callbackURL}, callbackURL + "/below", true},
		{[]string{callbackURL}, callbackURL + "?a=b", true},
		{[]string{"https://a.example"}, "https://A.example/x", true},
		{[]string{"https://a.example/", callbackURL}, callbackURL, true},
		{[]string{"http://127.0.0.1/cb"}, "http://127.0.0.1:4711/cb", true},
		{[]string{"http://127.0.0.1:1/cb"}, "http://127.0.0.2:2/cb", false},
		{[]string{"http://localhost/cb"}, "http://localhost:4711/cb", false},
		{nil, "https://anything.example/x", true},
		{nil, "nothing", false},
		{nil, "", false},
	} {
		if got := redirectAllowed(tc.registered, tc.given); got != tc.want {
			t.Errorf("%q with %q registered: %v", tc.given, tc.registered, got)
		}
	}
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`)

// submit fills in the only form of a page.
func submit(t *testing.T, browser *http.Client, s *Server, page answer, action string, fields url.Values) answer {
	t.Helper()
	if !strings.Contains(page.body, `action="`+action+`"`) {
		t.Fatalf("no form for %s: %s", action, page.body)
	}
	for _, m := range hidden.FindAllStringSubmatch(page.body, -1) {
		fields.Set(m[1], strings.ReplaceAll(m[2], "&amp;", "&"))
	}
	return doWith(t, browser, request(t, "POST", s.URL+action, fields))
}

func doWith(t *testing.T, browser *http.Client, req *http.Request) answer {
	t.Helper()
	if browser.Jar != nil {
		for _, c := range browser.Jar.Cookies(req.URL) {
			req.AddCookie(c)
		}
	}
	a := do(t, req)
	if browser.Jar != nil {
		browser.Jar.SetCookies(req.URL, (&http.Response{Header: a.header}).Cookies())
	}
	return a
}

// TestInteractive walks through the pages: sign in, fail, sign in, authorize;
// the second time GitHub does not ask again.
func TestInteractive(t *testing.T) {
	t.Parallel()
	s := withOctocat(t)
	s.UpdateUser(583231, func(u *User) { u.Password = "meow" })
	s.SetMode(Interactive)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	start := s.URL + "/login/oauth/authorize?" + authorizeQuery(s).Encode()
	page := doWith(t, browser, request(t, "GET", start, nil))
	page = submit(t, browser, s, page, "/session", url.Values{"login": {"octocat"}, "password": {"woof"}})
	if !strings.Contains(page.body, "Incorrect username or password.") {
		t.Fatalf("a wrong password: %s", page.body)
	}
	page = submit(t, browser, s, page, "/session", url.Values{"login": {"OctoCat"}, "password": {"meow"}})
	if page.status != http.StatusFound || s.URL+page.header.Get("Location") != start {
		t.Fatalf("after signing in: %d to %s", page.status, page.header.Get("Location"))
	}
	page = doWith(t, browser, request(t, "GET", start, nil))
	for _, want := range []string{"octocat", "read:org", "https://mcp.example.com"} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the consent page does not say %q", want)
		}
	}
	cancelled := submit(t, browser, s, page, "/login/oauth/authorize", url.Values{"authorize": {"0"}})
	if back, _ := url.Parse(cancelled.header.Get("Location")); back.Query().Get("error") != "access_denied" {
		t.Errorf("after Cancel: %s", cancelled.header.Get("Location"))
	}
	approved := submit(t, browser, s, page, "/login/oauth/authorize", url.Values{"authorize": {"1"}})
	back, _ := url.Parse(approved.header.Get("Location"))
	got := exchange(t, s, tokenForm(s, back.Query().Get("code")))
	if got["access_token"] == "" || back.Query().Get("state") != "s t&" {
		t.Errorf("after Authorize: %v", got)
	}
	again := doWith(t, browser, request(t, "GET", start, nil))
	if again.status != http.StatusFound {
		t.Errorf("asked again: %d", again.status)
	}
	forced := doWith(t, browser, request(t, "GET", start+"&prompt=select_account", nil))
	if forced.status != http.StatusOK {
		t.Errorf("prompt was ignored: %d", forced.status)
	}
	s.RevokeTokens(583231)
	asked := doWith(t, browser, request(t, "GET", start, nil))
	if asked.status != http.StatusOK {
		t.Errorf("not asked again after the app was revoked: %d", asked.status)
	}
}

// TestInteractiveNeedsSession: the consent form of somebody who is not signed
// in, and a sign-in form that leads elsewhere, are refused.
func TestInteractiveNeedsSession(t *testing.T) {
	t.Parallel()
	s := withOctocat(t)
	s.SetMode(Interactive)
	form := authorizeQuery(s)
	form.Set("authorize", "1")
	if a := do(t, request(t, "POST", s.URL+"/login/oauth/authorize", form)); a.status != http.StatusUnprocessableEntity {
		t.Errorf("consent without session: %d", a.status)
	}
	for _, to := range []string{"https://evil.example/", "//evil.example/", "/user", ""} {
		a := do(t, request(t, "POST", s.URL+"/session", url.Values{"login": {"octocat"}, "return_to": {to}}))
		if a.status != http.StatusUnprocessableEntity {
			t.Errorf("return_to %q: %d to %q", to, a.status, a.header.Get("Location"))
		}
	}
}

func TestSignedOutMeansInteractive(t *testing.T) {
	t.Parallel()
	s := withOctocat(t)
	s.SignIn(0)
	a := do(t, request(t, "GET", s.URL+"/login/oauth/authorize?"+authorizeQuery(s).Encode(), nil))
	if a.status != http.StatusOK || !strings.Contains(a.body, `name="login"`) {
		t.Errorf("status %d", a.status)
	}
}

func TestRecorder(t *testing.T) {
	t.Parallel()
	s := withOctocat(t)
	code := newCode(t, s)
	exchange(t, s, tokenForm(s, code))
	apiGet(t, s, "/api/v3/user?x=1", "nope")
	var got []string
	for _, r := range s.Requests() {
		got = append(got, r.Method+" "+r.Path)
	}
	if diff := cmp.Diff([]string{"GET /login/oauth/authorize", "POST /login/oauth/access_token", "GET /user"}, got); diff != "" {
		t.Error(diff)
	}
	if r := s.Requests("/login/oauth/access_token"); len(r) != 1 || r[0].Form.Get("code") != code {
		t.Errorf("%d token requests", len(r))
	}
	if r := s.Requests("/user"); len(r) != 1 || r[0].Query.Get("x") != "1" || r[0].Header.Get("Authorization") != "Bearer nope" {
		t.Errorf("%d API requests", len(r))
	}
	s.Forget()
	if n := len(s.Requests()); n != 0 {
		t.Errorf("%d requests are remembered", n)
	}
}
