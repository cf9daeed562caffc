// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"strings"
)

// Types of rule. The type decides what of an identity is looked at, and which
// kinds of upstream can ever satisfy it.
const (
	// TypeAny admits everybody who can sign in.
	TypeAny = "any"
	// TypeUser is whoever has this GitHub login now. A login that its owner gave up,
	// by renaming or deleting the account, can be registered by anybody, who is then
	// allowed. Write TypeID for a person.
	TypeUser = "user"
	// TypeID is a GitHub account, by its number. GitHub gives no number twice: who
	// takes over the login of an account gets nothing that was allowed by its id, and
	// the account keeps it under any login.
	TypeID = "id"
	// TypeOrg is membership of the GitHub organization that has this name now. An
	// organization that is renamed leaves its name to anybody, as a user does.
	TypeOrg = "org"
	// TypeTeam is membership of a GitHub team, written org/team-slug. It is about the
	// names of now as well, and the slug follows the team's name.
	TypeTeam = "team"
	// TypeEmail is a verified primary e-mail address.
	TypeEmail = "email"
	// TypeDomain is the domain of a verified primary e-mail address.
	TypeDomain = "domain"
	// TypeGroup is a group of an OIDC or local user.
	TypeGroup = "group"
	// TypeLocal is the name of a local user.
	TypeLocal = "local"
)

const acceptedForms = "any, user:<login>, id:<number>, org:<org>, team:<org>/<team>, " +
	"email:<address>, domain:<domain>, group:<group> or local:<name>, " +
	"with <upstream>/ in front where there are several upstreams"

// Rule is one way of being allowed. It is a plain value: ParseRule reads it
// from its written form, New checks it against the configured upstreams.
type Rule struct {
	// Upstream is the configured name of the upstream the rule is about. Empty
	// means the only one, and for TypeAny every one.
	Upstream string
	// Type is one of the Type constants.
	Type string
	// Value is what to look for; empty for TypeAny only.
	Value string
}

// ParseRule reads "type:value" or "any", optionally qualified as in
// "ghe/org:acme". The error names the mistake and what would be accepted.
func ParseRule(s string) (Rule, error) {
	head, value, hasValue := strings.Cut(s, ":")
	r := Rule{Type: head, Value: value}
	if qualifier, typ, qualified := strings.Cut(head, "/"); qualified {
		r.Upstream, r.Type = qualifier, typ
		if !validUpstreamName(qualifier) {
			return Rule{}, fmt.Errorf("allow %q: %q is not a name of an upstream", s, qualifier)
		}
	}
	if hasValue && value == "" {
		return Rule{}, fmt.Errorf("allow %q: nothing after the colon", s)
	}
	if err := r.check(); err != nil {
		return Rule{}, fmt.Errorf("allow %q: %w", s, err)
	}
	return r, nil
}

// String is the form ParseRule reads.
func (r Rule) String() string {
	s := r.Type
	if r.Upstream != "" {
		s = r.Upstream + "/" + s
	}
	if r.Value != "" {
		s += ":" + r.Value
	}
	return s
}
