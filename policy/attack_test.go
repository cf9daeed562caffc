// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"testing"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
)

// TestAttackRecycledLogin: octocat renamed the account, somebody else registered
// the login that became free. A rule by id is not fooled; a rule by login is,
// which is what it says and why the documentation prefers id.
func TestAttackRecycledLogin(t *testing.T) {
	t.Parallel()
	taker := identity.Identity{Upstream: "github", Kind: identity.KindGitHub, ID: "666", Login: "octocat"}
	renamed := as(func(id *identity.Identity) { id.Login = "octocat-old" })
	byID := mustNew(t, []Ref{refGitHub}, "id:583231")
	if byID.Allows(taker) {
		t.Error("the taker of the login passes for its former owner")
	}
	if !byID.Allows(renamed) {
		t.Error("renaming locked the owner out")
	}
	// A login that looks like somebody's id is a login.
	if byID.Allows(identity.Identity{Upstream: "github", Kind: identity.KindGitHub, ID: "666", Login: "583231"}) {
		t.Error("a login passes for an id")
	}
}

// TestAttackUnverifiedEmail: anybody can type anybody's address into a profile.
func TestAttackUnverifiedEmail(t *testing.T) {
	t.Parallel()
	claimed := as(func(id *identity.Identity) { id.EmailVerified = false })
	for _, rule := range []string{"email:octocat@acme.com", "domain:acme.com"} {
		if mustNew(t, []Ref{refGitHub}, rule).Allows(claimed) {
			t.Errorf("%s is satisfied by an address nobody verified", rule)
		}
	}
}

// TestAttackLookalikeAddresses: addresses that end in, begin with or resemble
// the allowed domain, or are taken apart differently by different readers.
func TestAttackLookalikeAddresses(t *testing.T) {
	t.Parallel()
	p := mustNew(t, []Ref{refGitHub}, "domain:acme.com", "email:boss@acme.com")
	for _, address := range []string{
		"mallory@evil-acme.com",
		"mallory@evil.acme.com",
		"mallory@acme.com.evil.com",
		"mallory@acme.com.",
		"mallory@.acme.com",
		"mallory@acme.comm",
		"mallory@acme.co",
		"mallory@acme.com@evil.com",
		"mallory@evil.com@acme.com",
		"mallory%acme.com@evil.com",
		"acme.com",
		"@acme.com",
		"mallory@",
		"",
		"mallory@acme.com\x00.evil.com",
		"mallory@evil.com\x00@acme.com",
		"mallory@evil.com\n@acme.com",
		"mallory @acme.com",
		"mallory@acme.com ",
		"mallory@аcme.com",        // Cyrillic а
		"mallory@acme。com",        // ideographic full stop
		"mallory@xn--cme-5cd.com", // punycode of the Cyrillic one
		"mallory@ACMＥ.COM",        // full-width E
		"boss@acme.com,mallory@evil.com",
		"bo\u017fs@acme.org", // long s
	} {
		id := as(func(id *identity.Identity) { id.Email = address })
		if p.Allows(id) {
			t.Errorf("%q passes for an address at acme.com", address)
		}
	}
	quoted := as(func(id *identity.Identity) { id.Email = `"odd@but"@acme.com` })
	if !p.Allows(quoted) {
		t.Error("a quoted local part is an address of its domain")
	}
}

// TestAttackUnicodeCaseFolds: the Kelvin sign lower-cases to k, the long s
// upper-cases to S, the dotless i to I. None of them is the letter.
func TestAttackUnicodeCaseFolds(t *testing.T) {
	t.Parallel()
	p := mustNew(t, []Ref{refGitHub}, "user:kiss", "org:kiss", "team:kiss/kiss", "email:kiss@kiss.com", "domain:kiss.com")
	for _, s := range []string{"\u212aiss", "ki\u017fs", "k\u0131ss", "kis\u017f", "k\u0130ss", "kiss\u0301", "ＫISS"} {
		id := identity.Identity{
			Upstream: "github", Kind: identity.KindGitHub, ID: "666", Login: s,
			Email: s + "@" + s + ".com", EmailVerified: true, Groups: []string{s, s + "/" + s, "kiss/" + s, s + "/kiss"},
		}
		if p.Allows(id) {
			t.Errorf("%q passes for kiss", s)
		}
	}
}

