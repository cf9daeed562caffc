// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway/web"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

// decide answers a checked authorization request: with the consent page, or where
// the person who is signed in has decided before, with a code (design decision 6).
func (s *Server) decide(w http.ResponseWriter, r *http.Request, c *client, req consentRequest, p prompt, g *Guard) {
	who, err := s.whoIsSignedIn(r)
	if err != nil {
		s.showProblem(w, r, problemStore.withCause(err).withFlow(req.Flow))
		return
	}
	if who != nil && (!g.cfg.Policy.Allows(who.identity) || !s.mayGoOn(g.resource, who)) {
		who = nil // another account may be allowed: the page lets them choose
	}
	req.Client = c.fingerprint()
	if who != nil && !p.ask && s.answerRemembered(w, r, &req, who) {
		return
	}
	if p.none {
		a := req.Request
		s.refuseAuthorization(w, r, c, a.RedirectURI, a.State, req.Flow, promptNeeded(who, a.RedirectURI))
		return
	}
	if p.login {
		who, req.Fresh = nil, true
	}
	s.showConsent(w, r, c, req, g, who)
}

// promptNeeded is the answer to prompt=none. Where nobody is ever let through
// without being asked, it does not tell either whether they are signed in.
func promptNeeded(who *signedIn, redirectURI string) *oauth.Error {
	switch {
	case !mayRemember(redirectURI):
		return oauth.NewError(codeInteractionRequired, "the user is always asked before a code is sent to this redirect_uri")
	case who == nil:
		return oauth.NewError(codeLoginRequired, "the user is not signed in")
	}
	return oauth.NewError(codeConsentRequired, "the user has to be asked")
}

// answerRemembered answers without a page if all allows it. It is false if nothing
// was answered.
func (s *Server) answerRemembered(w http.ResponseWriter, r *http.Request, req *consentRequest, who *signedIn) bool {
	a := req.Request
	if !mayRemember(a.RedirectURI) || !fromClient(r, a.RedirectURI) {
		return false
	}
	yes, err := s.isRemembered(r.Context(), who.identity.Subject(), req.Client, a)
	if err != nil {
		s.showProblem(w, r, problemStore.withCause(err).withFlow(req.Flow))
		return true
	}
	return yes && s.answerSignedIn(w, r, req, who, storage.Hash{}, "consent remembered")
}

// answerSignedIn gives a code for who is signed in, without going upstream. It is
// false if they no longer are; then nothing was answered. remember is the client's
// fingerprint if the decision is to be kept.
func (s *Server) answerSignedIn(
	w http.ResponseWriter, r *http.Request, req *consentRequest, who *signedIn, remember storage.Hash, decision string,
) bool {
	used, err := s.useSession(r.Context(), who)
	if err == nil && !used {
		return false
	}
	if err == nil && !s.admits(w, r, req.Flow, req.Request, &upstream.SignIn{Identity: who.identity}) {
		return true
	}
	if err == nil && remember != (storage.Hash{}) {
		err = s.remember(r.Context(), who.identity.Subject(), remember, req.Request)
	}
	if err != nil {
		s.showProblem(w, r, problemStore.withCause(err).withFlow(req.Flow))
		return true
	}
	s.log.Info(decision, "flow", req.Flow, "subject", who.identity.Subject(),
		"client_id", req.Request.ClientID, "resource", req.Request.Resource)
	s.sendCode(w, r, req.Flow, req.Request, who.identity)
	return true
}

// approve does what an approved form asks for: go on as who is signed in, or sign
// in upstream first.
func (s *Server) approve(w http.ResponseWriter, r *http.Request, req *consentRequest, p oauth.Params) {
	choice, _ := p.Get("upstream")
	var remember storage.Hash
	if tick, _ := p.Get("remember"); tick == web.RememberYes && mayRemember(req.Request.RedirectURI) {
		remember = req.Client
	}
	if choice != web.StaySignedIn {
		// Chosen on a page that offered to stay signed in: another account is meant.
		s.beginSignIn(w, r, req, signInChoice{upstream: choice, remember: remember, askAccount: req.Fresh || req.Subject != ""})
		return
	}
	if !s.approveSignedIn(w, r, req, remember) {
		// Signed out, or signed in as somebody else, since the page was shown.
		// The page named a person: whoever happens to be signed in upstream is not
		// meant by it.
		s.beginSignIn(w, r, req, signInChoice{upstream: req.Upstream, remember: remember, askAccount: req.Fresh || req.Subject != ""})
	}
}

// approveSignedIn is false, with nothing answered, unless the person whom the page
// named still is signed in.
func (s *Server) approveSignedIn(w http.ResponseWriter, r *http.Request, req *consentRequest, remember storage.Hash) bool {
	who, err := s.whoIsSignedIn(r)
	if err != nil {
		s.showProblem(w, r, problemStore.withCause(err).withFlow(req.Flow))
		return true
	}
	if who == nil || req.Subject == "" || who.identity.Subject() != req.Subject || !s.mayGoOn(req.Request.Resource, who) {
		return false
	}
	if !s.mayAuthorize(w, r) {
		return true
	}
	return s.answerSignedIn(w, r, req, who, remember, "consent given")
}
