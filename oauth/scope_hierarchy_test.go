// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var testHierarchy = ScopeHierarchy{"admin": {"write", "audit"}, "write": {"read"}, "audit": {"read"}}

func TestScopeHierarchyMissing(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ held, required, missing string }{
		{"", "", ""},
		{"read", "read", ""},
		{"", "read", "read"},
		{"write", "read", ""},
		{"admin", "read write audit admin", ""},
		{"read", "write", "write"},
		{"read", "write read admin", "write admin"},
		{"audit", "write read", "write"},
		{"read audit", "write audit", "write"},
		{"other", "read", "read"},
		{"rea", "read", "read"},
		{"admin:x", "read", "read"},
		{"Admin", "read", "read"},
		{"read", "other", "other"},
	} {
		got := testHierarchy.Missing(strings.Fields(tt.held), strings.Fields(tt.required))
		if diff := cmp.Diff(strings.Fields(tt.missing), append([]string{}, got...)); diff != "" {
			t.Errorf("%q for %q (-want +got):\n%s", tt.held, tt.required, diff)
		}
	}
	if ScopeHierarchy(nil).Covers([]string{"admin"}, "read") {
		t.Error("no hierarchy includes nothing")
	}
}

func TestScopeHierarchyCheck(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		h    ScopeHierarchy
		want string
	}{
		"none":             {nil, ""},
		"good":             {testHierarchy, ""},
		"itself":           {ScopeHierarchy{"a": {"a"}}, `"a" includes itself`},
		"each other":       {ScopeHierarchy{"a": {"b"}, "b": {"a"}}, `"a" includes itself`},
		"in a circle":      {ScopeHierarchy{"x": {"a"}, "a": {"b"}, "b": {"c"}, "c": {"a"}}, `"a" includes itself`},
		"nothing":          {ScopeHierarchy{"a": nil}, `"a" includes nothing`},
		"two words":        {ScopeHierarchy{"a b": {"c"}}, `"a b" cannot be`},
		"a quote":          {ScopeHierarchy{"a": {`"`}}, "cannot be"},
		"offline_access":   {ScopeHierarchy{"a": {"offline_access"}}, "cannot be"},
		"of offline":       {ScopeHierarchy{"offline_access": {"a"}}, "cannot be"},
		"an empty one":     {ScopeHierarchy{"": {"a"}}, "cannot be"},
		"an empty include": {ScopeHierarchy{"a": {""}}, "cannot be"},
	} {
		err := tt.h.Check()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	if diff := cmp.Diff([]string{"admin", "audit", "read", "write"}, testHierarchy.Scopes()); diff != "" {
		t.Errorf("scopes (-want +got):\n%s", diff)
	}
}

// A circle must not hang what judges requests, should one get that far.
func TestScopeHierarchyInACircleEnds(t *testing.T) {
	t.Parallel()
	h := ScopeHierarchy{"a": {"b"}, "b": {"a"}}
	if !h.Covers([]string{"a"}, "b") || h.Covers([]string{"a"}, "c") {
		t.Error("wrong")
	}
}

func TestStepUpScopes(t *testing.T) {
	t.Parallel()
	known := []string{"read", "write", "admin"}
	for _, tt := range []struct{ held, required, want string }{
		{"", "read", "read"},
		{"read", "write", "read write"},
		{"read offline_access", "write", "read write"},
		{"gone read", "write", "read write"},
		{"read", "read", "read"},
		{"write read", "admin read", "write read admin"},
		{"read read", "write write", "read write"},
	} {
		got := StepUpScopes(strings.Fields(tt.held), known, strings.Fields(tt.required))
		if diff := cmp.Diff(strings.Fields(tt.want), got); diff != "" {
			t.Errorf("%q, needs %q (-want +got):\n%s", tt.held, tt.required, diff)
		}
	}
}

// Whatever a token holds: one that was granted all that the challenge named would
// suffice, keeps what it had, and gains nothing nobody offers.
func FuzzStepUp(f *testing.F) {
	f.Add("read", "write read")
	f.Add("admin offline_access x", "audit")
	f.Fuzz(func(t *testing.T, heldRaw, requiredRaw string) {
		held, heldErr := ParseScope(heldRaw)
		required, requiredErr := ParseScope(requiredRaw)
		if heldErr != nil || requiredErr != nil {
			return
		}
		known := testHierarchy.Scopes()
		required = slices.DeleteFunc(required, func(s string) bool { return !slices.Contains(known, s) })
		asked := StepUpScopes(held, known, required)
		granted := GrantScopes(asked, known[:1], known...)
		if missing := testHierarchy.Missing(granted, required); len(required) > 0 && missing != nil {
			t.Fatalf("held %q, required %q, asked %q: still missing %q", held, required, asked, missing)
		}
		for _, s := range asked {
			if !slices.Contains(known, s) {
				t.Fatalf("%q is not known", s)
			}
		}
		for _, s := range held {
			if slices.Contains(known, s) && !slices.Contains(asked, s) {
				t.Fatalf("%q was lost", s)
			}
		}
	})
}
