// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http"
	"slices"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway/web"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// flowTTL bounds a sign-in from the consent page to the callback.
const flowTTL = 10 * time.Minute

// serveAuthorize is the authorization endpoint (RFC 6749 §3.1): it checks the
// request and has the person decide. Nothing is stored for the page: the checked
// request travels sealed in the form, so a flood of requests cannot fill the store.
func (s *Server) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	if !s.mayAuthorize(w, r) {
		return
	}
	p, perr := authorizeParams(w, r)
	if perr != nil {
		s.showProblem(w, r, badRequestPage(perr))
		return
	}
	c, redirect, ok := s.identifyClient(w, r, p)
	if !ok {
		return
	}
	flow := token.NewFlowID()
	req, perr := oauth.ParseAuthorizationRequest(p)
	var g *Guard
	if perr == nil {
		g, perr = s.resolveResource(req.Resources)
	}
	var scopes []string
	if perr == nil {
		scopes, perr = requestedScopes(req.Scope, g.cfg)
	}
	var asked prompt
	if perr == nil {
		asked, perr = parsePrompt(req.Prompt)
	}
	if perr != nil {
		state, _ := p.Get("state")
		s.refuseAuthorization(w, r, c, redirect.uri, state, flow, perr)
		return
	}
	s.decide(w, r, c, consentRequest{Flow: flow, Request: storage.Authorization{
		ClientID: c.ID, RedirectURI: redirect.uri, RedirectURIGiven: redirect.given, State: req.State,
		Challenge: req.CodeChallenge, Resource: g.resource, Scopes: scopes, ForwardsToken: g.cfg.ForwardUpstreamToken,
	}}, asked, g)
}

// authorizeParams reads the query, or the body of a POST (R5.1).
func authorizeParams(w http.ResponseWriter, r *http.Request) (oauth.Params, *oauth.Error) {
	if r.Method == http.MethodPost {
		return readForm(w, r)
	}
	return oauth.ParseParams(r.URL.RawQuery)
}

type redirectTarget struct {
	uri   string
	given bool
}

// identifyClient finds who asks and where the answer goes. Until both are known
// to belong together there is no redirect, only a page (R5.2).
func (s *Server) identifyClient(w http.ResponseWriter, r *http.Request, p oauth.Params) (*client, redirectTarget, bool) {
	clientID, redirectURI, perr := oauth.ParseClientParams(p)
	if perr != nil {
		s.showProblem(w, r, badRequestPage(perr))
		return nil, redirectTarget{}, false
	}
	c, err := s.client(s.withSource(r), clientID)
	if err != nil {
		s.showProblem(w, r, clientProblem(err))
		return nil, redirectTarget{}, false
	}
	target := redirectTarget{uri: redirectURI, given: redirectURI != ""}
	if !target.given && len(c.RedirectURIs) == 1 {
		target.uri = c.RedirectURIs[0]
	}
	if !oauth.MatchRedirectURI(c.RedirectURIs, target.uri) || c.source != sourceConfigured && s.ownAddress(target.uri) {
		s.showProblem(w, r, problem{
			status: http.StatusBadRequest, reason: "redirect_uri_mismatch", title: "The return address is not registered",
			text: "The program wants the answer sent to an address it has not registered. " +
				"To protect you, nothing is sent there.",
			hint: "Remove this MCP server from your client and add it again, so that it registers anew.",
		})
		return nil, redirectTarget{}, false
	}
	return c, target, true
}

// resolveResource finds the guard of the requested resource (RFC 8707 §2), given
// in canonical form. None, and the bare origin, mean the issuer's first one: older
// clients send nothing, and some send the origin (R5.9, R5.10).
func (s *Server) resolveResource(requested []string) (*Guard, *oauth.Error) {
	first := s.guards[s.cfg.Resources[0].Path]
	if len(requested) == 0 {
		return first, nil
	}
	var found *Guard
	for _, canonical := range requested {
		g := s.byResource[canonical]
		if g == nil && canonical == s.cfg.Issuer {
			g = first
		}
		if g == nil || found != nil && g != found {
			return nil, oauth.NewError(oauth.CodeInvalidTarget, "resource is not, or not only, a resource of this server")
		}
		found = g
	}
	return found, nil
}

// requestedScopes is what will be granted: what was asked for, as far as the
// resource has it. Unknown scopes are dropped, not refused (R5.11).
func requestedScopes(scope string, res *Resource) ([]string, *oauth.Error) {
	requested, perr := oauth.ParseScope(scope)
	if perr != nil {
		return nil, perr
	}
	return oauth.GrantScopes(requested, res.Scopes, res.knownScopes()...), nil
}

// refuseAuthorization sends an error before anybody approved anything. A loopback
// address is the user's own computer and gets a redirect, and so does a client that
// the operator registered; anywhere else the user has not yet said that they trust
// it, so they get a page with a link (R5.8).
func (s *Server) refuseAuthorization(w http.ResponseWriter, r *http.Request, c *client, redirectURI, state, flow string, e *oauth.Error) {
	target := s.errorResponse(redirectURI, state, e.Code, e.Description)
	if c.mayRedirect(redirectURI) {
		s.log.Info("authorization refused", "reason", e.Code, "flow", flow, "description", e.Description)
		seeOther(w, target)
		return
	}
	p := badRequestPage(e).withFlow(flow)
	p.back = backLink(redirectURI, target)
	s.showProblem(w, r, p)
}

// errorResponse is the error form of the authorization response (RFC 6749
// §4.1.2.1), with iss like every other (RFC 9207 §2).
func (s *Server) errorResponse(redirectURI, state, code, description string) string {
	return oauth.AuthorizationResponseURL(redirectURI,
		"error", code, "error_description", description, "state", state, "iss", s.cfg.Issuer)
}

func backLink(redirectURI, target string) *web.Link {
	return &web.Link{Href: target, Text: "Return to " + oauth.RedirectHost(redirectURI)}
}

// seeOther redirects with 303, which never repeats a POST (R5.7), uncached.
func seeOther(w http.ResponseWriter, target string) {
	h := w.Header()
	h.Set("Location", target)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(http.StatusSeeOther)
}

// upstreamChoices is what the consent page offers to sign in with.
func (s *Server) upstreamChoices() []web.Upstream {
	out := make([]web.Upstream, 0, len(s.cfg.Upstreams))
	for _, up := range s.cfg.Upstreams {
		choice := web.Upstream{Name: up.Name(), Label: up.Label()}
		if rd, ok := up.(interface{ Scopes() []string }); ok {
			choice.Scopes = slices.Clone(rd.Scopes())
		}
		out = append(out, choice)
	}
	return out
}
