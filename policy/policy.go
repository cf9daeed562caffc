// SPDX-License-Identifier: Apache-2.0

// Package policy decides who may use a resource. It is pure: what it needs to
// know about a person was put into the identity by the upstream.
//
// Everything fails closed. Nobody is allowed but by a rule that matches, and a
// Policy that was not built by New allows nobody.
package policy

import (
	"errors"
	"fmt"
	"slices"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
)

// Ref is a configured upstream as far as rules are concerned.
type Ref struct {
	// Name is the configured name, identity.Identity's Upstream.
	Name string
	// Kind is one of the identity.Kind constants.
	Kind string
}

// Policy is a list of rules, any one of which suffices. It is immutable and
// safe for concurrent use; the zero value and nil allow nobody.
type Policy struct {
	rules []Rule
	// kinds maps configured upstreams to their kind. An identity of an upstream
	// that the configuration no longer has matches no rule, not even any.
	kinds map[string]string
}

// Needs is what an upstream must look up because rules ask for it. Groups cost
// API calls and a permission the user has to give, so nothing is looked up on
// spec.
type Needs struct {
	// Orgs asks for GitHub organization memberships.
	Orgs bool
	// Teams asks for GitHub team memberships.
	Teams bool
}

// Union is what satisfies both.
func (n Needs) Union(o Needs) Needs {
	return Needs{Orgs: n.Orgs || o.Orgs, Teams: n.Teams || o.Teams}
}

// New checks rules against the configured upstreams and binds each to the one
// it is about. It reports all mistakes together. An empty list is a mistake:
// letting everybody in has to be written out as any.
func New(rules []Rule, upstreams []Ref) (*Policy, error) {
	kinds, errs := checkUpstreams(upstreams)
	if len(rules) == 0 {
		errs = append(errs, errors.New("no allow rule: nobody could sign in; "+
			"add for example \"allow org:acme\", or \"allow any\" for everybody who can sign in"))
	}
	p := &Policy{kinds: kinds}
	for _, r := range rules {
		bound, err := bind(r, upstreams, kinds)
		if err != nil {
			errs = append(errs, fmt.Errorf("allow %q: %w", r.String(), err))
			continue
		}
		p.rules = append(p.rules, bound)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return p, nil
}

// Allows says whether any rule admits the person.
func (p *Policy) Allows(id identity.Identity) bool {
	if p == nil || id.ID == "" {
		return false
	}
	if kind, configured := p.kinds[id.Upstream]; !configured || kind != id.Kind {
		return false
	}
	return slices.ContainsFunc(p.rules, func(r Rule) bool {
		return r.about(id.Upstream, id.Kind) && r.matches(id)
	})
}

// Reachable says whether signing in through an upstream can lead to being allowed:
// whether there is a rule that somebody there could match. It is about what to
// offer; who is allowed is for Allows to say.
func (p *Policy) Reachable(upstream string) bool {
	if p == nil {
		return false
	}
	kind, configured := p.kinds[upstream]
	return configured && slices.ContainsFunc(p.rules, func(r Rule) bool { return r.about(upstream, kind) })
}

// Needs is what the rules about one upstream need looked up there.
func (p *Policy) Needs(upstream string) Needs {
	var n Needs
	if p == nil {
		return n
	}
	for _, r := range p.rules {
		if r.Upstream != upstream {
			continue
		}
		n.Orgs = n.Orgs || r.Type == TypeOrg
		n.Teams = n.Teams || r.Type == TypeTeam
	}
	return n
}
