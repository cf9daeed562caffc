// SPDX-License-Identifier: Apache-2.0

package github

import (
	"slices"
	"strings"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

const (
	scopeReadOrg = "read:org"
	scopeEmail   = "user:email"
)

// appTokenPrefix marks user tokens of GitHub Apps. Those have permissions where
// tokens of OAuth apps have scopes, and an empty list of scopes.
const appTokenPrefix = "ghu_"

// scopes is what a token may do as far as GitHub said, in the answer with the
// token and in the answers to it. Where it said both, both have to agree.
type scopes struct {
	app    bool // a GitHub App's token, about which lists of scopes say nothing
	answer *scopeSet
	header *scopeSet
}

func scopesOf(tok *upstream.Token) scopes {
	s := scopes{app: strings.HasPrefix(tok.Access, appTokenPrefix)}
	if tok.Scope != "" {
		set := parseScopes(tok.Scope)
		s.answer = &set
	}
	return s
}

// seen adds X-OAuth-Scopes. Nil is no such header, which is not an empty one.
func (s scopes) seen(header []string) scopes {
	if header != nil {
		set := parseScopes(strings.Join(header, ","))
		s.header = &set
	}
	return s
}

func (s scopes) known() bool { return !s.app && (s.answer != nil || s.header != nil) }

func (s scopes) readOrgs() bool {
	return s.all(func(set scopeSet) bool { return set.hasAny(scopeReadOrg, "write:org", "admin:org") })
}

func (s scopes) readEmail() bool {
	return s.all(func(set scopeSet) bool { return set.hasAny(scopeEmail, "user") })
}

func (s scopes) all(may func(scopeSet) bool) bool {
	return s.known() && (s.answer == nil || may(*s.answer)) && (s.header == nil || may(*s.header))
}

// checkScopes refuses a token that cannot see the memberships rules are about.
// Without it everybody would merely seem to be in no organization.
func (g *GitHub) checkScopes(granted scopes) error {
	if !g.needs.Orgs && !g.needs.Teams || granted.app || granted.readOrgs() {
		return nil
	}
	return upstream.Refuse(upstream.ReasonInsufficientScope,
		"github: allow rules need %s, which is not granted", scopeReadOrg)
}

// scopeSet is a list of scopes. GitHub reports only the widest of scopes that
// include each other.
type scopeSet []string

// parseScopes reads "read:org,user:email" of the token answer and
// "read:org, user:email" of the X-OAuth-Scopes header.
func parseScopes(list string) scopeSet {
	return strings.FieldsFunc(list, func(c rune) bool { return c == ',' || c == ' ' })
}

func (s scopeSet) hasAny(wanted ...string) bool {
	return slices.ContainsFunc(s, func(scope string) bool { return slices.Contains(wanted, scope) })
}
