// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

func TestCallback(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]struct {
		reason upstream.Reason
		says   string
	}{
		"code=c&state=s":                                      {"", ""},
		"code=c&state=s&iss=" + theIssuer:                     {"", ""},
		"code=c&state=s&session_state=1&scope=openid&scope=x": {"", ""},
		"code=" + strings.Repeat("c", maxCode):                {"", ""},
		"":                                                    {upstream.ReasonInvalid, "no usable code"},
		"code=&state=s":                                       {upstream.ReasonInvalid, "no usable code"},
		"code=" + strings.Repeat("c", maxCode+1):              {upstream.ReasonInvalid, "no usable code"},
		"code=c&code=d":                                       {upstream.ReasonInvalid, "code more than once"},
		"code=c&code=c":                                       {upstream.ReasonInvalid, "code more than once"},
		"code=c&state=s&state=s":                              {upstream.ReasonInvalid, "state more than once"},
		"error=access_denied&error=x":                         {upstream.ReasonInvalid, "error more than once"},
		"code=c&iss=" + theIssuer + "&iss=https://evil":       {upstream.ReasonInvalid, "iss more than once"},
		"code=c&iss=":                                         {upstream.ReasonInvalid, "issuer"},
		"code=c&iss=https://evil.example":                     {upstream.ReasonInvalid, "https://evil.example"},
		"code=c&iss=" + theIssuer + "/":                       {upstream.ReasonInvalid, "issuer"},
		"code=c&iss=" + strings.ToUpper(theIssuer):            {upstream.ReasonInvalid, "issuer"},
		"error=access_denied&iss=https://evil.example":        {upstream.ReasonInvalid, "issuer"},
		"error=access_denied&code=c":                          {upstream.ReasonInvalid, "both"},
		"error=&code=":                                        {upstream.ReasonInvalid, "both"},
		"error=":                                              {upstream.ReasonInvalid, ""},
		"error=access_denied":                                 {upstream.ReasonDenied, "access_denied"},
		"error=access_denied&iss=" + theIssuer:                {upstream.ReasonDenied, "access_denied"},
		"error=login_required":                                {upstream.ReasonInvalid, "login_required"},
		"error=interaction_required":                          {upstream.ReasonInvalid, "interaction_required"},
		"error=invalid_scope":                                 {upstream.ReasonMisconfigured, "invalid_scope"},
		"error=unauthorized_client":                           {upstream.ReasonMisconfigured, "unauthorized_client"},
		"error=something_new":                                 {upstream.ReasonMisconfigured, "something_new"},
		"error=server_error":                                  {upstream.ReasonUnavailable, "server_error"},
		"error=temporarily_unavailable":                       {upstream.ReasonUnavailable, "temporarily_unavailable"},
		"error=a%0Alevel=ERROR+msg=forged":                    {upstream.ReasonMisconfigured, `"a?level=ERROR`},
		"error=" + strings.Repeat("e", 500):                   {upstream.ReasonMisconfigured, strings.Repeat("e", 120) + `..."`},
		"error=server_error&error_description=%3Cscript%3E&iss=" + "": {upstream.ReasonInvalid, "issuer"},
	} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			params, err := url.ParseQuery(query)
			if err != nil {
				t.Fatal(err)
			}
			p := newProvider(time.Now)
			code, err := p.connect(t).checkCallback(t.Context(), params)
			if want.reason == "" {
				if err != nil || code != params.Get("code") {
					t.Errorf("code %q, error %v", code, err)
				}
				return
			}
			wantRefusal(t, err, want.reason, want.says)
			if code != "" {
				t.Errorf("code %q with an error", code)
			}
			if p.count("token") != 0 {
				t.Error("something was redeemed")
			}
		})
	}
}

// TestCallbackIssuerMayBeRequired: a provider that always says who answers must not
// be believed an answer without that (RFC 9207 §2.4), or Mallory would just leave it
// out.
func TestCallbackIssuerMayBeRequired(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]upstream.Reason{
		"code=c":                               upstream.ReasonInvalid,
		"error=access_denied":                  upstream.ReasonInvalid,
		"code=c&iss=" + theIssuer:              "",
		"error=access_denied&iss=" + theIssuer: upstream.ReasonDenied,
	} {
		p := newProvider(time.Now)
		p.document["authorization_response_iss_parameter_supported"] = true
		params, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.connect(t).checkCallback(t.Context(), params)
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", query, err)
			}
			continue
		}
		wantRefusal(t, err, want)
	}
}

// TestCallbackWhileTheProviderIsGone: whether an issuer is required cannot be known,
// so nothing goes on.
func TestCallbackWhileTheProviderIsGone(t *testing.T) {
	t.Parallel()
	p := newProvider(time.Now)
	p.routes[p.at("discovery")] = send(503, "text/html", "")
	_, err := p.connect(t).checkCallback(t.Context(), url.Values{"code": {"c"}})
	wantRefusal(t, err, upstream.ReasonUnavailable, "503")
}
