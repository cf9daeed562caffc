// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"errors"
	"net/http"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway/web"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// signIn is our own page for an upstream with passwords. It lives at the
// upstream's callback path, bound to the browser like a callback, and a wrong
// password does not use the sign-in up.
func (s *Server) signIn(up upstream.PasswordChecker) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		post := r.Method == http.MethodPost
		if post && !s.sameOrigin(r) {
			s.showProblem(w, r, problemForged)
			return
		}
		p, perr := authorizeParams(w, r)
		if perr != nil {
			s.showProblem(w, r, badRequestPage(perr))
			return
		}
		state, perr := p.Get("state")
		if perr != nil || state == "" {
			s.showProblem(w, r, badRequestPage(oauth.NewError(oauth.CodeInvalidRequest, "state is missing")))
			return
		}
		pending, bad := s.findPending(r, up, state)
		if bad != nil && post {
			pending, bad = s.findAnswered(r, up, state, bad)
		}
		if bad != nil {
			s.showProblem(w, r, *bad)
			return
		}
		if post {
			s.checkPassword(w, r, up, pending, state, p)
			return
		}
		s.showSignIn(w, r, http.StatusOK, up, pending, state, "", "")
	}
}

func (s *Server) checkPassword(
	w http.ResponseWriter, r *http.Request, up upstream.PasswordChecker, pending *storage.Pending, state string, p oauth.Params,
) {
	csrf, _ := p.Get("csrf")
	cookie := s.cookies.get(r, stateName(pending.ID))
	if !s.st.ring.Load().CheckMAC(token.PurposeCSRF, csrf, cookie, state) {
		s.showProblem(w, r, problemForged.withFlow(pending.Flow))
		return
	}
	name, perr1 := p.Get("username")
	password, perr2 := p.Get("password")
	if perr1 != nil || perr2 != nil {
		s.showProblem(w, r, badRequestPage(oauth.NewError(oauth.CodeInvalidRequest, "the form is not valid")).withFlow(pending.Flow))
		return
	}
	id, err := up.Authenticate(r.Context(), name, password, s.clientKey(r))
	if err != nil {
		s.passwordRefused(w, r, up, pending, state, name, err)
		return
	}
	s.finishOnce(w, r, up, pending, state, &upstream.SignIn{Identity: id})
}

// passwordRefused shows the page again where another try makes sense.
func (s *Server) passwordRefused(
	w http.ResponseWriter, r *http.Request, up upstream.PasswordChecker, p *storage.Pending, state, name string, err error,
) {
	refusal := (*upstream.Refusal)(nil)
	if !errors.As(err, &refusal) {
		refusal = &upstream.Refusal{Reason: upstream.ReasonUnavailable, Err: err}
	}
	status, text := http.StatusOK, ""
	switch refusal.Reason {
	case upstream.ReasonWrongPassword, upstream.ReasonInvalid:
		// Not 401: that asks for credentials in a header, and must say which
		// (RFC 9110 §15.5.2).
		status, text = http.StatusForbidden, "The name or the password is not right."
	case upstream.ReasonThrottled:
		status, text = http.StatusTooManyRequests, "Too many attempts. Wait a minute and try again; the account is not locked."
	default:
		s.signInRefused(w, r, p, up, refusal)
		return
	}
	s.log.Warn("password refused", "flow", p.Flow, "reason", string(refusal.Reason), "upstream", up.Name())
	s.showSignIn(w, r, status, up, p, state, name, text)
}

func (s *Server) showSignIn(
	w http.ResponseWriter, r *http.Request, status int, up upstream.Upstream, p *storage.Pending, state, name, text string,
) {
	page := &web.SignIn{
		Action: oauth.PathCallback + up.Name(), State: state, Label: up.Label(), Username: name, Error: text,
		CSRF: s.st.ring.Load().MAC(token.PurposeCSRF, s.cookies.get(r, stateName(p.ID)), state),
	}
	if g := s.byResource[p.Request.Resource]; g != nil {
		page.ResourceName = orElse(g.cfg.Name, g.resource)
	}
	if c, err := s.client(r.Context(), p.Request.ClientID); err == nil {
		page.ClientName = c.Name
	}
	if err := web.WriteSignIn(w, status, page); err != nil {
		s.log.Error("sign-in page could not be written", "flow", p.Flow, "error", err)
	}
}
