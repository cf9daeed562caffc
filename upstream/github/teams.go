// SPDX-License-Identifier: Apache-2.0

package github

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
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
	climb := &climb{session: s, known: make(map[int64]team), above: make(map[int64]team)}
	if err := climb.all(ctx, direct); err != nil {
		return nil, ssoHeader{}, false, err
	}
	for _, t := range climb.known {
		groups = append(groups, t.group())
	}
	for _, t := range climb.above {
		groups = append(groups, t.group())
	}
	return groups, sso, climb.cut, nil
}

// climb goes up from teams to those above them.
type climb struct {
	session *session
	// known are teams whose parent is known, above those of which only the name is.
	known, above map[int64]team
	lookups      int
	cut          bool
}

// all goes up level by level, in an order that depends on the teams only: what
// is left out at the bound has to be the same every time.
func (c *climb) all(ctx context.Context, level []team) error {
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
		if level, err = c.next(ctx); err != nil {
			return err
		}
	}
	return nil
}

// next looks up what is above the teams found so far. A team that was known
// before never comes again, so that even a circle ends.
func (c *climb) next(ctx context.Context) ([]team, error) {
	open := make([]team, 0, len(c.above))
	for _, t := range c.above {
		open = append(open, t)
	}
	slices.SortFunc(open, func(a, b team) int { return cmp.Compare(a.id, b.id) })
	var found []team
	for _, t := range open {
		if c.lookups++; c.lookups > maxAncestors {
			c.cut = true
			return nil, nil
		}
		full, err := c.lookup(ctx, t)
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

var errHidden = errors.New("team is not shown, or not the one that was asked for")

// lookup asks for one team. That it is not shown, or that another one has its
// name by now, proves nothing about those above it.
func (c *climb) lookup(ctx context.Context, t team) (team, error) {
	a, err := fetch(ctx, c.session, c.session.endpoint("orgs", t.org, "teams", t.slug), decodeTeam, false)
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

// unproven refuses to take less than everything for everything.
func unproven(what string) *upstream.Refusal {
	return upstream.Refuse(upstream.ReasonUnavailable, "github: %s, so that a missing group proves nothing", what)
}