// TestAttackOrgThatIsATeam: "acme" and "acme/…" are different things, whatever
// an organization, a team or a group may call itself.
func TestAttackOrgThatIsATeam(t *testing.T) {
	t.Parallel()
	only := func(groups ...string) identity.Identity {
		return identity.Identity{Upstream: "github", Kind: identity.KindGitHub, ID: "666", Groups: groups}
	}
	for name, tc := range map[string]struct {
		rule string
		id   identity.Identity
	}{
		"team member who is not in the org list": {"org:acme", only("acme/platform")},
		"org member who is not in the team":      {"team:acme/platform", only("acme")},
		"team of the same name elsewhere":        {"team:acme/platform", only("evil/platform", "evil/acme")},
		"trailing slash":                         {"org:acme", only("acme/")},
		"empty team":                             {"team:acme/platform", only("acme/", "/platform")},
		"deeper":                                 {"team:acme/platform", only("acme/platform/x", "x/acme/platform")},
		"joined by a comma":                      {"org:acme", only("evil,acme", "acme,evil")},
		"padded":                                 {"org:acme", only(" acme", "acme ", "acme\x00", "acme\n")},
		"prefix":                                 {"org:acme", only("acme-evil", "evil-acme", "acm")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if mustNew(t, []Ref{refGitHub}, tc.rule).Allows(tc.id) {
				t.Errorf("%s is satisfied by %q", tc.rule, tc.id.Groups)
			}
		})
	}
}

// TestAttackOrgNamedAny: mallory owns the organizations "any" and "all", and the
// team "any/any". That makes nobody anybody.
func TestAttackOrgNamedAny(t *testing.T) {
	t.Parallel()
	member := as(func(id *identity.Identity) { id.Login, id.Groups = "any", []string{"any", "all", "*", "any/any"} })
	if mustNew(t, []Ref{refGitHub}, "org:acme", "user:mona").Allows(member) {
		t.Error("membership of an organization named any is taken for the rule any")
	}
	if p := mustNew(t, []Ref{refGitHub}, "org:any"); p.Allows(octocat) || !p.Allows(member) {
		t.Error("org:any is not about the organization of that name")
	}
}

// TestAttackSameNameElsewhere: mallory registers the allowed login, organization
// or sub at another configured upstream.
func TestAttackSameNameElsewhere(t *testing.T) {
	t.Parallel()
	p := mustNew(t, []Ref{refGitHub, refGHE, refSSO, refLocal},
		"github/user:octocat", "github/id:583231", "github/org:acme", "local/local:admin", "github/domain:acme.com")
	for _, other := range []Ref{refGHE, refSSO, refLocal, {Name: "gone", Kind: identity.KindGitHub}} {
		id := as(func(id *identity.Identity) { id.Upstream, id.Kind = other.Name, other.Kind })
		if p.Allows(id) {
			t.Errorf("octocat of %s passes for octocat of github", other.Name)
		}
	}
	if p.Allows(identity.Identity{Upstream: "sso", Kind: identity.KindOIDC, ID: "admin", Login: "admin"}) {
		t.Error("an OIDC sub passes for a local name")
	}
}

// TestAttackIdentityOfNoUpstream: an identity whose upstream was removed, whose
// kind changed under the same name, or that names nobody, matches not even any.
func TestAttackIdentityOfNoUpstream(t *testing.T) {
	t.Parallel()
	p := mustNew(t, []Ref{refGitHub}, "any")
	for name, id := range map[string]identity.Identity{
		"zero":           {},
		"removed":        as(func(id *identity.Identity) { id.Upstream = "old" }),
		"no upstream":    as(func(id *identity.Identity) { id.Upstream = "" }),
		"kind changed":   as(func(id *identity.Identity) { id.Kind = identity.KindOIDC }),
		"no kind":        as(func(id *identity.Identity) { id.Kind = "" }),
		"no id":          as(func(id *identity.Identity) { id.ID = "" }),
		"name with case": as(func(id *identity.Identity) { id.Upstream = "GitHub" }),
	} {
		if p.Allows(id) {
			t.Errorf("%s: allowed", name)
		}
	}
}

// TestAttackEmptyAttributes: a user without login, address or groups must not
// meet a rule half-way.
func TestAttackEmptyAttributes(t *testing.T) {
	t.Parallel()
	p := mustNew(t, []Ref{refGitHub}, "user:x", "org:x", "team:x/y", "email:x@y", "domain:y")
	id := identity.Identity{Upstream: "github", Kind: identity.KindGitHub, ID: "1", EmailVerified: true, Groups: []string{"", "/"}}
	if p.Allows(id) {
		t.Error("nothing is taken for something")
	}
}

// FuzzAllowsFoldsOnlyASCII holds that a login is allowed exactly if lower-casing
// A to Z makes it the one in the rule.
func FuzzAllowsFoldsOnlyASCII(f *testing.F) {
	for _, s := range []string{"kiss", "KISS", "\u212aiss", "ki\u017fs", "kiss\x00", ""} {
		f.Add(s)
	}
	p, err := New([]Rule{{Type: TypeUser, Value: "Kiss"}}, []Ref{refGitHub})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, login string) {
		want := len(login) == 4
		for i := range len(login) {
			want = want && (login[i] == "kiss"[i%4] || login[i] == "KISS"[i%4])
		}
		id := identity.Identity{Upstream: "github", Kind: identity.KindGitHub, ID: "1", Login: login}
		if got := p.Allows(id); got != want {
			t.Errorf("Allows(%q) = %v, want %v", login, got, want)
		}
	})
}
