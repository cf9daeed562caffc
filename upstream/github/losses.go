// SPDX-License-Identifier: Apache-2.0

package github

import (
	"context"
	"slices"
	"strings"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

const (
	// maxLosses bounds how many organizations are asked about one by one. More
	// that are gone at once are taken for lost: nobody is held for what was not asked.
	maxLosses = 15
	// maxDoubts bounds how many teams are, in the same way.
	maxDoubts = 10
)

// confirmLosses looks into every group that was there at the last check and is
// not now. GitHub leaves organizations out of its lists, with status 200, that
// have SAML single sign-on or do not approve this app; neither means that the
// user was removed. And teams above the user's may be more than were looked up;
// those that GitHub still counts the user into are put back. Without an error
// what is missing then is lost.
func (g *GitHub) confirmLosses(ctx context.Context, s *session, last []string, now *findings) error {
	s.calls = 0 // however many the lists took, which users can see to
	missing := g.missing(last, now.identity.Groups)
	orgs := hiddenOrgs(missing, now.identity.Groups)
	for _, org := range orgs[:min(len(orgs), maxLosses)] {
		if err := s.confirmLoss(ctx, org, slices.Contains(missing, org), now.sso); err != nil {
			return err
		}
	}
	if !now.cut {
		return nil
	}
	doubts := slices.DeleteFunc(missing, func(group string) bool {
		org, _, isTeam := strings.Cut(group, "/")
		return !isTeam || slices.Contains(orgs, org)
	})
	return s.resolveDoubts(ctx, doubts, now)
}

// missing are the groups that rules still ask for and that are gone.
func (g *GitHub) missing(last, now []string) []string {
	var gone []string
	for _, group := range last {
		needed := g.needs.Orgs
		if isTeam(group) {
			needed = g.needs.Teams
		}
		if needed && !slices.Contains(now, group) {
			gone = append(gone, group)
		}
	}
	return gone
}

func isTeam(group string) bool { return strings.Contains(group, "/") }

// hiddenOrgs are the organizations of these groups about which GitHub said
// nothing now. A team that is missing from one that GitHub shows is lost.
func hiddenOrgs(missing, now []string) []string {
	var orgs []string
	for _, group := range missing {
		org, _, _ := strings.Cut(group, "/")
		shown := slices.ContainsFunc(now, func(have string) bool {
			haveOrg, _, _ := strings.Cut(have, "/")
			return haveOrg == org
		})
		if !shown || !isTeam(group) {
			orgs = append(orgs, org)
		}
	}
	slices.Sort(orgs)
	return slices.Compact(orgs)
}

// confirmLoss asks about one organization. listed is whether its own membership
// is missing from the list of memberships.
func (s *session) confirmLoss(ctx context.Context, org string, listed bool, sso ssoHeader) error {
	if sso.partial {
		// A token without a SAML session may get a 404 as well: go by the number.
		id, err := s.organizationID(ctx, org)
		if err != nil {
			return withheld(org, err)
		}
		if sso.names(id) {
			return upstream.Refuse(upstream.ReasonSignInNeeded,
				"github: organization %s wants a SAML sign-in and was left out", quote(org))
		}
	}
	member, err := s.member(ctx, org)
	if err != nil {
		return withheld(org, err)
	}
	if member && listed {
		return upstream.Refuse(upstream.ReasonUnavailable,
			"github: organization %s is missing from the list and still has the user", quote(org))
	}
	return nil
}

// withheld tells an organization that keeps silent towards this token, by SAML
// or by not approving the app, from trouble.
func withheld(org string, err error) error {
	if hasKind(err, saysForbidden) {
		return upstream.Refuse(upstream.ReasonSignInNeeded, "github: organization %s tells this token nothing: %w", quote(org), err)
	}
	return err
}

// resolveDoubts asks about teams that may be above what was looked up.
func (s *session) resolveDoubts(ctx context.Context, teams []string, now *findings) error {
	for _, group := range teams[:min(len(teams), maxDoubts)] {
		org, slug, _ := strings.Cut(group, "/")
		member, err := s.teamMember(ctx, org, slug, now.identity.Login)
		if err != nil {
			return err
		}
		if member {
			now.identity.Groups = append(now.identity.Groups, group)
		}
	}
	slices.Sort(now.identity.Groups)
	return nil
}
