// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway/web"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
	"github.com/caddy-mcp/caddy-mcp-oauth/upstream"
)

const pathConsent = oauth.PathAuthorize + "/consent"

// consentRequest is a checked authorization request on its way through the
// consent form: sealed, bound to the browser it was shown in and to this issuer,
// and good for ten minutes. Approving it twice, by a double click or the back
// button, starts two sign-ins of which each ends once.
type consentRequest struct {
	Request storage.Authorization `json:"r"`
	Flow    string                `json:"f"`
	Browser string                `json:"b"`
	Expires int64                 `json:"e"`
	// Client is the fingerprint of the client that the page describes.
	Client storage.Hash `json:"c"`
	// Subject is who the page says is signed in, and Upstream where they are. Both
	// are empty where it names nobody.
	Subject  string `json:"u,omitempty"`
	Upstream string `json:"w,omitempty"`
	// Fresh: the request wants the person to sign in anew.
	Fresh bool `json:"l,omitempty"`
}

// showConsent asks the user, before anything is sent upstream (R6.1, R6.2). who is
// signed in, nil for nobody.
func (s *Server) showConsent(w http.ResponseWriter, r *http.Request, c *client, req consentRequest, g *Guard, who *signedIn) {
	browser := s.cookies.ensureBrowser(w, r)
	hash := token.Hash(browser)
	req.Browser = hex.EncodeToString(hash[:])
	req.Expires = s.st.now().Add(flowTTL).Unix()
	req.Request.ForwardsToken = g.cfg.ForwardUpstreamToken
	var account *web.Account
	if who != nil {
		req.Subject, req.Upstream = who.identity.Subject(), who.upstream.Name()
		account = &web.Account{Name: who.name(), Upstream: who.upstream.Label()}
	}
	plain, err := json.Marshal(req)
	if err != nil {
		s.showProblem(w, r, problemStore.withCause(err).withFlow(req.Flow))
		return
	}
	ring := s.st.ring.Load()
	sealed := ring.Seal(token.PurposeConsent, plain, s.cfg.Issuer)
	kind, _ := oauth.ParseRedirectURI(req.Request.RedirectURI)
	scheme, _, _ := strings.Cut(req.Request.RedirectURI, ":")
	err = web.WriteConsent(w, &web.Consent{
		Action: pathConsent, Request: sealed, CSRF: ring.MAC(token.PurposeCSRF, browser, sealed),
		ClientName: c.Name, ClientVerified: c.verified(), ClientHost: c.host,
		RedirectScheme: strings.ToLower(scheme), RedirectHost: oauth.RedirectHost(req.Request.RedirectURI),
		RedirectURI: req.Request.RedirectURI, RedirectKind: kind.String(),
		ResourceName: g.cfg.Name, ResourceURL: g.resource, Scopes: req.Request.Scopes,
		Upstreams: s.choicesAt(g), SignedIn: account, MayRemember: mayRemember(req.Request.RedirectURI),
		SignOutURL: s.cfg.Issuer + pathSignOut, ForwardsToken: s.forwardedTokens(g),
	})
	if err != nil {
		s.log.Error("consent page could not be written", "flow", req.Flow, "error", err)
	}
}

// serveConsent takes the user's decision.
func (s *Server) serveConsent(w http.ResponseWriter, r *http.Request) {
	if !s.sameOrigin(r) {
		s.showProblem(w, r, problemForged)
		return
	}
	p, perr := readForm(w, r)
	if perr != nil {
		s.showProblem(w, r, badRequestPage(perr))
		return
	}
	req, bad := s.openConsent(r, p)
	if bad != nil {
		s.showProblem(w, r, *bad)
		return
	}
	// The client and the configuration may have changed since the page was
	// shown: the decision is about what the page said (M-34).
	c, err := s.client(s.withSource(r), req.Request.ClientID)
	if err != nil {
		s.showProblem(w, r, clientProblem(err).withFlow(req.Flow))
		return
	}
	if !oauth.MatchRedirectURI(c.RedirectURIs, req.Request.RedirectURI) || s.byResource[req.Request.Resource] == nil ||
		c.fingerprint() != req.Client || s.forwards(req.Request.Resource) && !req.Request.ForwardsToken {
		s.showProblem(w, r, problemExpired.withFlow(req.Flow))
		return
	}
	switch decision, _ := p.Get("decision"); decision {
	case "approve":
		s.approve(w, r, req, p)
	case "deny":
		s.denyConsent(w, r, c, req)
	default:
		s.showProblem(w, r, badRequestPage(oauth.NewError(oauth.CodeInvalidRequest, "no decision")).withFlow(req.Flow))
	}
}

