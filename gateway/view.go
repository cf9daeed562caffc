// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/policy"
)

// Principal is who is calling, through which client, for which resource.
type Principal struct {
	Subject  string
	Login    string
	Name     string
	Email    string
	Groups   []string
	ClientID string
	Scope    string
	GrantID  string
	Resource string
}

// view is one policy's verdict on one person's facts, and the header values that
// follow from them. It is made once and reused until either changes: both are
// compared by identity, so a reload or new facts make a new view.
type view struct {
	policy    *policy.Policy
	facts     *identity.Identity
	allowed   bool
	principal *Principal
	// names of the identity headers and their values, which lack the last one, the
	// assertion.
	names  []string
	values []string
	// assertion is the newest signed one, nil until a request needs it. renewing is
	// set while one request signs the next.
	assertion atomic.Pointer[assertion]
	renewing  atomic.Bool
}

// viewFor returns the token's view under this policy.
func (t *liveToken) viewFor(p *policy.Policy, log *slog.Logger) *view {
	facts := t.grant.account.facts.Load()
	if v := t.view.Load(); v != nil && v.policy == p && v.facts == facts {
		return v
	}
	v := newView(t, p, facts, log)
	t.view.Store(v)
	return v
}

func newView(t *liveToken, p *policy.Policy, facts *identity.Identity, log *slog.Logger) *view {
	v := &view{policy: p, facts: facts, allowed: p.Allows(*facts), principal: &Principal{
		Subject: facts.Subject(), Login: facts.Login, Name: facts.Name, Groups: facts.Groups,
		ClientID: t.grant.clientID, Scope: t.scope, GrantID: t.grant.id, Resource: t.resource,
	}}
	if facts.EmailVerified {
		v.principal.Email = facts.Email
	}
	v.add(headerUser, v.principal.Subject, log)
	v.add(headerUsername, v.principal.Login, log)
	v.add(headerEmail, v.principal.Email, log)
	v.add(headerGroups, groupsHeader(facts.Groups, log), log)
	v.add(headerClientID, v.principal.ClientID, log)
	v.add(headerScope, v.principal.Scope, log)
	v.names = append(v.names, headerAssertion) // its value comes with each request
	return v
}

// add keeps a header whose value is visible ASCII; anything else is left out
// rather than altered, so that two different people never look the same.
func (v *view) add(name, value string, log *slog.Logger) {
	switch {
	case value == "":
	case !visibleASCII(value):
		log.Warn("identity header left out, its value is not visible ASCII", "header", name, "length", len(value))
	default:
		v.names = append(v.names, name)
		v.values = append(v.values, value)
	}
}

// maxGroupsHeader keeps the header within what common servers accept.
const maxGroupsHeader = 4096

// groupsHeader joins groups with commas. A group that contains a comma, or
// anything but visible ASCII, would be read as something else and is left out.
func groupsHeader(groups []string, log *slog.Logger) string {
	var b strings.Builder
	left := 0
	for _, g := range groups {
		if g == "" || strings.Contains(g, ",") || !visibleASCII(g) || b.Len()+1+len(g) > maxGroupsHeader {
			left++
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(g)
	}
	if left > 0 {
		log.Warn("groups left out of identity header", "header", headerGroups, "left_out", left, "groups", len(groups))
	}
	return b.String()
}

// visibleASCII allows the space inside, as in display names of groups.
func visibleASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return strings.TrimSpace(s) == s
}
