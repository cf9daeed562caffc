// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"errors"
	"net/http"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// unusedClientTTL is when a client that never completed a sign-in is collected.
const unusedClientTTL = 24 * time.Hour

// serveRegister is the client registration endpoint (RFC 7591 §3).
func (s *Server) serveRegister(w http.ResponseWriter, r *http.Request) {
	reg, perr := s.readRegistration(w, r)
	if perr != nil {
		// What is refused names no redirect host to count under, so it counts for
		// its sender.
		if ok, retry := s.limitRegistrations.Allow(s.clientKey(r)); !ok {
			w.Header().Del("WWW-Authenticate")
			perr = tooMany(w, retry)
		}
		s.refuseRegistration(w, perr)
		return
	}
	if ok, retry := s.mayRegister(r, reg); !ok {
		s.refuseRegistration(w, tooMany(w, retry))
		return
	}
	c, secret := s.newClient(reg)
	manage := token.NewRegistrationToken()
	c.RegistrationHash = token.Hash(manage)
	switch err := s.st.store.CreateClient(r.Context(), c); {
	case errors.Is(err, storage.ErrFull):
		s.log.Error("registration refused: too many clients that never signed in")
		w.Header().Set("Retry-After", "600")
		s.refuseRegistration(w, unavailable())
		return
	case err != nil:
		s.refuseRegistration(w, s.storeError("create client", err))
		return
	}
	s.st.count(EventClientRegistered)
	s.log.Info("client registered", "client_id", c.ID, "redirect_host", oauth.RedirectHost(c.RedirectURIs[0]))
	info := oauth.NewRegistrationResponse(registrationOf(c), c.ID, secret, c.CreatedAt)
	info.RegistrationAccessToken, info.RegistrationClientURI = manage, s.registrationURI(c.ID)
	writeJSON(w, http.StatusCreated, info)
}

// readRegistration reads and checks what a client wants to be registered as.
func (s *Server) readRegistration(w http.ResponseWriter, r *http.Request) (*oauth.Registration, *oauth.Error) {
	if perr := s.checkInitialAccess(w, r); perr != nil {
		return nil, perr
	}
	body, perr := readBody(w, r, "application/json", oauth.CodeInvalidClientMetadata)
	if perr != nil {
		return nil, perr
	}
	reg, perr := oauth.ParseRegistration(body)
	if perr == nil && s.namesOwnHost(reg.RedirectURIs) {
		perr = oauth.NewError(oauth.CodeInvalidRedirectURI, "redirect_uris must not be on the host of this authorization server")
	}
	return reg, perr
}

func (s *Server) refuseRegistration(w http.ResponseWriter, e *oauth.Error) {
	s.log.Info("registration refused", "reason", e.Code, "description", e.Description)
	writeOAuthError(w, e)
}

// checkInitialAccess asks for the initial access token, where one is configured
// (RFC 7591 §3).
func (s *Server) checkInitialAccess(w http.ResponseWriter, r *http.Request) *oauth.Error {
	if s.cfg.Registration.Mode != RegistrationToken {
		return nil
	}
	got, ok, perr := oauth.ParseBearer(r.Header)
	if perr != nil {
		return perr
	}
	if ok && equalHash(token.Hash(got), token.Hash(s.cfg.Registration.Token)) {
		return nil
	}
	w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	return &oauth.Error{
		Code: oauth.CodeInvalidToken, Status: http.StatusUnauthorized,
		Description: "registration needs the initial access token of this server",
	}
}

// newClient makes the record. Only a confidential client gets a secret, and only
// its hash is kept.
func (s *Server) newClient(reg *oauth.Registration) (*storage.Client, string) {
	now := s.st.now()
	c := &storage.Client{
		Issuer: s.cfg.Issuer, ID: token.NewClientID(), Name: reg.ClientName, URI: reg.ClientURI,
		RedirectURIs: reg.RedirectURIs, AuthMethod: reg.TokenEndpointAuthMethod,
		GrantTypes: reg.GrantTypes, Scope: reg.Scope, ApplicationType: reg.ApplicationType,
		SoftwareID: reg.SoftwareID, SoftwareVersion: reg.SoftwareVersion,
		CreatedAt: now, ExpiresAt: now.Add(unusedClientTTL),
	}
	if c.AuthMethod == oauth.AuthNone {
		return c, ""
	}
	secret := token.NewClientSecret()
	c.SecretHash = token.Hash(secret)
	return c, secret
}
