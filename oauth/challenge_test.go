// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

func TestChallenge(t *testing.T) {
	t.Parallel()
	const prm = "https://h/.well-known/oauth-protected-resource/mcp"
	tests := map[string]struct {
		challenge Challenge
		want      string
	}{
		"no credentials": {
			Challenge{ResourceMetadata: prm, Scope: "mcp"},
			`Bearer resource_metadata="` + prm + `", scope="mcp"`,
		},
		"invalid token": {
			Challenge{ResourceMetadata: prm, Scope: "mcp", Error: CodeInvalidToken, Description: "the token expired"},
			`Bearer resource_metadata="` + prm + `", scope="mcp", error="invalid_token", error_description="the token expired"`,
		},
		"insufficient scope": {
			Challenge{ResourceMetadata: prm, Scope: "read write", Error: CodeInsufficientScope},
			`Bearer resource_metadata="` + prm + `", scope="read write", error="insufficient_scope"`,
		},
		"nothing": {Challenge{}, "Bearer "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := tt.challenge.String(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// field reads a challenge as the TypeScript SDKs do: the first hit of a regular
// expression, quoted or not.
func field(header, name string) string {
	m := regexp.MustCompile(name + `=(?:"([^"]+)"|([^\s,]+))`).FindStringSubmatch(header)
	if m == nil {
		return ""
	}
	return m[1] + m[2]
}

// An operator writes a scope with a quote, or a description speaks of scope=…:
// neither may change what a client reads.
func TestAttackChallengeInjection(t *testing.T) {
	t.Parallel()
	got := Challenge{
		ResourceMetadata: "https://h/a\"b\\c d\r\ne\u00e9",
		Scope:            "mcp a\"b \x00 read",
		Error:            CodeInvalidToken,
		Description:      `use scope=admin, resource_metadata="https://evil" \` + "\r\nX: y",
	}.String()
	for name, want := range map[string]string{
		"resource_metadata": "https://h/a%22b%5Cc%20d%0D%0Ae%C3%A9",
		"scope":             "mcp read",
		"error":             "invalid_token",
	} {
		if v := field(got, name); v != want {
			t.Errorf("%s is read as %q, want %q\nheader: %s", name, v, want, got)
		}
	}
	if strings.ContainsAny(got, "\r\n\x00\\") || strings.Count(got, `"`) != 8 {
		t.Errorf("header: %q", got)
	}
	bare := Challenge{Description: "scope=admin"}.String()
	if v := field(bare, "scope"); v != "" {
		t.Errorf("scope is read as %q out of the description", v)
	}
}

func TestParseBearer(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		values []string
		token  string
		ok     bool
		bad    bool
	}{
		"none":                {nil, "", false, false},
		"RFC 6750 example":    {[]string{"Bearer mF_9.B5f-4.1JqM"}, "mF_9.B5f-4.1JqM", true, false},
		"case of the scheme":  {[]string{"bEARER abc"}, "abc", true, false},
		"whole alphabet":      {[]string{"Bearer aZ09-._~+/=="}, "aZ09-._~+/==", true, false},
		"several spaces":      {[]string{"Bearer   abc "}, "abc", true, false},
		"longest":             {[]string{"Bearer " + strings.Repeat("a", maxTokenBytes)}, strings.Repeat("a", maxTokenBytes), true, false},
		"empty header":        {[]string{""}, "", false, false},
		"scheme alone":        {[]string{"Bearer"}, "", false, false},
		"scheme and space":    {[]string{"Bearer "}, "", false, false},
		"basic":               {[]string{"Basic Yzpz"}, "", false, false},
		"DPoP":                {[]string{"DPoP abc"}, "", false, false},
		"scheme with suffix":  {[]string{"BearerX abc"}, "", false, false},
		"tab after scheme":    {[]string{"Bearer\tabc"}, "", false, false},
		"token without it":    {[]string{"abc"}, "", false, false},
		"two headers":         {[]string{"Bearer a", "Bearer b"}, "", false, true},
		"two equal headers":   {[]string{"Bearer a", "Bearer a"}, "", false, true},
		"basic beside bearer": {[]string{"Basic Yzpz", "Bearer a"}, "", false, true},
		"joined by a proxy":   {[]string{"Bearer a, Bearer b"}, "", false, true},
		"space within":        {[]string{"Bearer a b"}, "", false, true},
		"quoted":              {[]string{`Bearer "abc"`}, "", false, true},
		"equals sign within":  {[]string{"Bearer a=b"}, "", false, true},
		"only padding":        {[]string{"Bearer ==="}, "", false, true},
		"placeholder":         {[]string{"Bearer ${TOKEN}"}, "", false, true},
		"control":             {[]string{"Bearer a\x00b"}, "", false, true},
		"not ASCII":           {[]string{"Bearer é"}, "", false, true},
		"too long":            {[]string{"Bearer " + strings.Repeat("a", maxTokenBytes+1)}, "", false, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{}
			for _, v := range tt.values {
				h.Add("Authorization", v)
			}
			token, ok, err := ParseBearer(h)
			if token != tt.token || ok != tt.ok || (err != nil) != tt.bad {
				t.Fatalf("got %q, %v, %v", token, ok, err)
			}
			if err != nil && (err.Code != CodeInvalidRequest || err.HTTPStatus() != http.StatusBadRequest) {
				t.Errorf("got %v (%d), want invalid_request, 400", err, err.HTTPStatus())
			}
		})
	}
}

func FuzzParseBearer(f *testing.F) {
	for _, s := range []string{"Bearer abc", "bearer  a==", "Basic x", "Bearer a,b", "Bearer", "Bearer \x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		token, ok, err := ParseBearer(http.Header{"Authorization": {value}})
		if ok != (token != "") || ok && err != nil {
			t.Fatalf("%q: %q, %v, %v", value, token, ok, err)
		}
		if ok && (!strings.HasSuffix(strings.TrimRight(value, " "), token) || !strings.EqualFold(value[:7], "Bearer ") || strings.ContainsAny(token, " ,\"\\")) {
			t.Fatalf("%q: token %q", value, token)
		}
	})
}

func FuzzChallenge(f *testing.F) {
	f.Add("https://h/x", "mcp read", "expired")
	f.Add("\"\\", "\" a", `scope="x"`)
	f.Fuzz(func(t *testing.T, metadata, scope, description string) {
		c := Challenge{ResourceMetadata: metadata, Scope: scope, Error: CodeInvalidToken, Description: description}
		got := c.String()
		if !strings.HasPrefix(got, "Bearer ") || !visible(got) || strings.ContainsRune(got, '\\') || strings.Count(got, `"`)%2 != 0 {
			t.Fatalf("header %q", got)
		}
		if v := field(got, "scope"); v != quotableScope(scope) && !strings.Contains(quotableURL(metadata), "scope=") {
			t.Fatalf("scope read as %q from %q", v, got)
		}
		if v := field(got, "error"); v != CodeInvalidToken && !strings.Contains(metadata+scope, "error=") {
			t.Fatalf("error read as %q from %q", v, got)
		}
	})
}
