// SPDX-License-Identifier: Apache-2.0

package testidp

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

func (g *GitHub) serveUser(c call) {
	writeJSON(c.w, http.StatusOK, userObject(c.user))
}

// userObject has the fields that sign-in code is known to look at, and a few
// that tempt it: the public e-mail is not necessarily verified.
func userObject(u User) object {
	o := object{
		"login": u.Login, "id": u.ID, "node_id": "U_" + strconv.FormatInt(u.ID, 36),
		"avatar_url": "https://avatars.githubusercontent.com/u/" + strconv.FormatInt(u.ID, 10) + "?v=4",
		"html_url":   "https://github.com/" + u.Login,
		"type":       "User", "user_view_type": "private", "site_admin": false,
		"name": nil, "company": nil, "email": nil, "two_factor_authentication": true,
	}
	if u.Name != "" {
		o["name"] = u.Name
	}
	return o
}

func (g *GitHub) serveEmails(c call) {
	list := make([]object, 0, len(c.user.Emails))
	for _, e := range c.user.Emails {
		o := object{"email": e.Address, "primary": e.Primary, "verified": e.Verified, "visibility": nil}
		if e.Primary {
			o["visibility"] = "private"
		}
		list = append(list, o)
	}
	g.writePage(c, list)
}

func (g *GitHub) serveOrgs(c call) {
	list := make([]object, 0, len(c.user.Orgs))
	for _, org := range g.visible(c, c.user.Orgs) {
		list = append(list, orgObject(org))
	}
	g.writePage(c, list)
}

func (g *GitHub) serveTeams(c call) {
	list := make([]object, 0, len(c.user.Teams))
	for _, team := range g.visible(c, c.user.Teams) {
		org, slug, _ := strings.Cut(team, "/")
		list = append(list, object{
			"id": idOf(team), "name": slug, "slug": slug, "privacy": "closed", "permission": "pull",
			"parent": nil, "organization": orgObject(org),
		})
	}
	g.writePage(c, list)
}

func (g *GitHub) serveMemberships(c call) {
	state := c.r.URL.Query().Get("state")
	list := []object{}
	for _, org := range g.visible(c, c.user.Orgs) {
		if state == "" || state == "active" {
			list = append(list, membershipObject(c.user, org, "active"))
		}
	}
	for _, org := range g.visible(c, c.user.Pending) {
		if state == "" || state == "pending" {
			list = append(list, membershipObject(c.user, org, "pending"))
		}
	}
	g.writePage(c, list)
}

func (g *GitHub) serveMembership(c call) {
	org := c.r.PathValue("org")
	is := func(name string) bool { return strings.EqualFold(name, org) }
	g.mu.Lock()
	rule := g.orgRules[strings.ToLower(org)]
	g.mu.Unlock()
	switch {
	case rule == orgSAML:
		c.w.Header().Set("X-GitHub-SSO", "required; url=https://github.com/orgs/"+org+"/sso?authorization_request="+randomHex(8))
		apiError(c.w, http.StatusForbidden, "Resource protected by organization SAML enforcement. You must grant your OAuth token access to this organization.")
	case rule == orgRestricted:
		apiError(c.w, http.StatusForbidden, "Although you appear to have the correct authorization credentials, the `"+org+"` organization has enabled OAuth App access restrictions, meaning that data access to third-parties is limited.")
	case slices.ContainsFunc(c.user.Orgs, is):
		writeJSON(c.w, http.StatusOK, membershipObject(c.user, org, "active"))
	case slices.ContainsFunc(c.user.Pending, is):
		writeJSON(c.w, http.StatusOK, membershipObject(c.user, org, "pending"))
	default:
		g.notFound(c.w)
	}
}

// visible leaves out organizations, and their teams, that keep this app or this
// session out. For SAML the answer says that it is partial.
func (g *GitHub) visible(c call, names []string) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var shown, saml []string
	for _, name := range names {
		org, _, _ := strings.Cut(name, "/")
		switch g.orgRules[strings.ToLower(org)] {
		case orgOpen:
			shown = append(shown, name)
		case orgSAML:
			saml = append(saml, strconv.FormatInt(idOf(org), 10))
		case orgRestricted:
		}
	}
	if len(saml) > 0 {
		c.w.Header().Set("X-GitHub-SSO", "partial-results; organizations="+strings.Join(slices.Compact(saml), ","))
	}
	return shown
}

func orgObject(org string) object {
	return object{"login": org, "id": idOf(org), "node_id": "O_" + strconv.FormatInt(idOf(org), 36), "description": nil}
}

func membershipObject(u User, org, state string) object {
	return object{
		"state": state, "role": "member", "organization": orgObject(org),
		"user": object{"login": u.Login, "id": u.ID},
	}
}
