// SPDX-License-Identifier: Apache-2.0

package github

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
)

// maxAncestors bounds how many teams are looked up to learn who is above them.
const maxAncestors = 20

// teams returns "org/team" of every team the user was put into and of every team
// above those: GitHub counts a team's members into its parent, with all that the
// parent may do, but lists only where a person was put, and only the next parent.
// Cut says that there may be more above what was found.
func (s *session) teams(ctx context.Context) (groups []string, sso ssoHeader, cut bool, err error) {
	var direct []team
	err = each(ctx, s, s.firstPage("/user/teams", nil), decodeTeams, func(p teamPage, h headers) bool {
		sso = sso.join(parseSSO(h.sso))
		direct = append(direct, p.teams...)
		return false
	})
	if err != nil {
		return nil, ssoHeader{}, false, err
	}
	c := newClimb(func(t team) (team, error) { return s.team(ctx, t) })
	if err := c.all(direct); err != nil {
		return nil, ssoHeader{}, false, err
	}
	return c.groups(), sso, c.cut, nil
}

// climb goes up from teams to those above them.
type climb struct {
	// lookup gets a team with its parent.
	lookup func(team) (team, error)
	// known are teams whose parent is known, above those of which only the name is.
	known, above map[int64]team
	lookups      int
	cut          bool
}

func newClimb(lookup func(team) (team, error)) *climb {
	return &climb{lookup: lookup, known: make(map[int64]team), above: make(map[int64]team)}
}

// all goes up level by level, in an order that depends on the teams only: what
// is left out at the bound has to be the same every time.
func (c *climb) all(level []team) error {
	for len(level) > 0 {
		for _, t := range level {
			c.known[t.id] = t
			delete(c.above, t.id)
		}
		for _, t := range level {
			if p := t.parent; p != nil {
				if _, seen := c.known[p.id]; !seen {
					c.above[p.id] = *p
				}
			}
		}
		var err error
		if level, err = c.next(); err != nil {
			return err
		}
	}
	return nil
}

// next looks up what is above the teams found so far. A team that was known
// before never comes again, so that even a circle ends.
func (c *climb) next() ([]team, error) {
	open := slices.SortedFunc(maps.Values(c.above), func(a, b team) int { return cmp.Compare(a.id, b.id) })
	var found []team
	for _, t := range open {
		if c.lookups++; c.lookups > maxAncestors {
			c.cut = true
			return nil, nil
		}
		full, err := c.lookup(t)
		switch {
		case errors.Is(err, errHidden):
			c.cut = true
			c.known[t.id] = t // not again
			delete(c.above, t.id)
		case err != nil:
			return nil, err
		default:
			found = append(found, full)
		}
	}
	return found, nil
}

func (c *climb) groups() []string {
	var groups []string
	for _, teams := range []map[int64]team{c.known, c.above} {
		for _, t := range teams {
			groups = append(groups, t.group())
		}
	}
	return groups
}

var errHidden = errors.New("team is not shown, or not the one that was asked for")

// team asks for one team. That it is not shown, or that another one has its
// name by now, proves nothing about those above it.
func (s *session) team(ctx context.Context, t team) (team, error) {
	a, err := fetch(ctx, s, s.endpoint("orgs", t.org, "teams", t.slug), decodeTeam, false)
	if isGone(err) || hasKind(err, saysForbidden) {
		return team{}, errHidden
	}
	if err != nil {
		return team{}, err
	}
	if a.value.id != t.id || a.value.org != t.org {
		return team{}, errHidden
	}
	return a.value, nil
}
