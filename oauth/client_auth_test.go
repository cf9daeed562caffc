// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func basicHeader(userpass string) http.Header {
	return http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(userpass))}}
}

func TestParseClientCredentials(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		header http.Header
		form   string
		want   ClientCredentials
	}{
		"public": {nil, "client_id=c", ClientCredentials{ID: "c", Method: AuthNone}},
		"public with an empty secret (Goose)": {
			nil, "client_id=c&client_secret=", ClientCredentials{ID: "c", Method: AuthNone},
		},
		"post": {nil, "client_id=c&client_secret=s%2B1", ClientCredentials{ID: "c", Secret: "s+1", RawSecret: "s+1", Method: AuthPost}},
		// RFC 6749 §2.3.1, the header of its example.
		"basic of the RFC": {
			http.Header{"Authorization": {"Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW"}},
			"",
			ClientCredentials{ID: "s6BhdRkqt3", Secret: "gX1fBat3bV", RawSecret: "gX1fBat3bV", Method: AuthBasic, Basic: true},
		},
		"basic, encoded": {
			basicHeader("a%3Ab:s%25%2B"), "",
			ClientCredentials{ID: "a:b", Secret: "s%+", RawSecret: "s%25%2B", Method: AuthBasic, Basic: true},
		},
		"basic, unencoded (TypeScript)": {
			basicHeader("c:a+b/c=="), "",
			ClientCredentials{ID: "c", Secret: "a b/c==", RawSecret: "a+b/c==", Method: AuthBasic, Basic: true},
		},
		"basic, secret that is no encoding": {
			basicHeader("c:50%zz"), "",
			ClientCredentials{ID: "c", Secret: "50%zz", RawSecret: "50%zz", Method: AuthBasic, Basic: true},
		},
		"basic, colon in the secret": {
			basicHeader("c:a:b"), "", ClientCredentials{ID: "c", Secret: "a:b", RawSecret: "a:b", Method: AuthBasic, Basic: true},
		},
		"basic and the same client_id": {
			basicHeader("c:s"), "client_id=c", ClientCredentials{ID: "c", Secret: "s", RawSecret: "s", Method: AuthBasic, Basic: true},
		},
		"basic and an empty body secret": {
			basicHeader("c:s"), "client_id=c&client_secret=", ClientCredentials{ID: "c", Secret: "s", RawSecret: "s", Method: AuthBasic, Basic: true},
		},
		"basic without secret": {basicHeader("c:"), "", ClientCredentials{ID: "c", Method: AuthNone, Basic: true}},
		"basic, unpadded": {
			http.Header{"Authorization": {"basic  Yzpz"}}, "", ClientCredentials{ID: "c", Secret: "s", RawSecret: "s", Method: AuthBasic, Basic: true},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseClientCredentials(tt.header, mustParams(t, tt.form))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseClientCredentialsRefuses(t *testing.T) {
	t.Parallel()
	two := http.Header{"Authorization": {"Basic Yzpz", "Basic Yzpz"}}
	tests := map[string]struct {
		header http.Header
		form   string
		code   string
		basic  bool // the answer must challenge for Basic
	}{
		"nobody":                    {nil, "", CodeInvalidClient, false},
		"secret without id":         {nil, "client_secret=s", CodeInvalidClient, false},
		"client_id twice":           {nil, "client_id=c&client_id=c", CodeInvalidRequest, false},
		"client_secret twice":       {nil, "client_id=c&client_secret=a&client_secret=b", CodeInvalidRequest, false},
		"header twice":              {two, "", CodeInvalidRequest, false},
		"bearer":                    {http.Header{"Authorization": {"Bearer x"}}, "client_id=c", CodeInvalidClient, false},
		"empty header":              {http.Header{"Authorization": {""}}, "client_id=c", CodeInvalidClient, false},
		"both methods":              {basicHeader("c:s"), "client_id=c&client_secret=s", CodeInvalidRequest, true},
		"two clients":               {basicHeader("c:s"), "client_id=d", CodeInvalidRequest, true},
		"case of client_id":         {basicHeader("c:s"), "client_id=C", CodeInvalidRequest, true},
		"no colon":                  {basicHeader("cs"), "", CodeInvalidClient, true},
		"no base64":                 {http.Header{"Authorization": {"Basic !!"}}, "", CodeInvalidClient, true},
		"basic with nothing":        {http.Header{"Authorization": {"Basic"}}, "client_id=c", CodeInvalidClient, true},
		"basic without id":          {basicHeader(":s"), "", CodeInvalidClient, true},
		"NUL in id":                 {basicHeader("c\x00:s"), "", CodeInvalidClient, true},
		"escaped NUL in id":         {basicHeader("c%00:s"), "", CodeInvalidClient, true},
		"not ASCII":                 {basicHeader("é:s"), "", CodeInvalidClient, true},
		"line break in secret":      {basicHeader("c:s%0a"), "", CodeInvalidClient, true},
		"long id":                   {nil, "client_id=" + strings.Repeat("c", maxClientIDBytes+1), CodeInvalidClient, false},
		"long secret":               {nil, "client_id=c&client_secret=" + strings.Repeat("s", maxClientIDBytes+1), CodeInvalidClient, false},
		"assertion":                 {nil, "client_id=c&client_assertion=x&client_assertion_type=y", CodeInvalidClient, false},
		"assertion beside a secret": {nil, "client_id=c&client_secret=s&client_assertion=x", CodeInvalidRequest, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseClientCredentials(tt.header, mustParams(t, tt.form))
			if err == nil || err.Code != tt.code {
				t.Fatalf("got %+v, %v, want %s", got, err, tt.code)
			}
			if basic := got != nil && got.Basic; basic != tt.basic {
				t.Errorf("Basic = %v, want %v", basic, tt.basic)
			}
		})
	}
}

func FuzzParseClientCredentials(f *testing.F) {
	f.Add("Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW", "")
	f.Add("", "client_id=c&client_secret=s")
	f.Add("Basic Yzo=", "client_id=c")
	f.Add("Bearer x", "client_id=c")
	f.Add("", "client_assertion_type="+url.QueryEscape(AssertionTypeJWT)+"&client_assertion="+assertionOf(goodClaims))
	f.Fuzz(func(t *testing.T, header, form string) {
		p, perr := ParseParams(form)
		if perr != nil {
			return
		}
		h := http.Header{}
		if header != "" {
			h.Set("Authorization", header)
		}
		c, perr := ParseClientCredentials(h, p)
		if perr != nil {
			return
		}
		if c.Method == AuthPrivateKeyJWT {
			if c.ID == "" || !visible(c.ID) || c.Assertion == "" || c.Secret != "" || header != "" {
				t.Fatalf("%q %q accepted as %+v", header, form, c)
			}
			return
		}
		if c.ID == "" || !visible(c.ID) || (c.Method == AuthNone) != (c.Secret == "") || c.Method == AuthBasic && !c.Basic {
			t.Fatalf("%q %q accepted as %+v", header, form, c)
		}
		if !c.Basic {
			return
		}
		// The standard library finds the same pair.
		r := http.Request{Header: h}
		if user, pass, ok := r.BasicAuth(); ok {
			if dec, err := url.QueryUnescape(user); err == nil {
				user = dec
			}
			if user != c.ID || pass != c.RawSecret {
				t.Fatalf("%q: net/http reads %q %q, we read %+v", header, user, pass, c)
			}
		}
	})
}
