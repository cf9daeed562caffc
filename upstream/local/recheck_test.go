// SPDX-License-Identifier: Apache-2.0

package local

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream/upstreamtest"
)

// TestContract: a list has no provider. What happens there happens by loading
// another configuration. Time stands still: with it guesses are given back.
func TestContract(t *testing.T) {
	t.Parallel()
	today := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	upstreamtest.Run(t, upstreamtest.Harness{Start: func(t *testing.T, _ upstreamtest.Config) *upstreamtest.World {
		passwords := [2]string{"correct horse", "battery staple"}
		cfg := Config{Users: []User{
			{Name: "alice", Hash: hashOf(t, passwords[0]), Email: "alice@home.example", Groups: []string{"Family", "Parents"}},
			{Name: "bob", Hash: hashOf(t, passwords[1]), Groups: []string{"Family"}},
		}, Throttle: NewThrottle(func() time.Time { return today })}
		w := &upstreamtest.World{
			Upstream: mustNew(t, cfg),
			People: [2]identity.Identity{
				{Upstream: "local", Kind: "local", ID: "alice", Login: "alice"}, {Upstream: "local", Kind: "local", ID: "bob", Login: "bob"},
			},
			Password: func(who upstreamtest.Person) string { return passwords[who] },
			Secrets:  func() []string { return append(passwords[:], cfg.Users[0].Hash, cfg.Users[1].Hash) },
		}
		w.Remove = func(t *testing.T, who upstreamtest.Person) {
			rest := cfg
			rest.Users = []User{cfg.Users[1-who]}
			w.Upstream = mustNew(t, rest)
		}
		w.Change = func(t *testing.T, who upstreamtest.Person) {
			other := cfg
			other.Users = []User{cfg.Users[0], cfg.Users[1]}
			other.Users[who].Groups, other.Users[who].Email = []string{"Guests"}, "new@home.example"
			w.Upstream = mustNew(t, other)
		}
		return w
	}})
}

// TestCheckSeesTheListOfNow: memberships and address follow the configuration.
func TestCheckSeesTheListOfNow(t *testing.T) {
	t.Parallel()
	last := identity.Identity{
		Upstream: "local", Kind: "local", ID: "bob", Login: "bob",
		Email: "old@home.example", EmailVerified: true, Groups: []string{"Parents"},
	}
	for name, tc := range map[string]struct {
		user User
		want identity.Identity
	}{
		"as the list says": {bob(t), identity.Identity{
			Upstream: "local", Kind: "local", ID: "bob", Login: "bob",
			Email: "bob@home.example", EmailVerified: true, Groups: []string{"Family"},
		}},
		"all taken away": {
			User{Name: "bob", Hash: withCost(10)},
			identity.Identity{Upstream: "local", Kind: "local", ID: "bob", Login: "bob"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := mustNew(t, Config{Users: []User{tc.user}})
			got, err := l.Check(t.Context(), last, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
			if l.NeedsToken() {
				t.Error("needs a token that it never issues")
			}
		})
	}
}

// TestAttackCheckOfSomebodyElse: an identity of another upstream, or of another kind,
// that happens to be named like a user of the list is not that user. It proves
// nothing about the other one either, so it is no revocation.
func TestAttackCheckOfSomebodyElse(t *testing.T) {
	t.Parallel()
	l := mustNew(t, Config{Users: []User{bob(t)}})
	for name, last := range map[string]identity.Identity{
		"another list":    {Upstream: "home", Kind: "local", ID: "bob"},
		"github":          {Upstream: "github", Kind: "github", ID: "bob"},
		"kind of another": {Upstream: "local", Kind: "oidc", ID: "bob"},
		"nobody":          {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := l.Check(t.Context(), last, nil, nil)
			wantRefusal(t, err, upstream.ReasonInvalid)
			if got.ID != "" {
				t.Errorf("identity %+v", got)
			}
		})
	}
}

// TestCheckIsByExactName: "Bob" was taken off the list when "bob" came on it.
func TestCheckIsByExactName(t *testing.T) {
	t.Parallel()
	l := mustNew(t, Config{Users: []User{bob(t)}})
	for _, name := range []string{"Bob", "bob ", "bo", "bobb", strings.Repeat("b", 300)} {
		_, err := l.Check(t.Context(), identity.Identity{Upstream: "local", Kind: "local", ID: name, Login: "bob"}, nil, nil)
		wantRefusal(t, err, upstream.ReasonRevoked)
	}
}