// openConsent checks that the form is ours, shown in this very browser, and in
// time. The cookie proves the browser, the MAC that the form came from our page.
func (s *Server) openConsent(r *http.Request, p oauth.Params) (*consentRequest, *problem) {
	sealed, perr1 := p.Get("request")
	csrf, perr2 := p.Get("csrf")
	ring := s.st.ring.Load()
	browser := s.cookies.browser(r)
	if perr1 != nil || perr2 != nil || sealed == "" {
		bad := badRequestPage(oauth.NewError(oauth.CodeInvalidRequest, "the form is not complete"))
		return nil, &bad
	}
	plain, err := ring.Open(token.PurposeConsent, sealed, s.cfg.Issuer)
	if err != nil {
		return nil, &problemExpired
	}
	var req consentRequest
	if err := json.Unmarshal(plain, &req); err != nil {
		return nil, &problemExpired
	}
	hash := token.Hash(browser)
	if browser == "" || !sameHash(hex.EncodeToString(hash[:]), req.Browser) {
		bad := problemBrowser.withFlow(req.Flow)
		return nil, &bad
	}
	if !ring.CheckMAC(token.PurposeCSRF, csrf, browser, sealed) {
		bad := problemForged.withFlow(req.Flow)
		return nil, &bad
	}
	if s.st.now().After(time.Unix(req.Expires, 0)) {
		bad := problemExpired.withFlow(req.Flow)
		return nil, &bad
	}
	return &req, nil
}

// sameOrigin refuses forms of other sites. Browsers that tell where a request
// comes from are believed; for those that do not, the cookie and the MAC decide.
func (s *Server) sameOrigin(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		return false
	}
	origin := r.Header.Get("Origin")
	return origin == "" || origin == s.cfg.Issuer
}

// denyConsent ends the flow. The address was shown to the user but not approved,
// so only the user's own computer, and what the operator registered, gets a
// redirect (R5.8).
func (s *Server) denyConsent(w http.ResponseWriter, r *http.Request, c *client, req *consentRequest) {
	if err := s.forgetDenied(r, req); err != nil {
		s.showProblem(w, r, problemStore.withCause(err).withFlow(req.Flow))
		return
	}
	a := req.Request
	target := s.errorResponse(a.RedirectURI, a.State, oauth.CodeAccessDenied, "the user declined")
	if c.mayRedirect(a.RedirectURI) {
		s.log.Info("consent denied", "flow", req.Flow, "client_id", a.ClientID)
		seeOther(w, target)
		return
	}
	s.showProblem(w, r, problem{
		status: http.StatusOK, reason: oauth.CodeAccessDenied, flow: req.Flow, title: "You declined",
		text: "The program was not given access. You can close this page.",
		back: backLink(a.RedirectURI, target),
	})
}

// signInChoice is how an approved request goes on upstream.
type signInChoice struct {
	upstream string
	// remember is the client's fingerprint if the decision is to be kept.
	remember storage.Hash
	// askAccount: not whoever happens to be signed in there.
	askAccount bool
}

// beginSignIn records the approval and sends the browser upstream. The upstream
// state and its cookie exist only from here on (R6.4).
func (s *Server) beginSignIn(w http.ResponseWriter, r *http.Request, req *consentRequest, choice signInChoice) {
	up := s.chooseUpstream(choice.upstream)
	if up == nil {
		bad := badRequestPage(oauth.NewError(oauth.CodeInvalidRequest, "no such way to sign in"))
		s.showProblem(w, r, bad.withFlow(req.Flow))
		return
	}
	if g := s.byResource[req.Request.Resource]; g == nil || !s.leadsTo(g, up) {
		s.showProblem(w, r, problemUpstream(up.Label()).withFlow(req.Flow))
		return
	}
	if !s.mayAuthorize(w, r) {
		return
	}
	state, verifier, cookie := token.NewSecret(), token.NewSecret(), token.NewSecret()
	now := s.st.now()
	pending := &storage.Pending{
		Issuer: s.cfg.Issuer, ID: token.Hash(state), Browser: token.Hash(cookie), Upstream: up.Name(),
		Verifier: s.st.ring.Load().Seal(token.PurposeVerifier, []byte(verifier), state),
		Request:  req.Request, Remember: choice.remember, Flow: req.Flow, CreatedAt: now, ExpiresAt: now.Add(flowTTL),
	}
	if err := s.st.store.CreatePending(r.Context(), pending); err != nil {
		s.showProblem(w, r, problemStore.withCause(err).withFlow(req.Flow))
		return
	}
	s.cookies.set(w, stateName(pending.ID), cookie, flowTTL)
	s.log.Info("consent given", "flow", req.Flow, "client_id", req.Request.ClientID,
		"resource", req.Request.Resource, "upstream", up.Name())
	callback := s.cfg.Issuer + oauth.PathCallback + up.Name()
	if rd, ok := up.(upstream.Redirector); ok {
		to, err := rd.AuthCodeURL(r.Context(), upstream.AuthRequest{
			State: state, Verifier: verifier, RedirectURI: callback, AskAccount: choice.askAccount,
		})
		if err != nil {
			s.signInRefused(w, r, pending, up, err)
			return
		}
		seeOther(w, to)
		return
	}
	seeOther(w, callback+"?state="+state)
}

func (s *Server) chooseUpstream(name string) upstream.Upstream {
	if name == "" && len(s.cfg.Upstreams) == 1 {
		return s.cfg.Upstreams[0]
	}
	return s.upstreams[name]
}
