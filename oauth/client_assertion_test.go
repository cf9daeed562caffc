// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	asserted = "https://chatgpt.com/oauth/tU1UVEq8rRTK/client.json"
	// goodClaims are those of 12:00:00 UTC on 25 November 2026.
	goodClaims = `{"iss":"` + asserted + `","sub":"` + asserted + `","aud":"https://mcp.example.com","jti":"j1",` +
		`"iat":1795608000,"exp":1795608300}`
)

var (
	assertedAt = time.Unix(1795608000, 0)
	audiences  = []string{"https://mcp.example.com", "https://mcp.example.com/", "https://mcp.example.com/token"}
)

// assertionOf is a JWS whose signature nobody checks here.
func assertionOf(claims string) string {
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(`{"alg":"RS256"}`)) + "." + enc([]byte(claims)) + "." + enc([]byte("signature"))
}

func replaceClaim(name, value string) string {
	out := goodClaims
	start := strings.Index(out, `"`+name+`":`)
	end := start + len(name) + 3
	if out[end] == '"' {
		end += 1 + strings.Index(out[end+1:], `"`) + 1
	} else {
		end += strings.IndexAny(out[end:], ",}")
	}
	if value == "" {
		return strings.Replace(strings.Replace(out[:start]+out[end:], ",,", ",", 1), ",}", "}", 1)
	}
	return out[:start] + `"` + name + `":` + value + out[end:]
}

func TestParseAssertionClaims(t *testing.T) {
	t.Parallel()
	got, perr := ParseAssertionClaims([]byte(goodClaims))
	if perr != nil {
		t.Fatal(perr)
	}
	want := &AssertionClaims{
		Issuer: asserted, Subject: asserted, Audience: []string{"https://mcp.example.com"}, ID: "j1",
		Expires: assertedAt.Add(5 * time.Minute), IssuedAt: assertedAt,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if perr := got.Check(asserted, audiences, assertedAt); perr != nil {
		t.Error(perr)
	}
	if end := got.UsedUntil(); !end.Equal(assertedAt.Add(6 * time.Minute)) {
		t.Errorf("the jti may be forgotten at %s", end)
	}
}

// Assertions that say too little, too much, or the same thing twice. Two parsers
// that read a claim differently are what forgeries are made of.
func TestMalformedAssertionClaims(t *testing.T) {
	t.Parallel()
	for name, claims := range map[string]string{
		"nothing": "", "no object": `[]`, "null": `null`, "text": `"x"`, "rest": goodClaims + `{}`, "not UTF-8": "{\"iss\":\"\xff\"}",
		"iss missing": replaceClaim("iss", ""), "sub missing": replaceClaim("sub", ""), "aud missing": replaceClaim("aud", ""),
		"exp missing": replaceClaim("exp", ""), "jti missing": replaceClaim("jti", ""), "jti empty": replaceClaim("jti", `""`),
		"jti a number": replaceClaim("jti", "7"), "jti long": replaceClaim("jti", `"`+strings.Repeat("j", 513)+`"`),
		"iss null": replaceClaim("iss", "null"), "iss a list": replaceClaim("iss", `["`+asserted+`"]`),
		"iss twice":    strings.Replace(goodClaims, `"iat"`, `"iss":"mallory","iat"`, 1),
		"exp twice":    strings.Replace(goodClaims, `"iat"`, `"exp":1,"iat"`, 1),
		"exp text":     replaceClaim("exp", `"1795608300"`),
		"exp null":     replaceClaim("exp", "null"),
		"exp negative": replaceClaim("exp", "-1"),
		"exp huge":     replaceClaim("exp", "1e300"),
		"iat null":     replaceClaim("iat", "null"),
		"aud empty":    replaceClaim("aud", `""`),
		"aud none":     replaceClaim("aud", `[]`),
		"aud null":     replaceClaim("aud", `[null]`),
		"aud object":   replaceClaim("aud", `{"a":1}`),
		"aud nested":   replaceClaim("aud", `[["https://mcp.example.com"]]`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, perr := ParseAssertionClaims([]byte(claims))
			if perr == nil || perr.Code != CodeInvalidClient {
				t.Errorf("got %+v, %v", c, perr)
			}
		})
	}
}

func TestCheckAssertion(t *testing.T) {
	t.Parallel()
	type edit = map[string]string
	for name, tt := range map[string]struct {
		claims edit
		at     time.Duration
		ok     bool
	}{
		"as it is":                   {nil, 0, true},
		"issuer with a slash":        {edit{"aud": `"https://mcp.example.com/"`}, 0, true},
		"token endpoint":             {edit{"aud": `"https://mcp.example.com/token"`}, 0, true},
		"both":                       {edit{"aud": `["https://mcp.example.com","https://mcp.example.com/token"]`}, 0, true},
		"fractions":                  {edit{"exp": "1795608300.5", "iat": "1795607999.9"}, 0, true},
		"at the last moment":         {nil, 6*time.Minute - time.Second, true},
		"client clock a minute fast": {edit{"iat": "1795608060", "exp": "1795608360"}, 0, true},
		"without iat":                {edit{"iat": ""}, 0, true},

		"of another client":         {edit{"iss": `"https://evil.example/client.json"`}, 0, false},
		"about another client":      {edit{"sub": `"https://evil.example/client.json"`}, 0, false},
		"iss in capitals":           {edit{"iss": `"` + strings.ToUpper(asserted) + `"`}, 0, false},
		"for another server":        {edit{"aud": `"https://evil.example"`}, 0, false},
		"for another server too":    {edit{"aud": `["https://mcp.example.com","https://evil.example"]`}, 0, false},
		"for the resource":          {edit{"aud": `"https://mcp.example.com/mcp"`}, 0, false},
		"for a longer name":         {edit{"aud": `"https://mcp.example.com.evil.example"`}, 0, false},
		"for another endpoint":      {edit{"aud": `"https://mcp.example.com/introspect"`}, 0, false},
		"audience in capitals":      {edit{"aud": `"https://MCP.example.com"`}, 0, false},
		"audience with two slashes": {edit{"aud": `"https://mcp.example.com//token"`}, 0, false},
		"expired":                   {nil, 6 * time.Minute, false},
		"long expired":              {nil, 24 * time.Hour, false},
		"good for too long":         {edit{"exp": "1795608361"}, 0, false},
		"good for a year":           {edit{"exp": "1827144000"}, 0, false},
		"not yet":                   {edit{"iat": "1795608061"}, 0, false},
		"not before":                {edit{"iat": "1795608000,\"nbf\":1795608061"}, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			claims := goodClaims
			for claim, value := range tt.claims {
				if claim == "iss" || claim == "sub" || claim == "aud" || claim == "exp" || claim == "iat" {
					claims = replaceIn(claims, claim, value)
				}
			}
			c, perr := ParseAssertionClaims([]byte(claims))
			if perr != nil {
				t.Fatalf("%s: %v", claims, perr)
			}
			perr = c.Check(asserted, audiences, assertedAt.Add(tt.at))
			if (perr == nil) != tt.ok {
				t.Errorf("%s: %v", claims, perr)
			}
			if perr != nil && perr.Code != CodeInvalidClient {
				t.Errorf("code %s", perr.Code)
			}
		})
	}
}

