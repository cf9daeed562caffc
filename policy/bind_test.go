// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
)

var (
	refGitHub = Ref{Name: "github", Kind: identity.KindGitHub}
	refGHE    = Ref{Name: "ghe", Kind: identity.KindGitHub}
	refSSO    = Ref{Name: "sso", Kind: identity.KindOIDC}
	refLocal  = Ref{Name: "local", Kind: identity.KindLocal}
)

func rules(t *testing.T, written ...string) []Rule {
	t.Helper()
	list := make([]Rule, len(written))
	for i, s := range written {
		r, err := ParseRule(s)
		if err != nil {
			t.Fatal(err)
		}
		list[i] = r
	}
	return list
}

func mustNew(t *testing.T, upstreams []Ref, written ...string) *Policy {
	t.Helper()
	p, err := New(rules(t, written...), upstreams)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		rules     []Rule
		upstreams []Ref
		want      []string
	}{
		"no rules":               {nil, []Ref{refGitHub}, []string{"allow org:acme", "allow any"}},
		"no upstreams":           {rules(t, "any"), nil, []string{"no upstream is configured"}},
		"user without github":    {rules(t, "user:mona"), []Ref{refSSO}, []string{`allow "user:mona"`, "rule of github", "configured: sso"}},
		"org without github":     {rules(t, "org:acme"), []Ref{refLocal}, []string{"rule of github"}},
		"team without github":    {rules(t, "team:a/b"), []Ref{refLocal}, []string{"rule of github"}},
		"id without github":      {rules(t, "id:1"), []Ref{refLocal}, []string{"rule of github"}},
		"group at github":        {rules(t, "group:admins"), []Ref{refGitHub}, []string{"rule of oidc and local"}},
		"local without local":    {rules(t, "local:bob"), []Ref{refGitHub}, []string{"rule of local"}},
		"unqualified":            {rules(t, "user:mona"), []Ref{refSSO, refGitHub}, []string{"write github/user:mona"}},
		"unqualified mail":       {rules(t, "email:a@b"), []Ref{refLocal, refGitHub}, []string{"write local/email:a@b"}},
		"unknown qualifier":      {rules(t, "ghe/user:mona"), []Ref{refGitHub}, []string{`no upstream is named "ghe"`, "configured: github"}},
		"qualifier is exact":     {rules(t, "GitHub/user:mona"), []Ref{refGitHub}, []string{`no upstream is named "GitHub"`}},
		"qualified wrong kind":   {rules(t, "local/user:mona"), []Ref{refLocal, refGitHub}, []string{`upstream "local" is local, and user is a rule of github`}},
		"qualified unknown any":  {rules(t, "x/any"), []Ref{refGitHub}, []string{`no upstream is named "x"`}},
		"same name twice":        {rules(t, "any"), []Ref{refGitHub, refGitHub}, []string{`two upstreams are named "github"`}},
		"unknown kind":           {rules(t, "any"), []Ref{{Name: "x", Kind: "saml"}}, []string{`unknown kind "saml"`}},
		"upstream without name":  {rules(t, "any"), []Ref{{Kind: identity.KindGitHub}}, []string{"cannot be the name"}},
		"upstream with a colon":  {rules(t, "any"), []Ref{{Name: "a:b", Kind: identity.KindLocal}}, []string{"cannot be the name"}},
		"zero rule":              {[]Rule{{}}, []Ref{refGitHub}, []string{"no type"}},
		"rule with made-up type": {[]Rule{{Type: "role", Value: "x"}}, []Ref{refGitHub}, []string{"unknown type"}},
		"org that is a team":     {[]Rule{{Type: TypeOrg, Value: "acme/ops"}}, []Ref{refGitHub}, []string{"names a team"}},
		"any with value":         {[]Rule{{Type: TypeAny, Value: "x"}}, []Ref{refGitHub}, []string{"takes no value"}},
		"empty value":            {[]Rule{{Type: TypeOrg}}, []Ref{refGitHub}, []string{"needs a value"}},
		"all mistakes together": {
			rules(t, "local:bob", "ghe/org:acme", "org:fine"),
			[]Ref{refGitHub, {Name: "x", Kind: "saml"}},
			[]string{`unknown kind "saml"`, `allow "local:bob"`, `allow "ghe/org:acme"`, "write github/org:fine"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := New(tc.rules, tc.upstreams)
			if err == nil {
				t.Fatal("accepted")
			}
			if p != nil {
				t.Error("a policy was returned with the error")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error does not say %q:\n%v", want, err)
				}
			}
		})
	}
}

func TestNeeds(t *testing.T) {
	t.Parallel()
	two := []Ref{refGitHub, refGHE, refLocal}
	for name, tc := range map[string]struct {
		policy   *Policy
		upstream string
		want     Needs
	}{
		"nil":           {nil, "github", Needs{}},
		"zero":          {&Policy{}, "github", Needs{}},
		"any":           {mustNew(t, []Ref{refGitHub}, "any"), "github", Needs{}},
		"user":          {mustNew(t, []Ref{refGitHub}, "user:mona", "email:a@b"), "github", Needs{}},
		"org":           {mustNew(t, []Ref{refGitHub}, "org:acme"), "github", Needs{Orgs: true}},
		"team":          {mustNew(t, []Ref{refGitHub}, "team:acme/ops"), "github", Needs{Teams: true}},
		"both":          {mustNew(t, []Ref{refGitHub}, "org:a", "team:b/c"), "github", Needs{Orgs: true, Teams: true}},
		"named":         {mustNew(t, []Ref{refGHE}, "org:a"), "ghe", Needs{Orgs: true}},
		"other's rules": {mustNew(t, two, "ghe/org:a", "github/team:a/b"), "github", Needs{Teams: true}},
		"not ours":      {mustNew(t, two, "ghe/org:a"), "local", Needs{}},
		"unknown":       {mustNew(t, two, "ghe/org:a"), "nobody", Needs{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, tc.policy.Needs(tc.upstream)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNeedsUnion(t *testing.T) {
	t.Parallel()
	for _, a := range []Needs{{}, {Orgs: true}, {Teams: true}, {Orgs: true, Teams: true}} {
		for _, b := range []Needs{{}, {Orgs: true}, {Teams: true}, {Orgs: true, Teams: true}} {
			want := Needs{Orgs: a.Orgs || b.Orgs, Teams: a.Teams || b.Teams}
			if got := a.Union(b); got != want {
				t.Errorf("%+v ∪ %+v = %+v", a, b, got)
			}
		}
	}
}

// TestNewKeepsItsOwnRules holds that a policy cannot be widened afterwards
// through the slice it was built from.
func TestNewKeepsItsOwnRules(t *testing.T) {
	t.Parallel()
	list := rules(t, "user:octocat")
	p, err := New(list, []Ref{refGitHub})
	if err != nil {
		t.Fatal(err)
	}
	list[0] = Rule{Type: TypeAny}
	if p.Allows(mallory) {
		t.Error("the caller's slice is the policy's")
	}
}
