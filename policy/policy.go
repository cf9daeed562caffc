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
	"strings"

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

// kindsOf lists the kinds of upstream that can satisfy a type of rule.
var kindsOf = map[string][]string{
	TypeAny:    {identity.KindGitHub, identity.KindOIDC, identity.KindLocal},
	TypeUser:   {identity.KindGitHub},
	TypeID:     {identity.KindGitHub},
	TypeOrg:    {identity.KindGitHub},
	TypeTeam:   {identity.KindGitHub},
	TypeEmail:  {identity.KindGitHub, identity.KindOIDC, identity.KindLocal},
	TypeDomain: {identity.KindGitHub, identity.KindOIDC, identity.KindLocal},
	TypeGroup:  {identity.KindOIDC, identity.KindLocal},
	TypeLocal:  {identity.KindLocal},
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

func checkUpstreams(upstreams []Ref) (kinds map[string]string, errs []error) {
	kinds = make(map[string]string, len(upstreams))
	if len(upstreams) == 0 {
		errs = append(errs, errors.New("no upstream is configured: nobody could sign in; add github, oidc or local"))
	}
	for _, u := range upstreams {
		if _, twice := kinds[u.Name]; twice {
			errs = append(errs, fmt.Errorf("two upstreams are named %q", u.Name))
		}
		if !validUpstreamName(u.Name) {
			errs = append(errs, fmt.Errorf("%q cannot be the name of an upstream (letters, digits, -, _ and .)", u.Name))
		}
		if !slices.Contains(kindsOf[TypeAny], u.Kind) {
			errs = append(errs, fmt.Errorf("upstream %q is of unknown kind %q", u.Name, u.Kind))
		}
		kinds[u.Name] = u.Kind
	}
	return kinds, errs
}

// bind returns the rule with its upstream filled in.
func bind(r Rule, upstreams []Ref, kinds map[string]string) (Rule, error) {
	if err := r.check(); err != nil {
		return Rule{}, err
	}
	if r.Upstream != "" {
		kind, ok := kinds[r.Upstream]
		if !ok {
			return Rule{}, fmt.Errorf("no upstream is named %q; configured: %s", r.Upstream, names(upstreams))
		}
		if !slices.Contains(kindsOf[r.Type], kind) {
			return Rule{}, fmt.Errorf("upstream %q is %s, and %s is a rule of %s",
				r.Upstream, kind, r.Type, strings.Join(kindsOf[r.Type], " and "))
		}
		return r, nil
	}
	if r.Type == TypeAny {
		return r, nil
	}
	fitting := slices.DeleteFunc(slices.Clone(upstreams), func(u Ref) bool {
		return !slices.Contains(kindsOf[r.Type], u.Kind)
	})
	switch {
	case len(fitting) == 0:
		return Rule{}, fmt.Errorf("no configured upstream can satisfy it: %s is a rule of %s, configured: %s",
			r.Type, strings.Join(kindsOf[r.Type], " and "), names(upstreams))
	case len(upstreams) > 1:
		return Rule{}, fmt.Errorf("there are several upstreams, and the same name means somebody else at each; write %s/%s",
			fitting[0].Name, r)
	}
	r.Upstream = upstreams[0].Name
	return r, nil
}

func names(upstreams []Ref) string {
	if len(upstreams) == 0 {
		return "none"
	}
	list := make([]string, len(upstreams))
	for i, u := range upstreams {
		list[i] = u.Name
	}
	return strings.Join(list, ", ")
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
		about := r.Upstream == id.Upstream || r.Upstream == "" && r.Type == TypeAny
		return about && slices.Contains(kindsOf[r.Type], id.Kind) && r.matches(id)
	})
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
