// SPDX-License-Identifier: Apache-2.0

package github

import (
	"context"
	"log/slog"
	"net/url"
	"strings"

	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// hints say why an organization may be missing that the person is in. GitHub
// does not name the organizations, so that the sentences cannot either.
func (g *GitHub) hints(granted scopes, f findings) []upstream.Hint {
	if !g.needs.Orgs && !g.needs.Teams {
		return nil
	}
	var all []upstream.Hint
	if f.sso.partial || f.sso.required {
		all = append(all, upstream.Hint{
			Text: "An organization of yours at GitHub has single sign-on and tells this site nothing about you until you have signed in there. " +
				"Open any page of the organization at GitHub, sign in, and then sign in here again.",
			URL: g.link(f.sso.url, g.authorizationPage(granted)),
		})
	}
	if granted.app {
		return append(all, upstream.Hint{
			Text: "This site sees only organizations whose owners have installed its GitHub App. If yours is missing, ask an owner.",
			URL:  g.link(g.authorizationPage(granted)),
		})
	}
	return append(all, upstream.Hint{
		Text: "This site sees only organizations that let it. If yours is missing, ask for its approval on the page of this application at GitHub.",
		URL:  g.link(g.authorizationPage(granted)),
	})
}

// authorizationPage is where GitHub shows people what they have granted this
// app, and which organizations have.
func (g *GitHub) authorizationPage(granted scopes) string {
	if granted.app {
		return g.base.JoinPath("settings/apps/authorizations").String()
	}
	return g.base.JoinPath("settings/connections/applications", url.PathEscape(g.oauth.ClientID)).String()
}

// link is the first that can be shown to a person: https, and at the GitHub that
// was configured, so that an answer cannot send people elsewhere.
func (g *GitHub) link(candidates ...string) string {
	for _, raw := range candidates {
		u, err := url.Parse(raw)
		if err == nil && u.Scheme == "https" && u.User == nil && strings.EqualFold(u.Host, g.base.Host) {
			return u.String()
		}
	}
	return ""
}

// noteMissing tells the operator why a member may be turned away.
func (g *GitHub) noteMissing(ctx context.Context, f findings) {
	who := slog.String("github_user_id", f.identity.ID)
	if f.sso.partial {
		g.logger.WarnContext(ctx, "github left out organizations whose SAML single sign-on this user has no session for; "+
			"rules about them do not admit the user until they have signed in there and then here again",
			who, slog.Any("organization_ids", f.sso.orgs))
	}
	if f.cut {
		g.logger.WarnContext(ctx, "not every team above this user's teams could be looked up; "+
			"rules about those that are missing do not admit the user", who, slog.Int("most_lookups", maxAncestors))
	}
}
