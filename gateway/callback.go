// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
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
		in, err := up.Identify(r.Context(), query, string(verifier), s.cfg.Issuer+oauth.PathCallback+up.Name())
		if err != nil {
			s.signInRefused(w, r, pending, up, err)
			return
		}
		s.completeSignIn(w, r, pending, in)
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

// completeSignIn turns a fresh sign-in into a browser session and an authorization
// code, if it is allowed. Of anybody else nothing is kept.
func (s *Server) completeSignIn(w http.ResponseWriter, r *http.Request, p *storage.Pending, in *upstream.SignIn) {
	id := in.Identity
	if g := s.byResource[p.Request.Resource]; g != nil && !g.cfg.Policy.Allows(id) {
		if err := s.updateKnown(r.Context(), in); err != nil {
			s.showProblem(w, r, problemStore.withCause(err).withFlow(p.Flow))
			return
		}
	}
	if !s.admits(w, r, p.Flow, p.Request, in) {
		return
	}
	if !s.hasToken(p.Request.Resource, in.Token) {
		s.showProblem(w, r, problemNoToken.withFlow(p.Flow))
		return
	}
	if err := s.keepSignIn(w, r, p, in); err != nil {
		s.showProblem(w, r, problemStore.withCause(err).withFlow(p.Flow))
		return
	}
	s.st.count(EventSignedIn)
	s.log.Info("signed in", "flow", p.Flow, "subject", id.Subject(),
		"client_id", p.Request.ClientID, "resource", p.Request.Resource)
	s.sendCode(w, r, p.Flow, p.Request, id)
}

// saveSignIn stores what a sign-in showed. The token is dropped unless something
// needs it.
func (s *Server) saveSignIn(ctx context.Context, in *upstream.SignIn) error {
	tok := in.Token
	if !s.keepsToken(in.Identity) {
		tok = nil
	}
	return s.st.saveAccount(ctx, s.cfg.Allowed, in.Identity, tok)
}

// updateKnown keeps the fresh facts of a person who is refused, if we know them:
// somebody who left the organization and signs in again would otherwise go on with
// an older grant and the facts of back then. Strangers leave nothing behind.
func (s *Server) updateKnown(ctx context.Context, in *upstream.SignIn) error {
	switch _, err := s.st.store.Account(ctx, in.Identity.Subject()); {
	case errors.Is(err, storage.ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("read account: %w", err)
	}
	return s.saveSignIn(ctx, in)
}

// keepSignIn stores what was learnt from a sign-in that is allowed.
func (s *Server) keepSignIn(w http.ResponseWriter, r *http.Request, p *storage.Pending, in *upstream.SignIn) error {
	if err := s.saveSignIn(r.Context(), in); err != nil {
		return err
	}
	if err := s.startSession(w, r, in.Identity); err != nil {
		return err
	}
	if p.Remember == (storage.Hash{}) {
		return nil
	}
	return s.remember(r.Context(), in.Identity.Subject(), p.Remember, p.Request)
}

// admits evaluates the resource's policy, or shows why not.
func (s *Server) admits(w http.ResponseWriter, r *http.Request, flow string, a storage.Authorization, in *upstream.SignIn) bool {
	g := s.byResource[a.Resource]
	switch {
	case g == nil:
		s.showProblem(w, r, problemExpired.withFlow(flow).withCause(errors.New("resource was removed")))
		return false
	case !g.cfg.Policy.Allows(in.Identity):
		s.notAllowed(w, r, flow, a, in)
		return false
	}
	return true
}

// sendCode ends a flow well: the browser takes an authorization code to the client.
func (s *Server) sendCode(w http.ResponseWriter, r *http.Request, flow string, a storage.Authorization, id identity.Identity) {
	if err := s.confirmClient(r.Context(), a); err != nil {
		s.showProblem(w, r, clientProblem(err).withFlow(flow))
		return
	}
	code, err := s.issueCode(r.Context(), a, id)
	if err != nil {
		s.showProblem(w, r, problemStore.withCause(err).withFlow(flow))
		return
	}
	seeOther(w, oauth.AuthorizationResponseURL(a.RedirectURI, "code", code, "state", a.State, "iss", s.cfg.Issuer))
}

// notAllowed tells the person. No code is issued, and the client is not told by a
// redirect: the page is what the person must read, the link ends the client's wait.
func (s *Server) notAllowed(w http.ResponseWriter, r *http.Request, flow string, a storage.Authorization, in *upstream.SignIn) {
	id := in.Identity
	s.st.count(EventNotAllowed)
	s.log.Warn("account not allowed", "flow", flow, "subject", id.Subject(), "resource", a.Resource)
	s.showProblem(w, r, problem{
		status: http.StatusForbidden, reason: "not_allowed", flow: flow, title: "You do not have access",
		text: "You are signed in as " + orElse(id.Login, id.ID) + ", and this account is not on the list of those who may use this MCP server.",
		hint: "Ask whoever runs the server to add you, or sign in with another account.", hints: in.Hints,
		back: backLink(a.RedirectURI, s.errorResponse(a.RedirectURI, a.State, oauth.CodeAccessDenied, "the account is not allowed")),
	})
}
