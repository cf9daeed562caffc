// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestReadGroups(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		path, claims string
		want         groupFacts
	}{
		"list":                  {"groups", `{"groups":["ops","dev"]}`, groupFacts{state: groupsListed, names: []string{"dev", "ops"}}},
		"one":                   {"groups", `{"groups":"ops"}`, groupFacts{state: groupsListed, names: []string{"ops"}}},
		"one with a comma":      {"groups", `{"groups":"ops,admin"}`, groupFacts{state: groupsListed, names: []string{"ops,admin"}}},
		"one with a blank":      {"groups", `{"groups":"ops admin"}`, groupFacts{state: groupsListed, names: []string{"ops admin"}}},
		"none":                  {"groups", `{"groups":[]}`, groupFacts{state: groupsListed}},
		"twice":                 {"groups", `{"groups":["ops","ops"]}`, groupFacts{state: groupsListed, names: []string{"ops"}}},
		"case is kept":          {"groups", `{"groups":["Ops","ops"]}`, groupFacts{state: groupsListed, names: []string{"Ops", "ops"}}},
		"path of Keycloak":      {"groups", `{"groups":["/staff/ops"]}`, groupFacts{state: groupsListed, names: []string{"/staff/ops"}}},
		"missing":               {"groups", `{}`, groupFacts{}},
		"null":                  {"groups", `{"groups":null}`, groupFacts{}},
		"number":                {"groups", `{"groups":7}`, groupFacts{dropped: 1}},
		"true":                  {"groups", `{"groups":true}`, groupFacts{dropped: 1}},
		"object":                {"groups", `{"groups":{"ops":true}}`, groupFacts{dropped: 1}},
		"no texts":              {"groups", `{"groups":["ops",1,null,{"name":"dev"},["x"],""]}`, groupFacts{state: groupsListed, names: []string{"ops"}, dropped: 5}},
		"line break":            {"groups", `{"groups":["ops\nadmin","dev"]}`, groupFacts{state: groupsListed, names: []string{"dev"}, dropped: 1}},
		"blank at an end":       {"groups", `{"groups":["ops "," dev"]}`, groupFacts{state: groupsListed, dropped: 2}},
		"unreadable":            {"groups", `{"groups":["\ud800"]}`, groupFacts{state: groupsListed, dropped: 1}},
		"too long":              {"groups", `{"groups":["` + strings.Repeat("a", maxText+1) + `","b"]}`, groupFacts{state: groupsListed, names: []string{"b"}, dropped: 1}},
		"Keycloak's realm":      {"realm_access.roles", `{"realm_access":{"roles":["ops"]}}`, groupFacts{state: groupsListed, names: []string{"ops"}}},
		"Keycloak's client":     {"resource_access.mcp.gateway.roles", `{"resource_access":{"mcp.gateway":{"roles":["ops"]},"mcp":{"roles":["x"]}}}`, groupFacts{state: groupsListed, names: []string{"ops"}}},
		"path ends early":       {"realm_access.roles", `{"realm_access":["roles"]}`, groupFacts{}},
		"path to nothing":       {"realm_access.roles", `{"realm_access":{"groups":["ops"]}}`, groupFacts{}},
		"name of Auth0":         {"https://acme.example/groups", `{"https://acme.example/groups":["ops"]}`, groupFacts{state: groupsListed, names: []string{"ops"}}},
		"name with dots wins":   {"a.b", `{"a":{"b":["x"]},"a.b":["ops"]}`, groupFacts{state: groupsListed, names: []string{"ops"}}},
		"object twice in it":    {"a.b", `{"a":{"b":["x"],"b":["ops"]}}`, groupFacts{}},
		"Entra, too many":       {"groups", `{"_claim_names":{"groups":"src1"},"_claim_sources":{"src1":{"endpoint":"https://graph.windows.net/x"}}}`, groupFacts{state: groupsElsewhere}},
		"elsewhere and here":    {"groups", `{"groups":["ops"],"_claim_names":{"groups":"src1"}}`, groupFacts{state: groupsElsewhere}},
		"something elsewhere":   {"groups", `{"groups":["ops"],"_claim_names":{"address":"src1"}}`, groupFacts{state: groupsListed, names: []string{"ops"}}},
		"elsewhere, broken":     {"groups", `{"groups":["ops"],"_claim_names":["groups"]}`, groupFacts{state: groupsElsewhere}},
		"a thousand":            {"groups", manyGroups(maxGroups, "g"), groupFacts{state: groupsListed, names: manyNames(maxGroups, "g")}},
		"a thousand and one":    {"groups", manyGroups(maxGroups+1, "g"), groupFacts{state: groupsElsewhere}},
		"a few hundred, longer": {"groups", manyGroups(300, strings.Repeat("g", 250)), groupFacts{state: groupsElsewhere}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			claims, err := parseObject([]byte(tc.claims))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, readGroups(claims, tc.path), cmp.AllowUnexported(groupFacts{})); diff != "" {
				t.Errorf("groups (-want +got):\n%s", diff)
			}
		})
	}
}

