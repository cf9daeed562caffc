// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// mustParams parses what the test knows to be good.
func mustParams(t *testing.T, raw string) Params {
	t.Helper()
	p, err := ParseParams(raw)
	if err != nil {
		t.Fatalf("ParseParams(%q): %v", raw, err)
	}
	return p
}

// encode builds a query from name, value, …, in order, repeats allowed.
func encode(pairs ...string) string {
	var parts []string
	for i := 0; i+1 < len(pairs); i += 2 {
		parts = append(parts, url.QueryEscape(pairs[i])+"="+url.QueryEscape(pairs[i+1]))
	}
	return strings.Join(parts, "&")
}

func TestParamsGet(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ raw, want string }{
		"present":               {"a=1&x=v", "v"},
		"absent":                {"a=1", ""},
		"nothing at all":        {"", ""},
		"empty is absent":       {"x=", ""},
		"no equals sign":        {"x", ""},
		"plus is a space":       {"x=a+b", "a b"},
		"escaped plus":          {"x=a%2Bb", "a+b"},
		"escaped name":          {"%78=v", "v"},
		"second equals sign":    {"x=a=b", "a=b"},
		"escaped ampersand":     {"x=a%26b", "a&b"},
		"escaped semicolon":     {"x=a%3Bb", "a;b"},
		"empty pairs":           {"&&x=v&", "v"},
		"non-ASCII":             {"x=%C3%A9", "é"},
		"unknown ones are fine": {"utm_source=a&utm_source=b&x=v", "v"},
		"case matters":          {"X=no&x=v", "v"},
		"once decoded only":     {"x=%2541", "%41"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := mustParams(t, tt.raw).Get("x")
			if err != nil {
				t.Fatal(err)
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// Two parsers that pick different ones of two values disagree about what was
// approved, so there is no picking (R5.1, R7.1).
func TestAttackRepeatedParameter(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		"redirect_uri=a&redirect_uri=b", "redirect_uri=a&redirect_uri=a",
		"redirect_uri=a&redirect_uri=", "redirect_uri=&redirect_uri=",
		"redirect_uri=a&%72edirect_uri=b", "redirect_uri&redirect_uri=b",
	} {
		_, err := mustParams(t, raw).Get("redirect_uri")
		want := &Error{Code: CodeInvalidRequest, Description: "parameter redirect_uri is repeated"}
		if diff := cmp.Diff(want, err); diff != "" {
			t.Errorf("%s (-want +got):\n%s", raw, diff)
		}
	}
}

func TestParamsAll(t *testing.T) {
	t.Parallel()
	p := mustParams(t, "resource=a&resource=&resource=b&resource=a")
	if diff := cmp.Diff([]string{"a", "b", "a"}, p.All("resource")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := p.All("absent"); got != nil {
		t.Errorf("absent: %q, want nil", got)
	}
}

func TestParseParamsRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"broken escape in value":   "x=%zz",
		"cut escape":               "x=%4",
		"lone percent":             "x=%",
		"broken escape in name":    "%zz=x",
		"escaped NUL":              "state=a%00b",
		"raw NUL":                  "state=a\x00b",
		"line break":               "state=a%0d%0aSet-Cookie:x",
		"tab":                      "state=%09",
		"DEL":                      "state=%7f",
		"C1 control":               "state=%C2%85",
		"not UTF-8":                "state=%ff",
		"overlong UTF-8":           "state=%c0%af",
		"surrogate in UTF-8":       "state=%ed%a0%80",
		"raw semicolon":            "client_id=a;client_id=b",
		"semicolon between":        "a=1;b=2",
		"no name":                  "=x",
		"control in name":          "a%00=x",
		"long name":                strings.Repeat("n", maxParamName+1) + "=x",
		"too long":                 "x=" + strings.Repeat("v", maxParamBytes),
		"too many":                 strings.Repeat("a=1&", maxParams+1),
		"too many without a value": strings.Repeat("a&", maxParams+1),
	}
	for name, raw := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseParams(raw)
			if err == nil || err.Code != CodeInvalidRequest {
				t.Fatalf("got %v, want invalid_request", err)
			}
		})
	}
}

func TestParseParamsLimitIsInclusive(t *testing.T) {
	t.Parallel()
	mustParams(t, strings.Repeat("a=1&", maxParams))
	mustParams(t, "x="+strings.Repeat("v", maxParamBytes-2))
}

// An error goes to a page and a log: it may name our parameters, never a
// stranger's.
func TestAttackErrorDoesNotEchoNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"<script>", "Évil", strings.Repeat("a", 41), "a b"} {
		raw := encode(name, "1", name, "2")
		_, err := mustParams(t, raw).Get(name)
		if err == nil || strings.Contains(err.Description, name) {
			t.Errorf("%q: %v", name, err)
		}
		_, err = ParseParams(url.QueryEscape(name) + "=%zz")
		if err == nil || strings.Contains(err.Description, name) {
			t.Errorf("%q malformed: %v", name, err)
		}
	}
}

func FuzzParseParams(f *testing.F) {
	for _, s := range []string{
		"", "a=1", "a=1&a=2", "a;b", "%00", "x=%C3%A9&y", "=", "&&&", "a=%2B+%20", "a=b=c", "%61=1", "x=%ff",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		p, perr := ParseParams(raw)
		if perr != nil {
			if perr.HTTPStatus() != 400 {
				t.Fatalf("status %d", perr.HTTPStatus())
			}
			return
		}
		// What we accept, the standard library reads in the same way.
		std, err := url.ParseQuery(raw)
		if err != nil {
			t.Fatalf("accepted %q, url.ParseQuery says %v", raw, err)
		}
		if diff := cmp.Diff(map[string][]string(std), p.values); diff != "" {
			t.Fatalf("%q read differently (-std +ours):\n%s", raw, diff)
		}
		for name, values := range p.values {
			for _, v := range values {
				if !utf8.ValidString(v) || strings.ContainsAny(v, "\x00\r\n") {
					t.Fatalf("%q holds %q", name, v)
				}
			}
			if v, err := p.Get(name); (err != nil) != (len(values) > 1) || err != nil && v != "" {
				t.Fatalf("Get(%q) = %q, %v for %q", name, v, err, values)
			}
		}
	})
}

func BenchmarkParseParams(b *testing.B) {
	raw := encode("response_type", "code", "client_id", "abc", "redirect_uri", "http://127.0.0.1:1/cb",
		"state", strings.Repeat("s", 64), "code_challenge", strings.Repeat("c", 43), "code_challenge_method", "S256",
		"resource", "https://mcp.example.com/mcp", "scope", "mcp offline_access")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseParams(raw); err != nil {
			b.Fatal(fmt.Sprint(err))
		}
	}
}
