// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"errors"
	"net/http"

	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// signInRefused ends a sign-in that the upstream did not complete. The user has
// approved the client, so a refusal of their own goes straight back to it; what
// they must know or somebody must mend is a page.
func (s *Server) signInRefused(w http.ResponseWriter, r *http.Request, p *storage.Pending, up upstream.Upstream, err error) {
	refusal := (*upstream.Refusal)(nil)
	if !errors.As(err, &refusal) {
		refusal = &upstream.Refusal{Reason: upstream.ReasonUnavailable, Err: err}
	}
	a := p.Request
	if refusal.Reason == upstream.ReasonDenied {
		s.log.Info("sign-in denied upstream", "flow", p.Flow, "upstream", up.Name())
		seeOther(w, s.errorResponse(a.RedirectURI, a.State, oauth.CodeAccessDenied, "the user declined to sign in"))
		return
	}
	page, code := refusalPage(refusal.Reason, up.Label())
	page.flow, page.cause = p.Flow, refusal
	page.reason = "upstream_" + string(refusal.Reason)
	page.back = backLink(a.RedirectURI, s.errorResponse(a.RedirectURI, a.State, code, page.title))
	s.showProblem(w, r, page)
}

// refusalPage is the page of each reason and the error code for the client.
func refusalPage(reason upstream.Reason, label string) (problem, string) {
	switch reason {
	case upstream.ReasonInsufficientScope:
		return problem{
			status: http.StatusForbidden, title: "A permission is missing",
			text: label + " did not let this gateway see what it needs to decide whether you may go on, " +
				"for example your organization memberships. You may have declined it, or your organization restricts it.",
			hint: "Connect again and allow all that is asked for. If your organization restricts third-party access, ask its owner to approve this application.",
		}, oauth.CodeAccessDenied
	case upstream.ReasonInvalid, upstream.ReasonWrongPassword, upstream.ReasonThrottled:
		return problem{
			status: http.StatusBadRequest, title: "The sign-in could not be completed",
			text: label + " did not confirm the sign-in. It may have been used already or taken too long.",
			hint: hintRestart,
		}, oauth.CodeAccessDenied
	case upstream.ReasonMisconfigured:
		return problem{
			status: http.StatusBadGateway, title: "The gateway is not set up correctly",
			text: label + " refused this gateway's own credentials or return address.",
			hint: "Only whoever runs this server can mend it; the reason is in its log.",
		}, oauth.CodeServerError
	default:
		return problem{
			status: http.StatusServiceUnavailable, title: label + " is not answering",
			text: "The sign-in could not be completed because " + label + " did not answer as it should.",
			hint: "Try again in a few minutes.",
		}, oauth.CodeTemporarilyUnavailable
	}
}
