// SPDX-License-Identifier: Apache-2.0

package github

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testidp"
	"github.com/caddy-mcp/caddy-mcp-oauth/policy"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// leak is a token in answers that cannot be used. It must not get into errors.
const leak = "gho_leakleakleakleak"

func TestExchangeRefusals(t *testing.T) {
	t.Parallel()
	const page = "/login/oauth/access_token"
	for name, tc := range map[string]struct {
		fault testidp.Fault
		want  upstream.Reason
		says  string
	}{
		"bad code":           {testidp.ErrorAs200("bad_verification_code", leak), upstream.ReasonInvalid, "bad_verification_code"},
		"unverified user":    {testidp.ErrorAs200("unverified_user_email", "d"), upstream.ReasonInvalid, "unverified_user_email"},
		"invalid grant":      {testidp.ErrorAs200("invalid_grant", "d"), upstream.ReasonInvalid, "invalid_grant"},
		"bad secret":         {testidp.ErrorAs200("incorrect_client_credentials", leak), upstream.ReasonMisconfigured, "incorrect_client_credentials"},
		"bad callback":       {testidp.ErrorAs200("redirect_uri_mismatch", "d"), upstream.ReasonMisconfigured, "redirect_uri_mismatch"},
		"suspended":          {testidp.ErrorAs200("application_suspended", "d"), upstream.ReasonMisconfigured, "application_suspended"},
		"denied":             {testidp.ErrorAs200("access_denied", "d"), upstream.ReasonDenied, "access_denied"},
		"unknown error":      {testidp.ErrorAs200("brand_new", "d"), upstream.ReasonUnavailable, "brand_new"},
		"log injection":      {testidp.ErrorAs200("a\nlevel=ERROR", "d"), upstream.ReasonUnavailable, `"a?level=ERROR"`},
		"unknown client":     {testidp.Raw(404, "application/json", `{"error":"Not Found"}`), upstream.ReasonMisconfigured, "Not Found"},
		"not found page":     {testidp.HTML(404), upstream.ReasonMisconfigured, "status 404"},
		"rate limit":         {testidp.TooManyRequests(7 * time.Second), upstream.ReasonUnavailable, "Retry-After 7"},
		"forbidden":          {testidp.SecondaryRateLimit(0), upstream.ReasonUnavailable, "status 403"},
		"bad gateway":        {testidp.HTML(502), upstream.ReasonUnavailable, "status 502"},
		"error with a token": {testidp.Raw(500, "text/plain", "x="+leak), upstream.ReasonUnavailable, "status 500"},
		"html with 200":      {testidp.HTML(200), upstream.ReasonUnavailable, "no token"},
		"redirect":           {testidp.Redirect("https://evil.example/"), upstream.ReasonUnavailable, "status 302"},
		"not json":           {testidp.JSON(leak), upstream.ReasonUnavailable, "no token"},
		"half json":          {testidp.JSON(`{"access_token":"` + leak), upstream.ReasonUnavailable, "no token"},
		"truncated":          {testidp.Truncated(`{"access_token":"` + leak), upstream.ReasonUnavailable, "no token"},
		"array":              {testidp.JSON(`["` + leak + `"]`), upstream.ReasonUnavailable, "no token"},
		"null":               {testidp.JSON(`null`), upstream.ReasonUnavailable, "no token"},
		"empty":              {testidp.JSON(``), upstream.ReasonUnavailable, "no token"},
		"empty object":       {testidp.JSON(`{}`), upstream.ReasonUnavailable, "no token"},
		"token of type null": {testidp.JSON(`{"access_token":null,"token_type":"bearer"}`), upstream.ReasonUnavailable, "no token"},
		"token is a number":  {testidp.JSON(`{"access_token":1,"token_type":"bearer"}`), upstream.ReasonUnavailable, "no token"},
		"no token type":      {testidp.JSON(`{"access_token":"` + leak + `","scope":""}`), upstream.ReasonUnavailable, "not bearer"},
		"mac token":          {testidp.JSON(`{"access_token":"` + leak + `","token_type":"mac"}`), upstream.ReasonUnavailable, `"mac", not bearer`},
		"header injection":   {testidp.JSON(`{"access_token":"` + leak + `\r\nX: y","token_type":"bearer"}`), upstream.ReasonUnavailable, "cannot be sent"},
		"too long":           {testidp.Oversized(2 << 20), upstream.ReasonUnavailable, ""},
		"reset":              {testidp.Reset(), upstream.ReasonUnavailable, "token request"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, srv := start(t, Config{})
			srv.Fail(page, tc.fault)
			_, err := signIn(t, g, srv)
			wantRefusal(t, err, tc.want, tc.says)
			keepsSecret(t, err, leak)
			if n := len(srv.Requests(page)); n != 1 {
				t.Errorf("%d token requests; a code works once", n)
			}
			if n := len(srv.Requests("/user")); n != 0 {
				t.Errorf("%d API calls without a token", n)
			}
		})
	}
}

