// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseScope(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in   string
		want []string
	}{
		"empty":         {"", nil},
		"one":           {"mcp", []string{"mcp"}},
		"order is kept": {"b a c", []string{"b", "a", "c"}},
		"each once":     {"a b a b", []string{"a", "b"}},
		"case matters":  {"A a", []string{"A", "a"}},
		"loose spaces":  {"  a   b ", []string{"a", "b"}},
		"spaces only":   {"   ", nil},
		"whole charset": {"!#$%&'()*+,-./09:;<=>?@AZ[]^_`az{|}~", []string{"!#$%&'()*+,-./09:;<=>?@AZ[]^_`az{|}~"}},
		"URL":           {"https://h/scope offline_access", []string{"https://h/scope", ScopeOfflineAccess}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseScope(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseScopeRefuses(t *testing.T) {
	t.Parallel()
	many := make([]string, maxScopeTokens+1)
	for i := range many {
		many[i] = fmt.Sprint("s", i)
	}
	for name, in := range map[string]string{
		"quote": `a"b`, "backslash": `a\b`, "tab": "a\tb", "line break": "a\nb", "non-ASCII": "é",
		"no-break space": "a\u00a0b", "DEL": "a\x7f", "NUL": "\x00",
		"too many": FormatScope(many), "too long": strings.Repeat("a", maxScopeBytes+1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := ParseScope(in); err == nil || err.Code != CodeInvalidScope {
				t.Errorf("got %q, %v, want invalid_scope", got, err)
			}
		})
	}
	if _, err := ParseScope(FormatScope(many[:maxScopeTokens])); err != nil {
		t.Errorf("exactly %d tokens: %v", maxScopeTokens, err)
	}
}

func TestGrantScopes(t *testing.T) {
	t.Parallel()
	offered := []string{"read", "write"}
	tests := map[string]struct{ requested, want []string }{
		"nothing requested":     {nil, offered},
		"less":                  {[]string{"write"}, []string{"write"}},
		"order of the offer":    {[]string{"write", "read"}, offered},
		"unknown is dropped":    {[]string{"admin", "read"}, []string{"read"}},
		"only unknown":          {[]string{"openid", "email", "profile"}, offered},
		"offline_access":        {[]string{"read", ScopeOfflineAccess}, []string{"read", ScopeOfflineAccess}},
		"offline_access alone":  {[]string{ScopeOfflineAccess}, []string{"read", "write", ScopeOfflineAccess}},
		"offline_access first":  {[]string{ScopeOfflineAccess, "write"}, []string{"write", ScopeOfflineAccess}},
		"case is not forgiven":  {[]string{"READ", "write"}, []string{"write"}},
		"a prefix is not scope": {[]string{"rea", "write"}, []string{"write"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, GrantScopes(tt.requested, offered)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// The result is stored with a grant; if it shared the configuration's array, one
// grant's append would show in the next.
func TestGrantScopesDoesNotAlias(t *testing.T) {
	t.Parallel()
	offered := append(make([]string, 0, 8), "read", "write")
	got := GrantScopes([]string{ScopeOfflineAccess}, offered)
	got[0] = "changed"
	if diff := cmp.Diff([]string{"read", "write", ""}, offered[:3]); diff != "" {
		t.Errorf("offered was written to (-want +got):\n%s", diff)
	}
}

func FuzzParseScope(f *testing.F) {
	for _, s := range []string{"", "a b", "a  a", `"`, "offline_access mcp", "é", "a\tb"} {
		f.Add(s)
	}
	offered := []string{"mcp", "read"}
	f.Fuzz(func(t *testing.T, s string) {
		scopes, err := ParseScope(s)
		if err != nil {
			return
		}
		again, err := ParseScope(FormatScope(scopes))
		if err != nil || !slices.Equal(scopes, again) {
			t.Fatalf("%q: round trip gives %q, %v", s, again, err)
		}
		for _, g := range GrantScopes(scopes, offered) {
			if !slices.Contains(offered, g) && g != ScopeOfflineAccess {
				t.Fatalf("%q: %q was granted without being offered", s, g)
			}
		}
	})
}
