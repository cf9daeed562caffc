// SPDX-License-Identifier: Apache-2.0

package github

import (
	"context"
	"net/http"
	"net/url"
)

// user is who the token belongs to.
func (s *session) user(ctx context.Context) (userFacts, headers, error) {
	a, err := fetch(ctx, s, s.endpoint("user"), decodeUser, false)
	return a.value, a.headers, err
}

// primaryEmail is the address that is both primary and verified, or none.
func (s *session) primaryEmail(ctx context.Context) (string, error) {
	var address string
	err := each(ctx, s, s.firstPage("/user/emails", nil), decodeEmails, func(p emailPage, _ headers) bool {
		address = p.primary
		return address != ""
	})
	return address, err
}

// hidesEmail is whether the answer was that addresses are not for us, which is
// how GitHub says that the permission was not given. No answer is not that.
func hidesEmail(err error) bool {
	e := answered(err)
	return e != nil && (e.status == http.StatusNotFound || e.kind == saysForbidden)
}

// orgs are the organizations the user is an active member of. /user/orgs would
// list those the token can do something with, without the state of the
// membership, and none at all to fine-grained tokens.
func (s *session) orgs(ctx context.Context) (logins []string, sso ssoHeader, err error) {
	first := s.firstPage("/user/memberships/orgs", url.Values{"state": {"active"}})
	err = each(ctx, s, first, decodeMemberships, func(p orgPage, h headers) bool {
		sso = sso.join(parseSSO(h.sso))
		logins = append(logins, p.logins...)
		return false
	})
	return logins, sso, err
}

// member asks about one organization, which GitHub answers where a list is
// silent: with 404 if the user is not in it, with 403 if it tells us nothing.
func (s *session) member(ctx context.Context, org string) (bool, error) {
	a, err := fetch(ctx, s, s.endpoint("user", "memberships", "orgs", org), decodeMembership, true)
	if isGone(err) {
		return false, nil
	}
	return bool(a.value), err
}

// teamMember asks about one team, into which those in teams below it count.
func (s *session) teamMember(ctx context.Context, org, slug, login string) (bool, error) {
	a, err := fetch(ctx, s, s.endpoint("orgs", org, "teams", slug, "memberships", login), decodeTeamMembership, true)
	if isGone(err) {
		return false, nil
	}
	return bool(a.value), err
}

// organizationID is the number of an organization, zero if nobody has the name.
func (s *session) organizationID(ctx context.Context, org string) (int64, error) {
	a, err := fetch(ctx, s, s.endpoint("orgs", org), decodeOrgID, true)
	if isGone(err) {
		return 0, nil
	}
	return int64(a.value), err
}
