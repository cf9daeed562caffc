// SPDX-License-Identifier: Apache-2.0

package github

import (
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testidp"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

func TestCallback(t *testing.T) {
	t.Parallel()
	g, err := New(Config{ClientID: "id", ClientSecret: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]struct {
		reason upstream.Reason
		says   string
	}{
		"code=c&state=s":                                           {"", ""},
		"code=c&state=s&iss=https://github.com":                    {"", ""},
		"code=c&state=s&iss=https://github.com/login/oauth":        {"", ""},
		"code=c&state=s&unknown=1&unknown=2":                       {"", ""},
		"":                                                         {upstream.ReasonInvalid, "no usable code"},
		"code=&state=s":                                            {upstream.ReasonInvalid, "no usable code"},
		"code=" + strings.Repeat("c", 1025):                        {upstream.ReasonInvalid, "no usable code"},
		"code=c&code=d":                                            {upstream.ReasonInvalid, "code more than once"},
		"code=c&code=c":                                            {upstream.ReasonInvalid, "code more than once"},
		"code=c&state=s&state=s":                                   {upstream.ReasonInvalid, "state more than once"},
		"error=access_denied&error=x":                              {upstream.ReasonInvalid, "error more than once"},
		"code=c&iss=https://github.com&iss=https://evil":           {upstream.ReasonInvalid, "iss more than once"},
		"code=c&iss=":                                              {upstream.ReasonInvalid, "issuer"},
		"code=c&iss=https://evil.example":                          {upstream.ReasonInvalid, "https://evil.example"},
		"code=c&iss=https://github.com/":                           {upstream.ReasonInvalid, "issuer"},
		"code=c&iss=https://github.com/login/oauth/":               {upstream.ReasonInvalid, "issuer"},
		"code=c&iss=https://GITHUB.com/login/oauth":                {upstream.ReasonInvalid, "issuer"},
		"code=c&iss=http://github.com/login/oauth":                 {upstream.ReasonInvalid, "issuer"},
		"error=access_denied&iss=https://evil.example":             {upstream.ReasonInvalid, "issuer"},
		"error=access_denied&code=c":                               {upstream.ReasonInvalid, "both"},
		"error=":                                                   {upstream.ReasonInvalid, ""},
		"error=access_denied":                                      {upstream.ReasonDenied, "access_denied"},
		"error=access_denied&iss=https://github.com/login/oauth":   {upstream.ReasonDenied, "access_denied"},
		"error=redirect_uri_mismatch":                              {upstream.ReasonMisconfigured, "redirect_uri_mismatch"},
		"error=application_suspended":                              {upstream.ReasonMisconfigured, "application_suspended"},
		"error=something_new":                                      {upstream.ReasonMisconfigured, "something_new"},
		"error=server_error":                                       {upstream.ReasonUnavailable, "server_error"},
		"error=temporarily_unavailable":                            {upstream.ReasonUnavailable, "temporarily_unavailable"},
		"error=a%0Alevel=ERROR+msg=forged":                         {upstream.ReasonMisconfigured, `"a?level=ERROR`},
		"error=" + strings.Repeat("e", 500):                        {upstream.ReasonMisconfigured, strings.Repeat("e", 120) + `..."`},
		"error=access_denied&error_description=%3Cscript%3E&code=": {upstream.ReasonInvalid, "both"},
	} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			params, err := url.ParseQuery(query)
			if err != nil {
				t.Fatal(err)
			}
			code, err := g.checkCallback(params)
			if want.reason == "" {
				if err != nil || code != "c" {
					t.Errorf("code %q, error %v", code, err)
				}
				return
			}
			wantRefusal(t, err, want.reason, want.says)
			if code != "" {
				t.Errorf("code %q with an error", code)
			}
		})
	}
}

// TestAttackMixUp: mallory's GitHub Enterprise Server is another upstream of the
// same site; its callback brings a code that was issued by github.com, to have
// it redeemed where mallory can read it. The issuer gives it away before
// anything is sent.
func TestAttackMixUp(t *testing.T) {
	t.Parallel()
	g, srv := start(t, Config{})
	_, err := g.Identify(t.Context(), url.Values{"code": {"c"}, "iss": {"https://github.com/login/oauth"}}, "v", redirectURI)
	wantRefusal(t, err, upstream.ReasonInvalid, "issuer")
	if n := len(srv.Requests()); n != 0 {
		t.Errorf("%d requests were made", n)
	}
}

// TestCallbacksOfTheRealPage runs the errors through GitHub's redirect.
func TestCallbacksOfTheRealPage(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		set  func(*testidp.Server)
		want upstream.Reason
	}{
		"the user cancels":      {func(s *testidp.Server) { s.SetMode(testidp.Deny) }, upstream.ReasonDenied},
		"the app is suspended":  {func(s *testidp.Server) { s.Suspend(true) }, upstream.ReasonMisconfigured},
		"another callback URL":  {func(s *testidp.Server) { s.SetRedirectURIs(redirectURI + "/elsewhere") }, upstream.ReasonMisconfigured},
		"the user is no member": {func(s *testidp.Server) { s.UpdateUser(583231, func(u *testidp.User) { u.Orgs = nil }) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, srv := start(t, Config{Needs: needBoth})
			tc.set(srv)
			if name == "another callback URL" {
				// GitHub sends the browser to the registered URL, not to ours.
				_, err := g.Identify(t.Context(), url.Values{"error": {"redirect_uri_mismatch"}, "state": {"s"}}, "v", redirectURI)
				wantRefusal(t, err, tc.want, "redirect_uri_mismatch")
				return
			}
			id, err := signIn(t, g, srv)
			if tc.want == "" {
				if err != nil || len(id.Groups) != 1 {
					t.Errorf("groups %q, error %v", id.Groups, err)
				}
				return
			}
			wantRefusal(t, err, tc.want)
			if n := len(srv.Requests("/login/oauth/access_token")); n != 0 {
				t.Errorf("%d token requests after an error", n)
			}
		})
	}
}