// TestFormEncodedTokenAnswer: what GitHub sends to clients that do not say they
// want JSON, and some proxies rewrite Accept.
func TestFormEncodedTokenAnswer(t *testing.T) {
	t.Parallel()
	g, srv := start(t, Config{Needs: needBoth})
	token := srv.IssueToken(583231, "read:org", "read:user", "user:email")
	srv.Fail("/login/oauth/access_token", testidp.Raw(200, "application/x-www-form-urlencoded",
		"access_token="+token+"&scope=read%3Aorg%2Cread%3Auser%2Cuser%3Aemail&token_type=bearer"))
	id, err := signIn(t, g, srv)
	if err != nil || id.ID != "583231" || len(id.Groups) != 2 {
		t.Errorf("identity %+v, error %v", id, err)
	}
}

func TestOperatorMistakes(t *testing.T) {
	t.Parallel()
	srv := testidp.Start(t)
	srv.AddUser(testidp.Octocat())
	srv.SignIn(583231)
	good := connect(t, Config{}, srv)
	wrongID := connect(t, Config{ClientID: "Ov23liOther"}, srv)
	wrongSecret := connect(t, Config{ClientSecret: "wrong-secret"}, srv)
	for name, g := range map[string]*GitHub{"client id": wrongID, "client secret": wrongSecret} {
		verifier := oauth2.GenerateVerifier()
		callback := visit(t, authCodeURL(t, good, "s", verifier))
		_, err := g.Identify(t.Context(), callback, verifier, redirectURI)
		t.Run(name, func(t *testing.T) {
			wantRefusal(t, err, upstream.ReasonMisconfigured)
			keepsSecret(t, err, "wrong-secret", callback.Get("code"), verifier)
		})
	}
}

// TestAttackStolenCode: somebody saw the callback and brings the code to a
// sign-in of their own. They do not have the verifier.
func TestAttackStolenCode(t *testing.T) {
	t.Parallel()
	g, srv := start(t, Config{})
	callback := visit(t, authCodeURL(t, g, "s", oauth2.GenerateVerifier()))
	_, err := g.Identify(t.Context(), callback, oauth2.GenerateVerifier(), redirectURI)
	wantRefusal(t, err, upstream.ReasonInvalid, "bad_verification_code")
	if n := len(srv.Tokens(583231)); n != 0 {
		t.Errorf("%d tokens were issued", n)
	}
}

// TestAttackReplayedCallback: the back button, or an attacker with the browser's
// history.
func TestAttackReplayedCallback(t *testing.T) {
	t.Parallel()
	g, srv := start(t, Config{})
	verifier := oauth2.GenerateVerifier()
	callback := visit(t, authCodeURL(t, g, "s", verifier))
	if _, err := g.Identify(t.Context(), callback, verifier, redirectURI); err != nil {
		t.Fatal(err)
	}
	_, err := g.Identify(t.Context(), callback, verifier, redirectURI)
	wantRefusal(t, err, upstream.ReasonInvalid, "bad_verification_code")
	if n := len(srv.Tokens(583231)); n != 1 {
		t.Errorf("%d tokens", n)
	}
}

