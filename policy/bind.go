// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
)

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
