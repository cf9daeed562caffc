// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"context"
	"log/slog"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// facts are claims about one user, in the order in which they count: the id_token
// before the userinfo. What one does not say, the next may.
type facts struct {
	o       *OIDC
	sources []object
}

func (o *OIDC) facts(sources ...object) *facts {
	f := &facts{o: o}
	for _, claims := range sources {
		if claims != nil {
			f.sources = append(f.sources, claims)
		}
	}
	return f
}

// complete reports whether asking further cannot tell more.
func (f *facts) complete() bool {
	return f.login() != "" && f.first("name") != "" && f.hasAddress() && f.groups().state != groupsMissing
}

// first is what the first source says that has such a claim.
func (f *facts) first(name string) string {
	for _, claims := range f.sources {
		if s, ok := claims.text(name); ok && text(s) != "" {
			return text(s)
		}
	}
	return ""
}

// login is the name to show. Where a provider has none, as Google, it is the
// verified address: the part before the @ would be the same for several people.
func (f *facts) login() string {
	if login := f.first("preferred_username"); login != "" {
		return login
	}
	if address, verified := f.address(); verified {
		return address
	}
	return ""
}

// address is the user's e-mail address, and whether the provider vouches for it:
// some source says literally true, and of this very address.
func (f *facts) address() (address string, verified bool) {
	for _, claims := range f.sources {
		s, ok := claims.text("email")
		if !ok || !isAddress(s) {
			continue
		}
		if address == "" {
			address = s
		}
		if s == address && claims.isTrue("email_verified") {
			return address, true
		}
	}
	return address, false
}

// hasAddress reports that some source says of an address whether it is verified.
func (f *facts) hasAddress() bool {
	for _, claims := range f.sources {
		if claims.has("email") && claims.has("email_verified") {
			return true
		}
	}
	return false
}

// groups is what the first source says that says anything about groups.
func (f *facts) groups() groupFacts {
	dropped := 0
	for _, claims := range f.sources {
		found := readGroups(claims, f.o.groupsClaim)
		if found.state != groupsMissing {
			return found
		}
		dropped += found.dropped
	}
	return groupFacts{dropped: dropped}
}

func (f *facts) identity(subject string) identity.Identity {
	id := identity.Identity{
		Upstream: f.o.name,
		Kind:     identity.KindOIDC,
		ID:       subject,
		Login:    f.login(),
		Name:     f.first("name"),
		Groups:   f.groups().names,
	}
	id.Email, id.EmailVerified = f.address()
	return id
}

// hints say what the facts lack, for a person whom the rules do not admit.
func (f *facts) hints() []upstream.Hint {
	var hints []upstream.Hint
	switch f.groups().state {
	case groupsListed:
	case groupsElsewhere:
		hints = append(hints, upstream.Hint{Text: f.o.Label() + " did not list your groups, because you are in too many. " +
			"Its administrator can limit the list to those that matter here."})
	case groupsMissing:
		if f.o.wantsGroups {
			hints = append(hints, upstream.Hint{Text: f.o.Label() + " did not say which groups you are in. " +
				"Its administrator can have that added."})
		}
	}
	if address, verified := f.address(); address != "" && !verified {
		hints = append(hints, upstream.Hint{Text: f.o.Label() + " does not vouch for your e-mail address, so it counts for nothing here."})
	}
	return hints
}

// note tells the operator what of the user's groups does not count. It names no
// user and no group.
func (f *facts) note(ctx context.Context) {
	g := f.groups()
	claim := slog.String("groups_claim", f.o.groupsClaim)
	switch {
	case g.state == groupsElsewhere:
		f.o.logger.WarnContext(ctx, "the provider did not list a user's groups, because they are too many; none of them count", claim)
	case g.dropped > 0:
		f.o.logger.WarnContext(ctx, "ignored groups of a user that are no text, or too long", claim, slog.Int("ignored", g.dropped))
	case g.state == groupsMissing && f.o.wantsGroups:
		f.o.logger.WarnContext(ctx, "the provider sends no claim with the user's groups", claim)
	}
}
