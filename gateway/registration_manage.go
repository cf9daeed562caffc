// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// registrationEndpoint answers /register/<client id>, the client configuration
// endpoint (RFC 7592 §2): a client reads its registration or deletes it. It is
// there even while registration is off, or nobody could leave.
//
// There is no update. It could put other redirect URIs under what people have
// consented to; a client that changes registers anew.
func (s *Server) registrationEndpoint(path string) (endpoint, bool) {
	id, ok := strings.CutPrefix(path, oauth.PathRegister+"/")
	if !ok || id == "" || strings.Contains(id, "/") {
		return endpoint{}, false
	}
	return endpoint{
		methods: "GET, DELETE, OPTIONS", open: true,
		refusal: "a registration can be read and deleted but not changed, register anew",
		serve:   func(w http.ResponseWriter, r *http.Request) { s.serveRegistration(w, r, id) },
	}, true
}

func (s *Server) serveRegistration(w http.ResponseWriter, r *http.Request, id string) {
	c, presented, perr := s.registrationOwner(r, id)
	if perr != nil {
		s.refuseManagement(w, r, presented != "", perr)
		return
	}
	if r.Method == http.MethodDelete {
		if perr := s.deleteClient(r.Context(), c.ID); perr != nil {
			s.refuseManagement(w, r, true, perr)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	info := oauth.NewRegistrationResponse(registrationOf(c), c.ID, "", c.CreatedAt)
	// The secret cannot be shown, as only its hash is kept, and is not replaced.
	info.ClientSecretExpiresAt = nil
	info.RegistrationAccessToken, info.RegistrationClientURI = presented, s.registrationURI(c.ID)
	writeJSON(w, http.StatusOK, info)
}

// registrationOwner finds the client whose registration access token the request
// brings. A client that does not exist is answered like a wrong token, so that
// nobody finds out which ids do (RFC 7592 §2.1).
func (s *Server) registrationOwner(r *http.Request, id string) (c *storage.Client, presented string, perr *oauth.Error) {
	wrong := oauth.NewError(oauth.CodeInvalidToken, "the registration access token is missing or not that of this client")
	presented, ok, perr := oauth.ParseBearer(r.Header)
	if perr != nil || !ok {
		return nil, "", orError(perr, wrong)
	}
	// The store alone: clients that the configuration or a document describes
	// have no registration.
	c, err := s.st.store.Client(r.Context(), s.cfg.Issuer, id)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return nil, presented, s.storeError("client", err)
	}
	if err != nil {
		c = &storage.Client{}
	}
	if !equalHash(token.Hash(presented), c.RegistrationHash) {
		return nil, presented, wrong
	}
	return c, presented, nil
}

func orError(e, fallback *oauth.Error) *oauth.Error {
	if e != nil {
		return e
	}
	return fallback
}

// refuseManagement answers an error with the challenge of RFC 6750 §3. Guessing
// counts like guessing a client secret.
func (s *Server) refuseManagement(w http.ResponseWriter, r *http.Request, presented bool, e *oauth.Error) {
	if e.HTTPStatus() == http.StatusUnauthorized {
		challenge := "Bearer"
		if presented {
			challenge = `Bearer error="invalid_token"`
		}
		w.Header().Set("WWW-Authenticate", challenge)
	}
	s.log.Info("registration request refused", "reason", e.Code, "description", e.Description)
	if e.HTTPStatus() < http.StatusInternalServerError {
		if ok, retry := s.limitTokens.Allow(s.clientKey(r)); !ok {
			w.Header().Del("WWW-Authenticate")
			e = tooMany(w, retry)
		}
	}
	writeOAuthError(w, e)
}

// deleteClient removes the client and ends every grant of it, open streams
// included (RFC 7592 §2.3).
func (s *Server) deleteClient(ctx context.Context, id string) *oauth.Error {
	ctx, cancel := finish(ctx)
	defer cancel()
	grants, err := s.st.store.DeleteClient(ctx, s.cfg.Issuer, id)
	for _, grantID := range grants { // gone, whatever came after them
		s.st.forgetGrant(grantID)
	}
	if err != nil {
		return s.storeError("delete client", err)
	}
	s.log.Info("client deleted itself", "client_id", id, "grants", len(grants))
	return nil
}

func (s *Server) registrationURI(id string) string {
	return s.cfg.Issuer + oauth.PathRegister + "/" + id
}

// registrationOf is the metadata we keep of a client, which is what is registered.
func registrationOf(c *storage.Client) *oauth.Registration {
	return &oauth.Registration{
		RedirectURIs: c.RedirectURIs, ClientName: c.Name, ClientURI: c.URI,
		TokenEndpointAuthMethod: c.AuthMethod, GrantTypes: c.GrantTypes, ResponseTypes: []string{"code"},
		Scope: c.Scope, ApplicationType: c.ApplicationType, SoftwareID: c.SoftwareID, SoftwareVersion: c.SoftwareVersion,
	}
}
