// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
)

// octocat is who the rules of these tests are about; mallory is nobody.
var (
	octocat = identity.Identity{
		Upstream: "github", Kind: identity.KindGitHub, ID: "583231", Login: "octocat",
		Email: "octocat@acme.com", EmailVerified: true, Groups: []string{"acme", "acme/platform"},
	}
	mallory = identity.Identity{Upstream: "github", Kind: identity.KindGitHub, ID: "666", Login: "mallory"}
)

// as returns octocat with one thing changed.
func as(change func(*identity.Identity)) identity.Identity {
	id := octocat
	id.Groups = append([]string(nil), octocat.Groups...)
	change(&id)
	return id
}

func TestAllows(t *testing.T) {
	t.Parallel()
	for rule, want := range map[string]bool{
		"any":                    true,
		"github/any":             true,
		"user:octocat":           true,
		"user:OctoCat":           true,
		"github/user:octocat":    true,
		"user:octocats":          false,
		"user:octoca":            false,
		"id:583231":              true,
		"id:58323":               false,
		"id:5832311":             false,
		"org:acme":               true,
		"org:ACME":               true,
		"org:acm":                false,
		"org:platform":           false,
		"team:acme/platform":     true,
		"team:Acme/Platform":     true,
		"team:acme/plat":         false,
		"team:other/platform":    false,
		"email:octocat@acme.com": true,
		"email:Octocat@ACME.com": true,
		"email:cat@acme.com":     false,
		"domain:acme.com":        true,
		"domain:ACME.COM":        true,
		"domain:com":             false,
		"domain:me.com":          false,
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			p := mustNew(t, []Ref{refGitHub}, rule)
			if got := p.Allows(octocat); got != want {
				t.Errorf("Allows = %v, want %v", got, want)
			}
		})
	}
}

func TestAllowsElsewhere(t *testing.T) {
	t.Parallel()
	sso := identity.Identity{Upstream: "sso", Kind: identity.KindOIDC, ID: "sub-1", Groups: []string{"Admins", "realm/ops"}}
	bob := identity.Identity{Upstream: "local", Kind: identity.KindLocal, ID: "bob", Login: "bob", Email: "bob@home.example", EmailVerified: true, Groups: []string{"family"}}
	all := []Ref{refGitHub, refSSO, refLocal}
	for name, tc := range map[string]struct {
		rule string
		id   identity.Identity
		want bool
	}{
		"any upstream":             {"any", sso, true},
		"this upstream":            {"sso/any", sso, true},
		"another upstream":         {"github/any", sso, false},
		"group":                    {"sso/group:Admins", sso, true},
		"group with slash":         {"sso/group:realm/ops", sso, true},
		"groups keep their case":   {"sso/group:admins", sso, false},
		"group of another":         {"local/group:Admins", sso, false},
		"local":                    {"local/local:bob", bob, true},
		"local keeps its case":     {"local/local:Bob", bob, false},
		"local group":              {"local/group:family", bob, true},
		"local mail":               {"local/email:bob@home.example", bob, true},
		"local domain":             {"local/domain:home.example", bob, true},
		"mail of another upstream": {"github/email:bob@home.example", bob, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := mustNew(t, all, tc.rule).Allows(tc.id); got != tc.want {
				t.Errorf("%s: Allows = %v, want %v", tc.rule, got, tc.want)
			}
		})
	}
}

// TestAnyOneRuleSuffices holds that rules add up and never take away.
func TestAnyOneRuleSuffices(t *testing.T) {
	t.Parallel()
	p := mustNew(t, []Ref{refGitHub}, "user:nobody", "org:acme", "id:1")
	if !p.Allows(octocat) {
		t.Error("the second of three rules matches, and was not enough")
	}
	if p.Allows(mallory) {
		t.Error("none of three rules matches, and mallory is in")
	}
}

// TestPolicyThatWasNeverBuilt: a configuration path forgets to build the policy,
// or an error was ignored. Nobody gets in.
func TestPolicyThatWasNeverBuilt(t *testing.T) {
	t.Parallel()
	if (*Policy)(nil).Allows(octocat) {
		t.Error("nil policy allows")
	}
	if (&Policy{}).Allows(octocat) || (&Policy{}).Allows(identity.Identity{}) {
		t.Error("zero policy allows")
	}
	if (&Policy{rules: []Rule{{Type: TypeAny}}}).Allows(octocat) {
		t.Error("policy without upstreams allows")
	}
	orgAsTeam := &Policy{
		rules: []Rule{{Upstream: "github", Type: TypeOrg, Value: "acme/platform"}, {Upstream: "github", Type: TypeTeam, Value: "acme"}},
		kinds: map[string]string{"github": identity.KindGitHub},
	}
	if orgAsTeam.Allows(octocat) {
		t.Error("an organization rule is satisfied by a team, or a team rule by an organization")
	}
	if (&Policy{rules: []Rule{{}, {Type: "x"}, {Type: TypeOrg}}, kinds: map[string]string{"github": identity.KindGitHub}}).Allows(octocat) {
		t.Error("rules that New would refuse allow")
	}
}
