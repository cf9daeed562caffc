// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"fmt"
	"net/http"

	"github.com/caddy-mcp/caddy-mcp-oauth/gateway/web"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

const pathSignOut = "/signout"

// serveSignOut is the page that ends a browser session. Opening it does nothing.
func (s *Server) serveSignOut(w http.ResponseWriter, r *http.Request) {
	secret := s.sessionSecret(r)
	session, err := s.session(r, secret)
	if err != nil {
		s.showProblem(w, r, problemStore.withCause(err))
		return
	}
	if r.Method == http.MethodPost {
		s.signOut(w, r, secret, session)
		return
	}
	page := &web.SignOut{Action: pathSignOut, Site: s.cfg.Issuer}
	if session != nil {
		page.CSRF = s.st.ring.Load().MAC(token.PurposeCSRF, secret, pathSignOut)
		page.SignedInAs = orElse(session.Identity.Login, session.Identity.ID)
		if up := s.upstreams[session.Identity.Upstream]; up != nil {
			page.SignedInWith = up.Label()
		}
	}
	if err := web.WriteSignOut(w, page); err != nil {
		s.log.Error("sign-out page could not be written", "error", err)
	}
}

// session is the record behind a cookie, also where it no longer signs anybody in
// because its upstream was removed: it can be ended all the same.
func (s *Server) session(r *http.Request, secret string) (*storage.Session, error) {
	if secret == "" {
		return nil, nil
	}
	session, err := s.st.store.Session(r.Context(), s.cfg.Issuer, token.Hash(secret))
	if err != nil {
		return nil, unlessNotFound("read session", err)
	}
	return session, nil
}

// signOut deletes the session and every remembered consent of the account, in this
// order backwards: a sign-out that failed half-way can be tried again. Programs
// that are connected stay so; their grants are not the browser's.
func (s *Server) signOut(w http.ResponseWriter, r *http.Request, secret string, session *storage.Session) {
	if !s.sameOrigin(r) {
		s.showProblem(w, r, problemForged)
		return
	}
	p, perr := readForm(w, r)
	if perr != nil {
		s.showProblem(w, r, badRequestPage(perr))
		return
	}
	if session != nil {
		csrf, _ := p.Get("csrf")
		if !s.st.ring.Load().CheckMAC(token.PurposeCSRF, csrf, secret, pathSignOut) {
			s.showProblem(w, r, problemForged)
			return
		}
		if err := s.endSession(r, session); err != nil {
			s.showProblem(w, r, problemStore.withCause(err))
			return
		}
		s.log.Info("signed out", "subject", session.Subject)
	}
	s.cookies.remove(w, cookieSignIn)
	// A page of its own: loading it again does not post again.
	seeOther(w, s.cfg.Issuer+pathSignOut)
}

func (s *Server) endSession(r *http.Request, session *storage.Session) error {
	if err := s.st.store.DeleteConsents(r.Context(), s.cfg.Issuer, session.Subject); err != nil {
		return fmt.Errorf("delete consents: %w", err)
	}
	if err := s.st.store.DeleteSession(r.Context(), s.cfg.Issuer, session.ID); err != nil {
		return fmt.Errorf("delete session: %w", err)
	}
	return nil
}