func manyNames(n int, prefix string) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s%04d", prefix, i)
	}
	return names
}

func manyGroups(n int, prefix string) string {
	return string(must(json.Marshal(claims{"groups": manyNames(n, prefix)})))
}

// TestAttackGroupByPath: Mallory may name a claim of her own, and calls it like the
// beginning of the path, or puts the rest of the path into it. What the operator
// wrote is found where it was meant, or not at all.
func TestAttackGroupByPath(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][]string{
		`{"realm_access":{"roles":["user"]},"roles":["admin"]}`:                        {"user"},
		`{"realm_access":{"roles":["user"]},"Realm_Access":{"roles":["admin"]}}`:       {"user"},
		`{"realm_access":{"roles":["user"],"x":{"roles":["admin"]}}}`:                  {"user"},
		`{"x":{"realm_access":{"roles":["admin"]}}}`:                                   nil,
		`{"realm_access":{"realm_access":{"roles":["admin"]}}}`:                        nil,
		`{"realm_access":"{\"roles\":[\"admin\"]}"}`:                                   nil,
		`{"realm_access":{"roles":["user"]},"realm_access ":{"roles":["admin"]}}`:      {"user"},
		`{"realm_access":{"roles":["user"]},"realm_access\u0000":{"roles":["admin"]}}`: {"user"},
	} {
		claims, err := parseObject([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		if got := readGroups(claims, "realm_access.roles").names; !slices.Equal(got, want) {
			t.Errorf("%s: groups %q, want %q", in, got, want)
		}
	}
}

// FuzzReadGroups: whatever claims and paths there are, groups are sorted, bounded and
// printable, each is a text of the claims, and nothing panics or hangs.
func FuzzReadGroups(f *testing.F) {
	f.Add([]byte(`{"groups":["ops","dev"]}`), "groups")
	f.Add([]byte(`{"realm_access":{"roles":["ops"]}}`), "realm_access.roles")
	f.Add([]byte(`{"a":{"b":{"c":"x"}},"a.b":{"c":1}}`), "a.b.c")
	f.Add([]byte(`{"_claim_names":{"groups":"src1"}}`), "groups")
	f.Add([]byte(`{"groups":[1,null,"\ud800",""]}`), "groups")
	f.Fuzz(func(t *testing.T, raw []byte, path string) {
		claims, err := parseObject(raw)
		if err != nil || checkGroupsClaim(path) != nil {
			return
		}
		g := readGroups(claims, path)
		if g.state != groupsListed && len(g.names) > 0 || len(g.names) > maxGroups {
			t.Fatalf("%d groups in state %d", len(g.names), g.state)
		}
		if !slices.IsSorted(g.names) || len(slices.Compact(slices.Clone(g.names))) != len(g.names) {
			t.Errorf("groups %q", g.names)
		}
		for _, name := range g.names {
			if name == "" || len(name) > maxText || !utf8.ValidString(name) || text(name) != name {
				t.Errorf("group %q", name)
			}
		}
	})
}
