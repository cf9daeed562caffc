// SPDX-License-Identifier: Apache-2.0

package testidp

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
)

// orgRule is why an organization does not show up although the user is in it.
type orgRule int

const (
	orgOpen orgRule = iota
	// orgRestricted has OAuth app access restrictions and did not approve this
	// app.
	orgRestricted
	// orgSAML wants a SAML sign-in first.
	orgSAML
)

// orgs is what is known about organizations and teams. Names are lower case.
type orgs struct {
	rules map[string]orgRule
	// parents are "org/slug" by "org/slug".
	parents map[string]string
	// ids are those of names that something was renamed to or from.
	ids map[string]int64
}

func newOrgs() orgs {
	return orgs{rules: make(map[string]orgRule), parents: make(map[string]string), ids: make(map[string]int64)}
}

// id is the numeric id of an organization or a team, which survives renaming.
func (o orgs) id(name string) int64 {
	if id, ok := o.ids[strings.ToLower(name)]; ok {
		return id
	}
	return idOf(name)
}

func (o orgs) rule(org string) orgRule { return o.rules[strings.ToLower(org)] }

// idOf makes numbers of names.
func idOf(name string) int64 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(strings.ToLower(name)))
	return int64(h.Sum32())
}

// rename moves what is keyed by a name. Whoever takes the old one is another.
func (o orgs) rename(from, to string) {
	from, to = strings.ToLower(from), strings.ToLower(to)
	if from == to {
		return
	}
	o.ids[to] = o.id(from)
	o.ids[from] = idOf(from + "#again")
	o.rules[to] = o.rules[from]
	delete(o.rules, from)
	for child, parent := range o.parents {
		if parent == from {
			o.parents[child] = to
		}
	}
	if parent, ok := o.parents[from]; ok {
		o.parents[to] = parent
		delete(o.parents, from)
	}
}

// RestrictOrg makes an organization keep this app out: it is left out of lists.
func (g *GitHub) RestrictOrg(org string) { g.setOrgRule(org, orgRestricted) }

// RequireSAML makes an organization ask for a SAML sign-in: it is left out of
// lists, and the X-GitHub-SSO header says so.
func (g *GitHub) RequireSAML(org string) { g.setOrgRule(org, orgSAML) }

// OpenOrg ends both.
func (g *GitHub) OpenOrg(org string) { g.setOrgRule(org, orgOpen) }

func (g *GitHub) setOrgRule(org string, rule orgRule) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.orgs.rules[strings.ToLower(org)] = rule
}

// SetParent puts a team below another one of the same organization; "" takes it
// out again. Who is in the child counts as in the parent, without being listed.
func (g *GitHub) SetParent(child, parent string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	child, parent = strings.ToLower(child), strings.ToLower(parent)
	if parent == "" {
		delete(g.orgs.parents, child)
		return
	}
	if orgOf(child) != orgOf(parent) {
		panic(fmt.Sprintf("testidp: %s cannot be below %s", child, parent))
	}
	g.orgs.parents[child] = parent
}

func orgOf(team string) string {
	org, _, _ := strings.Cut(team, "/")
	return org
}

// RenameOrg gives an organization another name. The old one becomes free for
// somebody else, who gets another id.
func (g *GitHub) RenameOrg(from, to string) {
	g.renameEverywhere(func(name string) string {
		switch org, team, isTeam := strings.Cut(name, "/"); {
		case !strings.EqualFold(org, from):
			return name
		case isTeam:
			return to + "/" + team
		}
		return to
	})
}

// RenameTeam gives "org/slug" another slug.
func (g *GitHub) RenameTeam(from, to string) {
	g.renameEverywhere(func(name string) string {
		if strings.EqualFold(name, from) {
			return to
		}
		return name
	})
}

func (g *GitHub) renameEverywhere(renamed func(string) string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := map[string]bool{}
	for _, u := range g.users {
		for _, list := range [][]string{u.Orgs, u.Pending, u.Billing, u.Teams} {
			for i, name := range list {
				all[strings.ToLower(name)], all[strings.ToLower(orgOf(name))] = true, true
				list[i] = renamed(name)
			}
		}
	}
	for child, parent := range g.orgs.parents {
		all[child], all[parent] = true, true
	}
	for name := range all {
		g.orgs.rename(name, renamed(name))
	}
}

// exists is whether anybody is in the organization. The caller holds mu.
func (g *GitHub) exists(org string) bool {
	for _, u := range g.users {
		if u.isIn(org) || slices.ContainsFunc(slices.Concat(u.Pending, u.Billing), equalFold(org)) {
			return true
		}
	}
	return false
}

func (u *User) isIn(org string) bool {
	return slices.ContainsFunc(u.Orgs, equalFold(org)) ||
		slices.ContainsFunc(u.Teams, func(team string) bool { return strings.EqualFold(orgOf(team), org) })
}

func equalFold(a string) func(string) bool {
	return func(b string) bool { return strings.EqualFold(a, b) }
}