// replaceIn is replaceClaim for claims other than the good ones.
func replaceIn(claims, name, value string) string {
	was := strings.Split(replaceClaim(name, "@"), "@")
	original := goodClaims[len(was[0]) : len(goodClaims)-len(was[1])]
	if value == "" {
		return strings.Replace(strings.Replace(claims, `"`+name+`":`+original, "", 1), ",,", ",", 1)
	}
	return strings.Replace(claims, `"`+name+`":`+original, `"`+name+`":`+value, 1)
}

// RFC 7521 §4.2: client_id may be left out beside an assertion.
func TestParseAssertedCredentials(t *testing.T) {
	t.Parallel()
	good := url.Values{"client_assertion_type": {AssertionTypeJWT}, "client_assertion": {assertionOf(goodClaims)}}
	with := func(name, value string) string {
		v := url.Values{}
		for k := range good {
			v.Set(k, good.Get(k))
		}
		v.Set(name, value)
		return v.Encode()
	}
	want := &ClientCredentials{ID: asserted, Method: AuthPrivateKeyJWT, Assertion: assertionOf(goodClaims)}
	for _, form := range []string{good.Encode(), with("client_id", asserted), with("client_secret", "")} {
		got, perr := ParseClientCredentials(nil, mustParams(t, form))
		if perr != nil {
			t.Fatal(perr)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	for name, tt := range map[string]struct {
		header http.Header
		form   string
		code   string
	}{
		"client_id of another": {nil, with("client_id", "https://evil.example/client.json"), CodeInvalidClient},
		"secret beside it":     {nil, with("client_secret", "s"), CodeInvalidRequest},
		"header beside it":     {basicHeader("c:s"), good.Encode(), CodeInvalidRequest},
		"another type":         {nil, with("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"), CodeInvalidClient},
		"no type":              {nil, with("client_assertion_type", ""), CodeInvalidClient},
		"no assertion":         {nil, with("client_assertion", ""), CodeInvalidRequest},
		"twice":                {nil, good.Encode() + "&client_assertion=x", CodeInvalidRequest},
		"two parts":            {nil, with("client_assertion", "a.b"), CodeInvalidClient},
		"five parts":           {nil, with("client_assertion", "a.b.c.d.e"), CodeInvalidClient},
		"no base64":            {nil, with("client_assertion", "a.*.c"), CodeInvalidClient},
		"padded":               {nil, with("client_assertion", "e30.e30=.e30"), CodeInvalidClient},
		"no claims":            {nil, with("client_assertion", "e30.e30.e30"), CodeInvalidClient},
		"too long":             {nil, with("client_assertion", assertionOf(replaceClaim("jti", `"`+strings.Repeat("j", 9000)+`"`))), CodeInvalidClient},
		"sub that is no id":    {nil, with("client_assertion", assertionOf(replaceClaim("sub", `"a\u0000b"`))), CodeInvalidClient},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c, perr := ParseClientCredentials(tt.header, mustParams(t, tt.form)); perr == nil || perr.Code != tt.code {
				t.Errorf("got %+v, %v, want %s", c, perr, tt.code)
			}
		})
	}
}

// FuzzParseAssertionClaims: what passes has everything an assertion must have, and
// an assertion of one client is never one of another.
func FuzzParseAssertionClaims(f *testing.F) {
	f.Add(goodClaims)
	f.Add(replaceClaim("aud", `["a","b"]`))
	f.Add(replaceClaim("exp", "1.5e9"))
	f.Fuzz(func(t *testing.T, claims string) {
		c, perr := ParseAssertionClaims([]byte(claims))
		if perr != nil {
			return
		}
		if c.Issuer == "" || c.Subject == "" || c.ID == "" || len(c.Audience) == 0 || c.Expires.IsZero() {
			t.Fatalf("%s: %+v", claims, c)
		}
		if c.Check(c.Subject+"x", c.Audience, c.Expires) == nil || c.Check(c.Subject, nil, c.Expires) == nil ||
			c.Check(c.Subject, c.Audience, c.UsedUntil()) == nil || c.Check(c.Subject, c.Audience, c.Expires.Add(-7*time.Minute)) == nil {
			t.Fatalf("%s is good where it must not be", claims)
		}
	})
}
