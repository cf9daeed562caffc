// SPDX-License-Identifier: Apache-2.0

package testidp

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// serveOrgs is /user/orgs, which is empty for fine-grained tokens.
func (g *GitHub) serveOrgs(c call) {
	list := []object{}
	if !g.cfg.App {
		for _, org := range g.visible(c, c.user.Orgs) {
			list = append(list, g.orgObject(org))
		}
	}
	g.writePage(c, list)
}

func (g *GitHub) serveTeams(c call) {
	list := make([]object, 0, len(c.user.Teams))
	for _, team := range g.visible(c, c.user.Teams) {
		list = append(list, g.teamObject(team, true))
	}
	g.writePage(c, list)
}

// serveTeam shows a team to those who are in its organization.
func (g *GitHub) serveTeam(c call) {
	org := c.r.PathValue("org")
	name := org + "/" + c.r.PathValue("team")
	if !c.user.isIn(org) || !g.teamExists(name) {
		g.notFound(c.w)
		return
	}
	if g.letsIn(c, org) {
		writeJSON(c.w, http.StatusOK, g.teamObject(strings.ToLower(name), true))
	}
}

// serveTeamMembership counts those who are in teams below, too.
func (g *GitHub) serveTeamMembership(c call) {
	org := c.r.PathValue("org")
	name := strings.ToLower(org + "/" + c.r.PathValue("team"))
	if !c.user.isIn(org) || !g.teamExists(name) {
		g.notFound(c.w)
		return
	}
	if !g.letsIn(c, org) {
		return
	}
	g.mu.Lock()
	u := g.byLogin(c.r.PathValue("login"))
	member := u != nil && g.inTeam(u, name)
	g.mu.Unlock()
	if !member {
		g.notFound(c.w)
		return
	}
	writeJSON(c.w, http.StatusOK, object{"state": "active", "role": "member", "url": docsURL})
}

// inTeam is whether a user is in a team or in one below it. The caller holds mu.
func (g *GitHub) inTeam(u *User, name string) bool {
	for _, team := range u.Teams {
		team = strings.ToLower(team)
		for range len(g.orgs.parents) + 1 { // a circle ends
			if team == name {
				return true
			}
			team = g.orgs.parents[team]
		}
	}
	return false
}

// teamExists is whether anybody or any other team is in it.
func (g *GitHub) teamExists(name string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, u := range g.users {
		if slices.ContainsFunc(u.Teams, equalFold(name)) {
			return true
		}
	}
	for child, parent := range g.orgs.parents {
		if strings.EqualFold(child, name) || strings.EqualFold(parent, name) {
			return true
		}
	}
	return false
}

// serveOrg is public, but not to members whom SAML keeps out.
func (g *GitHub) serveOrg(c call) {
	org := c.r.PathValue("org")
	g.mu.Lock()
	exists, rule := g.exists(org), g.orgs.rule(org)
	g.mu.Unlock()
	switch {
	case !exists:
		g.notFound(c.w)
	case rule == orgSAML && c.user.isIn(org):
		g.letsIn(c, org)
	default:
		writeJSON(c.w, http.StatusOK, g.orgObject(org))
	}
}

func (g *GitHub) serveMemberships(c call) {
	state := c.r.URL.Query().Get("state")
	list := []object{}
	for _, m := range []struct {
		orgs        []string
		state, role string
	}{{c.user.Orgs, "active", "member"}, {c.user.Billing, "active", "billing_manager"}, {c.user.Pending, "pending", "member"}} {
		if state != "" && state != m.state {
			continue
		}
		for _, org := range g.visible(c, m.orgs) {
			list = append(list, g.membershipObject(c.user, org, m.state, m.role))
		}
	}
	g.writePage(c, list)
}

func (g *GitHub) serveMembership(c call) {
	org := c.r.PathValue("org")
	state, role := "", "member"
	switch is := equalFold(org); {
	case slices.ContainsFunc(c.user.Orgs, is):
		state = "active"
	case slices.ContainsFunc(c.user.Billing, is):
		state, role = "active", "billing_manager"
	case slices.ContainsFunc(c.user.Pending, is):
		state = "pending"
	default:
		g.notFound(c.w)
		return
	}
	if g.letsIn(c, org) {
		writeJSON(c.w, http.StatusOK, g.membershipObject(c.user, org, state, role))
	}
}

// letsIn answers for an organization that keeps this app or this session out.
func (g *GitHub) letsIn(c call, org string) bool {
	g.mu.Lock()
	rule := g.orgs.rule(org)
	g.mu.Unlock()
	switch rule {
	case orgSAML:
		c.w.Header().Set("X-GitHub-SSO", "required; url="+originOf(c.r)+"/orgs/"+org+"/sso?authorization_request="+randomHex(8))
		apiError(c.w, http.StatusForbidden, "Resource protected by organization SAML enforcement. You must grant your OAuth token access to this organization.")
	case orgRestricted:
		message := "Although you appear to have the correct authorization credentials, the `" + org + "` organization has enabled OAuth App access restrictions, " +
			"meaning that data access to third-parties is limited. For more information on these restrictions, including how to enable this app, " +
			"visit https://docs.github.com/articles/restricting-access-to-your-organization-s-data/"
		if g.cfg.App { // suspended or not installed there
			message = "Resource not accessible by integration"
		}
		apiError(c.w, http.StatusForbidden, message)
	}
	return rule == orgOpen
}

// visible leaves out organizations, and their teams, that keep this app or this
// session out. For SAML the answer says that it is partial.
func (g *GitHub) visible(c call, names []string) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var shown, saml []string
	for _, name := range names {
		org := orgOf(name)
		switch g.orgs.rule(org) {
		case orgOpen:
			shown = append(shown, name)
		case orgSAML:
			saml = append(saml, strconv.FormatInt(g.orgs.id(org), 10))
		case orgRestricted:
		}
	}
	if before := c.w.Header().Get("X-GitHub-SSO"); before != "" {
		_, ids, _ := strings.Cut(before, "=")
		saml = append(saml, strings.Split(ids, ",")...)
	}
	slices.Sort(saml)
	if len(saml) > 0 {
		c.w.Header().Set("X-GitHub-SSO", "partial-results; organizations="+strings.Join(slices.Compact(saml), ","))
	}
	return shown
}

func (g *GitHub) orgObject(org string) object {
	g.mu.Lock()
	id := g.orgs.id(org)
	g.mu.Unlock()
	return object{"login": org, "id": id, "node_id": "O_" + strconv.FormatInt(id, 36), "description": nil}
}

// teamObject says which team is above, and not which one is above that.
func (g *GitHub) teamObject(name string, full bool) object {
	org, slug, _ := strings.Cut(name, "/")
	g.mu.Lock()
	id, parent := g.orgs.id(name), g.orgs.parents[strings.ToLower(name)]
	g.mu.Unlock()
	o := object{"id": id, "name": slug, "slug": slug, "privacy": "closed", "permission": "pull", "notification_setting": "notifications_enabled"}
	if !full {
		return o
	}
	o["organization"], o["parent"] = g.orgObject(org), nil
	if parent != "" {
		o["parent"] = g.teamObject(parent, false)
	}
	return o
}

func (g *GitHub) membershipObject(u User, org, state, role string) object {
	return object{
		"state": state, "role": role, "organization": g.orgObject(org),
		"user": object{"login": u.Login, "id": u.ID},
	}
}
