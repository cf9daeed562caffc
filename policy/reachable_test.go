// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
)

func TestReachable(t *testing.T) {
	t.Parallel()
	all := []Ref{refGitHub, refSSO, refLocal}
	for name, tc := range map[string]struct {
		upstreams []Ref
		rules     []string
		want      []string
	}{
		"any reaches all":                 {all, []string{"any"}, []string{"github", "sso", "local"}},
		"any of one":                      {all, []string{"sso/any"}, []string{"sso"}},
		"user of one":                     {all, []string{"github/user:octocat"}, []string{"github"}},
		"one rule each for two":           {all, []string{"github/org:acme", "local/group:family"}, []string{"github", "local"}},
		"two rules for one":               {all, []string{"sso/group:ops", "sso/email:a@b.example"}, []string{"sso"}},
		"any besides others":              {all, []string{"github/user:octocat", "any"}, []string{"github", "sso", "local"}},
		"unqualified, where there is one": {[]Ref{refLocal}, []string{"group:family"}, []string{"local"}},
		"e-mail, where there is one":      {[]Ref{refSSO}, []string{"domain:acme.com"}, []string{"sso"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := mustNew(t, tc.upstreams, tc.rules...)
			var got []string
			for _, u := range tc.upstreams {
				if p.Reachable(u.Name) {
					got = append(got, u.Name)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("reachable (-want +got):\n%s", diff)
			}
			for _, nobody := range []string{"", "ghe", "Github", "any"} {
				if p.Reachable(nobody) {
					t.Errorf("%q is not configured and reachable", nobody)
				}
			}
		})
	}
}

func TestNobodyReachesAnEmptyPolicy(t *testing.T) {
	t.Parallel()
	if (*Policy)(nil).Reachable("github") || (&Policy{}).Reachable("github") {
		t.Error("a policy that was not built by New can be reached")
	}
}

// TestWhoIsAllowedCanGetThere: what is not offered would otherwise lock somebody out
// whom a rule admits.
func TestWhoIsAllowedCanGetThere(t *testing.T) {
	t.Parallel()
	refs := []Ref{refGitHub, refSSO, refLocal}
	people := []identity.Identity{
		octocat, mallory,
		{Upstream: "sso", Kind: identity.KindOIDC, ID: "1", Email: "a@acme.com", EmailVerified: true, Groups: []string{"ops"}},
		{Upstream: "local", Kind: identity.KindLocal, ID: "bob", Login: "bob", Groups: []string{"ops"}},
		{Upstream: "elsewhere", Kind: identity.KindGitHub, ID: "583231", Login: "octocat"},
		{Upstream: "sso", Kind: identity.KindGitHub, ID: "583231", Login: "octocat"},
	}
	rules := []string{
		"any", "github/any", "github/user:octocat", "github/id:666", "github/org:acme", "github/team:acme/platform",
		"sso/group:ops", "local/group:ops", "sso/domain:acme.com", "local/local:bob",
	}
	for _, rule := range rules {
		for _, other := range rules {
			p := mustNew(t, refs, rule, other)
			for _, id := range people {
				if p.Allows(id) && !p.Reachable(id.Upstream) {
					t.Errorf("%s, %s: %s is allowed and cannot sign in", rule, other, id.Subject())
				}
			}
			if !slices.ContainsFunc(refs, func(u Ref) bool { return p.Reachable(u.Name) }) {
				t.Errorf("%s, %s: nobody can sign in", rule, other)
			}
		}
	}
}