// TestWithheldScope: the user, or the organization's policy, gave less than the
// rules need. That must not look like being in no organization.
func TestWithheldScope(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		needs   policy.Needs
		granted []string
		refused bool
	}{
		"everything":              {needBoth, []string{"read:user", "user:email", "read:org"}, false},
		"write:org includes it":   {needBoth, []string{"read:user", "user:email", "write:org"}, false},
		"admin:org includes it":   {needBoth, []string{"user", "admin:org"}, false},
		"orgs withheld":           {policy.Needs{Orgs: true}, []string{"read:user", "user:email"}, true},
		"teams withheld":          {policy.Needs{Teams: true}, []string{"read:user", "user:email"}, true},
		"user does not include":   {needBoth, []string{"user", "repo"}, true},
		"nothing at all":          {needBoth, nil, true},
		"lookalike":               {needBoth, []string{"read:organization", "read:orgs", "xread:org"}, true},
		"not needed":              {policy.Needs{}, nil, false},
		"mail withheld, not orgs": {needBoth, []string{"read:org"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, srv := start(t, Config{Needs: tc.needs})
			srv.Grant(tc.granted...)
			id, err := signIn(t, g, srv)
			if !tc.refused {
				if err != nil || id.ID != "583231" {
					t.Errorf("identity %+v, error %v", id, err)
				}
				return
			}
			wantRefusal(t, err, upstream.ReasonInsufficientScope, "read:org")
			if n := len(srv.Requests("/user/memberships/orgs", "/user/teams")); n != 0 {
				t.Errorf("%d lists were asked for all the same", n)
			}
		})
	}
}

// TestScopeListsThatDisagree: the token answer claims more than the API grants,
// or the other way round, or neither says anything.
func TestScopeListsThatDisagree(t *testing.T) {
	t.Parallel()
	g := &GitHub{needs: needBoth}
	for name, tc := range map[string]struct {
		answer *string
		header []string
		want   bool
	}{
		"both":               {new("read:org"), []string{"read:org, user"}, true},
		"answer only":        {new("read:user,read:org"), nil, true},
		"header only":        {nil, []string{"read:org"}, true},
		"header in two":      {nil, []string{"user", "read:org"}, true},
		"answer claims more": {new("read:org"), []string{"user"}, false},
		"header claims more": {new("user"), []string{"read:org"}, false},
		"empty header":       {new("read:org"), []string{""}, false},
		"empty answer":       {new(""), []string{"read:org"}, false},
		"neither":            {nil, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var granted scopes
			if tc.answer != nil {
				set := parseScopes(*tc.answer)
				granted.answer = &set
			}
			if err := g.checkScopes(granted.seen(tc.header)); (err == nil) != tc.want {
				t.Errorf("error %v, want acceptance %v", err, tc.want)
			}
		})
	}
}

// TestAttackTokenFollowsRedirect: an open redirect at the API, or a captive
// portal. The token must not go with it, not even to the same host.
func TestAttackTokenFollowsRedirect(t *testing.T) {
	t.Parallel()
	g, srv := start(t, Config{Needs: needBoth})
	var elsewhere []string
	thief := testidp.Start(t)
	for _, to := range []string{thief.URL + "/user", srv.URL + "/user/memberships/orgs/x"} {
		for _, path := range []string{"/user", "/user/emails", "/user/memberships/orgs", "/user/teams", "/login/oauth/access_token"} {
			srv.Heal()
			srv.Fail(path, testidp.Redirect(to))
			_, err := signIn(t, g, srv)
			wantRefusal(t, err, upstream.ReasonUnavailable, "status 302")
		}
	}
	for _, r := range append(thief.Requests(), srv.Requests("/user/memberships/orgs/x")...) {
		elsewhere = append(elsewhere, r.Method+" "+r.Path)
	}
	if len(elsewhere) > 0 {
		t.Errorf("followed a redirect: %s", strings.Join(elsewhere, ", "))
	}
}

// TestOwnClientIsHardenedToo: a client that is given may be shared with code
// that wants redirects, cookies and no timeout. It is neither trusted nor changed.
func TestOwnClientIsHardenedToo(t *testing.T) {
	t.Parallel()
	given := &http.Client{Transport: http.DefaultTransport}
	c := newHTTPClient(given)
	if c.Timeout != requestTimeout || c.CheckRedirect == nil || c.Jar != nil {
		t.Errorf("client %+v", c)
	}
	if given.Timeout != 0 || given.CheckRedirect != nil || given.Transport != http.DefaultTransport {
		t.Error("the given client was changed")
	}
	if c := newHTTPClient(&http.Client{Timeout: time.Second}); c.Timeout != time.Second {
		t.Errorf("a shorter timeout became %s", c.Timeout)
	}
	if c := newHTTPClient(&http.Client{Timeout: time.Hour}); c.Timeout != requestTimeout {
		t.Errorf("a longer timeout stayed %s", c.Timeout)
	}
}
