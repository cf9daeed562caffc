// SPDX-License-Identifier: Apache-2.0

package github

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func membershipJSON(org, state, role string) string {
	return fmt.Sprintf(`{"state":%q,"role":%q,"organization":{"login":"%s","id":1},"user":{"login":"mona","id":2}}`, state, role, org)
}

func TestDecodeMemberships(t *testing.T) {
	t.Parallel()
	list := []string{
		membershipJSON("Acme", "active", "member"),
		membershipJSON("evil-corp", "active", "admin"),
		membershipJSON("invited", "pending", "member"),
		membershipJSON("invited-owner", "pending", "admin"),
		membershipJSON("payer", "active", "billing_manager"),
		membershipJSON("odd", "Active", "member"),
		membershipJSON("empty", "", ""),
		`{"organization":{"login":"neither"}}`,
	}
	got, err := decodeMemberships([]byte("[" + strings.Join(list, ",") + "]"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(orgPage{[]string{"acme", "evil-corp"}, 8}, got, cmp.AllowUnexported(orgPage{})); diff != "" {
		t.Error(diff)
	}
	for i, want := range []bool{true, true, false, false, false, false} {
		one, err := decodeMembership([]byte(list[i]))
		if err != nil || bool(one) != want {
			t.Errorf("%s: %v, %v", list[i], one, err)
		}
	}
	for _, body := range []string{`{}`, `null`, `[]`, `{"message":"Not Found"}`, `{"state":1}`, list[6]} {
		if one, err := decodeMembership([]byte(body)); err == nil || bool(one) {
			t.Errorf("%s: %v, %v", body, one, err)
		}
	}
}

func TestDecodeTeams(t *testing.T) {
	t.Parallel()
	got, err := decodeTeams([]byte(`[
		{"id":1,"slug":"Platform","name":"The Platform","organization":{"login":"Acme"},"parent":{"id":2,"slug":"Engineering"}},
		{"id":3,"slug":"ops","organization":{"login":"acme"},"parent":null},
		{"id":4,"slug":"ent:everybody","organization":null},
		{"id":5,"slug":"ent:some","organization":{"login":"acme"}}]`))
	if err != nil {
		t.Fatal(err)
	}
	want := teamPage{teams: []team{
		{id: 1, org: "acme", slug: "platform", parent: &team{id: 2, org: "acme", slug: "engineering"}},
		{id: 3, org: "acme", slug: "ops"},
	}, total: 4}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(teamPage{}, team{})); diff != "" {
		t.Error(diff)
	}
	for _, body := range []string{
		`[{"id":1,"slug":"ops"}]`, `[{"id":1,"slug":"ops","organization":null}]`, `[{"id":1,"slug":"ops","organization":"acme"}]`,
		`[{"id":1,"organization":{"login":"acme"}}]`, `[[]]`, `{"0":{}}`, `[{"slug":"ops","organization":{"login":"acme"}}]`,
		`[{"id":0,"slug":"ops","organization":{"login":"acme"}}]`, `[{"id":1.5,"slug":"ops","organization":{"login":"acme"}}]`,
		`[{"id":1,"slug":"ops","organization":{"login":"acme"},"parent":{}}]`,
		`[{"id":1,"slug":"ops","organization":{"login":"acme"},"parent":{"id":2,"slug":"a/b"}}]`,
		`[{"id":1,"slug":"ops","organization":{"login":"acme"},"parent":{"id":-2,"slug":"ab"}}]`,
		`[{"id":1,"slug":"ops","organization":{"login":"acme"},"parent":"ab"}]`,
	} {
		if got, err := decodeTeams([]byte(body)); err == nil {
			t.Errorf("%s: %v", body, got)
		}
	}
}

// TestAttackOrgNamedLikeATeam: an organization or slug that would read as
// another thing in the list of groups spoils the whole answer. Leaving out one
// entry would be guessing what GitHub meant.
func TestAttackOrgNamedLikeATeam(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"acme/platform", "acme,evil", "", " acme", "acme\\n", "acme\\u0000", "\\u212aiss", "a:b", ".", "..", strings.Repeat("a", 101)} {
		if got, err := decodeMemberships([]byte(`[` + membershipJSON("fine", "active", "member") + `,` + membershipJSON(s, "active", "member") + `]`)); err == nil {
			t.Errorf("organization %q: %v", s, got)
		}
		if got, err := decodeTeams([]byte(`[{"id":1,"slug":"` + s + `","organization":{"login":"acme"}}]`)); err == nil {
			t.Errorf("team %q: %v", s, got)
		}
		if got, err := decodeTeam([]byte(`{"id":1,"slug":"ops","organization":{"login":"` + s + `"}}`)); err == nil {
			t.Errorf("team of %q: %v", s, got)
		}
		if got, err := decodeTeam([]byte(`{"id":1,"slug":"ops","organization":{"login":"acme"},"parent":{"id":2,"slug":"` + s + `"}}`)); err == nil {
			t.Errorf("parent %q: %v", s, got)
		}
	}
}

func TestDecodeOrgID(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]orgID{
		`{"id":9919,"login":"github"}`: 9919,
		`{"id":9223372036854775807}`:   9223372036854775807,
	} {
		if got, err := decodeOrgID([]byte(body)); err != nil || got != want {
			t.Errorf("%s: %d, %v", body, got, err)
		}
	}
	for _, body := range []string{`{}`, `null`, `[]`, `{"id":"1"}`, `{"id":1.5}`, `{"id":0}`, `{"id":-1}`, `{"id":9223372036854775808}`} {
		if got, err := decodeOrgID([]byte(body)); err == nil || got != 0 {
			t.Errorf("%s: %d, %v", body, got, err)
		}
	}
}

func FuzzDecodeLists(f *testing.F) {
	for _, s := range []string{
		`[]`, "[" + membershipJSON("a", "active", "member") + "]", `[{"id":1,"slug":"t","organization":{"login":"a"},"parent":{"id":2,"slug":"p"}}]`,
		`[null]`, `null`, `[{"email":"a@b","primary":true,"verified":true}]`, `[{"slug":"ent:x"}]`,
	} {
		f.Add([]byte(s))
	}
	odd := func(s string) bool { return strings.ContainsAny(s, "/, ") || s != lowerASCII(s) || s == "" }
	f.Fuzz(func(t *testing.T, body []byte) {
		if p, err := decodeMemberships(body); err == nil && (slices.ContainsFunc(p.logins, odd) || len(p.logins) > p.total) {
			t.Errorf("organizations %+v", p)
		}
		if p, err := decodeTeams(body); err == nil {
			if len(p.teams) > p.total || p.size() < 0 {
				t.Errorf("teams %+v", p)
			}
			for _, team := range p.teams {
				if odd(team.org) || odd(team.slug) || team.id <= 0 || strings.Count(team.group(), "/") != 1 {
					t.Errorf("team %+v", team)
				}
				if p := team.parent; p != nil && (odd(p.slug) || p.org != team.org || p.id <= 0 || p.parent != nil) {
					t.Errorf("parent %+v", p)
				}
			}
		}
		if p, err := decodeEmails(body); err == nil && p.primary != "" && !isAddress(p.primary) {
			t.Errorf("address %+v", p)
		}
	})
}
