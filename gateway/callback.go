// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/caddy-mcp/caddy-mcp-oauth/identity"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// callback is where a redirecting upstream sends the browser back to.
func (s *Server) callback(up upstream.Redirector) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		p, perr := oauth.ParseParams(r.URL.RawQuery)
		if perr != nil {
			s.showProblem(w, r, badRequestPage(perr))
			return
		}
		state, perr := p.Get("state")
		if perr != nil || state == "" {
			s.showProblem(w, r, badRequestPage(oauth.NewError(oauth.CodeInvalidRequest, "state is missing")))
			return
		}
		pending := s.takePending(w, r, up, state)
		if pending == nil {
			return
		}
		verifier, err := s.st.ring.Load().Open(token.PurposeVerifier, pending.Verifier, state)
		if err != nil { // the key was changed in between
			s.showProblem(w, r, problemExpired.withFlow(pending.Flow).withCause(err))
			return
		}
		query, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			s.showProblem(w, r, problemExpired.withFlow(pending.Flow).withCause(err))
			return
		}
		id, err := up.Identify(r.Context(), query, string(verifier), s.cfg.Issuer+oauth.PathCallback+up.Name())
		if err != nil {
			s.signInRefused(w, r, pending, up, err)
			return
		}
		s.completeSignIn(w, r, pending, id)
	}
}

// takePending takes the sign-in that a state belongs to, or shows why not. The
// browser is checked before it is taken: who merely learned the state cannot use
// up somebody else's sign-in.
func (s *Server) takePending(w http.ResponseWriter, r *http.Request, up upstream.Upstream, state string) *storage.Pending {
	pending, bad := s.findPending(r, up, state)
	if bad != nil {
		s.showProblem(w, r, *bad)
		return nil
	}
	taken, err := s.st.store.TakePending(r.Context(), s.cfg.Issuer, pending.ID)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		s.showProblem(w, r, problemExpired.withFlow(pending.Flow))
		return nil
	case err != nil:
		s.showProblem(w, r, problemStore.withCause(err).withFlow(pending.Flow))
		return nil
	}
	s.cookies.remove(w, stateName(pending.ID))
	return taken
}

// findPending looks the sign-in up without taking it. A callback that arrives at
// another upstream's path, or in another browser, is refused (R6.4, M-19).
func (s *Server) findPending(r *http.Request, up upstream.Upstream, state string) (*storage.Pending, *problem) {
	id := token.Hash(state)
	pending, err := s.st.store.Pending(r.Context(), s.cfg.Issuer, id)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return nil, &problemExpired
	case err != nil:
		bad := problemStore.withCause(err)
		return nil, &bad
	}
	cookie := s.cookies.get(r, stateName(id))
	if cookie == "" || !equalHash(token.Hash(cookie), pending.Browser) {
		bad := problemBrowser.withFlow(pending.Flow)
		return nil, &bad
	}
	if pending.Upstream != up.Name() {
		bad := problemExpired.withFlow(pending.Flow).withCause(errors.New("callback of another upstream"))
		return nil, &bad
	}
	return pending, nil
}

// completeSignIn turns an identity into an authorization code, if it is allowed.
func (s *Server) completeSignIn(w http.ResponseWriter, r *http.Request, p *storage.Pending, id identity.Identity) {
	g := s.byResource[p.Request.Resource]
	if g == nil {
		s.showProblem(w, r, problemExpired.withFlow(p.Flow).withCause(errors.New("resource was removed")))
		return
	}
	if !g.cfg.Policy.Allows(id) {
		s.notAllowed(w, r, p, id)
		return
	}
	code, err := s.issueCode(r.Context(), p, id)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		s.showProblem(w, r, problemUnknownClient.withFlow(p.Flow))
		return
	case err != nil:
		s.showProblem(w, r, problemStore.withCause(err).withFlow(p.Flow))
		return
	}
	s.log.Info("signed in", "flow", p.Flow, "subject", id.Subject(),
		"client_id", p.Request.ClientID, "resource", p.Request.Resource)
	seeOther(w, oauth.AuthorizationResponseURL(p.Request.RedirectURI,
		"code", code, "state", p.Request.State, "iss", s.cfg.Issuer))
}

// notAllowed tells the person. No code is issued, and the client is not told by a
// redirect: the page is what the person must read, the link ends the client's wait.
func (s *Server) notAllowed(w http.ResponseWriter, r *http.Request, p *storage.Pending, id identity.Identity) {
	s.log.Warn("account not allowed", "flow", p.Flow, "subject", id.Subject(), "resource", p.Request.Resource)
	a := p.Request
	s.showProblem(w, r, problem{
		status: http.StatusForbidden, reason: "not_allowed", flow: p.Flow, title: "You do not have access",
		text: "You are signed in as " + orElse(id.Login, id.ID) + ", and this account is not on the list of those who may use this MCP server.",
		hint: "Ask whoever runs the server to add you, or sign in with another account.",
		back: backLink(a.RedirectURI, s.errorResponse(a.RedirectURI, a.State, oauth.CodeAccessDenied, "the account is not allowed")),
	})
}
