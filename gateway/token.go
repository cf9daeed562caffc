// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/token"
)

// tokenResponse is RFC 6749 §5.1. Scope is always there: clients decide by it
// whether to ask for more (R7.9).
type tokenResponse struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	RefreshToken string `json:"refresh_token"`
	Scope        string `json:"scope"`
}

// serveToken is the token endpoint (RFC 6749 §3.2).
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	p, perr := readForm(w, r)
	if perr != nil {
		writeOAuthError(w, perr)
		return
	}
	c, perr := s.authenticateClient(w, r, p)
	if perr != nil {
		s.refuseToken(w, r, "", perr)
		return
	}
	req, perr := oauth.ParseTokenRequest(p)
	if perr != nil {
		s.refuseToken(w, r, c.ID, perr)
		return
	}
	var resp *tokenResponse
	switch req.GrantType {
	case oauth.GrantAuthorizationCode:
		resp, perr = s.exchangeCode(r.Context(), c, req)
	case oauth.GrantRefreshToken:
		resp, perr = s.exchangeRefresh(r.Context(), c, req)
	default:
		perr = oauth.NewError(oauth.CodeUnsupportedGrantType, "grant_type is not supported")
	}
	if perr != nil {
		s.refuseToken(w, r, c.ID, perr)
		return
	}
	w.Header().Set("Pragma", "no-cache")
	writeJSON(w, http.StatusOK, resp)
}

// refuseToken answers an error. Failures count against the sender's limit, never
// successes: hosted clients refresh for all their users from a few addresses.
func (s *Server) refuseToken(w http.ResponseWriter, r *http.Request, clientID string, e *oauth.Error) {
	s.log.Info("token request refused", "reason", e.Code, "description", e.Description, "client_id", clientID)
	if e.HTTPStatus() < http.StatusInternalServerError {
		if ok, retry := s.limitTokens.Allow(s.clientKey(r)); !ok {
			writeOAuthError(w, tooMany(w, retry))
			return
		}
	}
	if e.Code == oauth.CodeInvalidClient && r.Header.Get("Authorization") != "" {
		w.Header().Set("WWW-Authenticate", `Basic realm="token endpoint"`)
	}
	writeOAuthError(w, e)
}

// storeError logs the cause of a failed verb and tells the client to come back.
func (s *Server) storeError(verb string, err error) *oauth.Error {
	if errors.Is(err, context.Canceled) { // the client did not wait for its answer
		s.log.Info("client gone before the store answered", "verb", verb)
		return unavailable()
	}
	s.st.count(EventStoreFailed)
	s.log.Error("store failed", "verb", verb, "error", err)
	return unavailable()
}

// authenticateClient finds the client and has it prove who it is, in the way it is
// registered for (R7.3). A client we do not know is invalid_client, which makes
// SDKs register again (R4.22).
func (s *Server) authenticateClient(w http.ResponseWriter, r *http.Request, p oauth.Params) (*client, *oauth.Error) {
	cred, perr := oauth.ParseClientCredentials(r.Header, p)
	if perr != nil {
		return nil, perr
	}
	ctx := s.withSource(r)
	c, err := s.client(ctx, cred.ID)
	if err != nil {
		return nil, s.clientRefused(cred.ID, err)
	}
	if retry := s.mayProve(r, c, cred); retry > 0 {
		return nil, tooMany(w, retry)
	}
	if perr := s.proveClient(ctx, c, cred); perr != nil {
		if c.AuthMethod != oauth.AuthNone && perr.HTTPStatus() < http.StatusInternalServerError {
			s.limitProofs.Allow(s.proofKey(r, c))
		}
		return nil, perr
	}
	return c, nil
}

// mayProve is how long to wait before a client may prove who it is from here: too
// many wrong secrets or signatures came from this address in its name. It is asked
// before the work, which guessing is about and a signature makes dear. The address
// and the client count together, so that nobody is kept out by what others send
// in their name. Right assertions are counted too, ten times as wide: each one
// leaves a record behind.
func (s *Server) mayProve(r *http.Request, c *client, cred *oauth.ClientCredentials) time.Duration {
	if c.AuthMethod == oauth.AuthNone {
		return 0
	}
	key := s.proofKey(r, c)
	if ok, retry := s.limitProofs.Check(key); !ok {
		return retry
	}
	if cred.Method == oauth.AuthPrivateKeyJWT {
		if ok, retry := s.limitAssertions.Allow(key); !ok {
			return retry
		}
	}
	return 0
}

func (s *Server) proofKey(r *http.Request, c *client) string { return s.clientKey(r) + " " + c.ID }

func (s *Server) proveClient(ctx context.Context, c *client, cred *oauth.ClientCredentials) *oauth.Error {
	asserted := cred.Method == oauth.AuthPrivateKeyJWT
	switch {
	case asserted != (c.AuthMethod == oauth.AuthPrivateKeyJWT):
		return oauth.NewError(oauth.CodeInvalidClient, "the client is registered for authentication with %s", c.AuthMethod)
	case asserted:
		return s.verifyAssertion(ctx, c, cred.Assertion)
	case c.AuthMethod == oauth.AuthNone:
		return nil
	}
	// A confidential client may send its secret either way: which one it
	// registered for is often not what it does. Nor do all encode it in Basic.
	if !equalHash(token.Hash(cred.Secret), c.SecretHash) && !equalHash(token.Hash(cred.RawSecret), c.SecretHash) {
		return oauth.NewError(oauth.CodeInvalidClient, "the client secret is missing or wrong")
	}
	return nil
}

// grantFor reads the grant a code or refresh token names. Whatever is wrong with
// it, the client learns the same: invalid_grant, which makes it sign in again.
func (s *Server) grantFor(ctx context.Context, grantID string, c *client, req *oauth.TokenRequest) (*storage.Grant, *oauth.Error) {
	g, err := s.st.store.Grant(ctx, s.cfg.Issuer, grantID)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		s.st.forgetGrant(grantID) // perhaps revoked by a request that did not get this far
		return nil, invalidGrant("it expired or was revoked")
	case err != nil:
		return nil, s.storeError("grant", err)
	case g.ClientID != c.ID:
		return nil, invalidGrant("it was issued to another client")
	}
	return g, s.checkResource(g, req.Resources)
}

// checkResource holds a token request to the resource that was authorized. Absent
// means that one; several clients send it only at /authorize (R7.5).
func (s *Server) checkResource(g *storage.Grant, requested []string) *oauth.Error {
	guard := s.byResource[g.Resource]
	if guard == nil {
		return invalidGrant("its resource is no longer served here")
	}
	if len(requested) == 0 {
		return nil
	}
	got, perr := s.resolveResource(requested)
	if perr != nil {
		return perr
	}
	if got != guard && !isOrigin(requested, s.cfg.Issuer) {
		return oauth.NewError(oauth.CodeInvalidTarget, "resource is not the one that was authorized")
	}
	return nil
}

// isOrigin: the bare origin is what some clients send for whatever they were
// given; it asks for no other resource by name.
func isOrigin(requested []string, issuer string) bool {
	return len(requested) == 1 && requested[0] == issuer
}

// respond makes the token set of a grant.
func (s *Server) respond(g *storage.Grant, scopes []string, refresh string) (*tokenResponse, *oauth.Error) {
	now := s.st.now()
	expires := now.Add(s.cfg.AccessTokenTTL)
	if expires.After(g.ExpiresAt) {
		expires = g.ExpiresAt
	}
	access, err := s.st.ring.Load().SealAccess(token.Access{
		Issuer: g.Issuer, GrantID: g.ID, Subject: g.Subject, ClientID: g.ClientID,
		Resource: g.Resource, Scopes: scopes, ExpiresAt: expires,
	})
	if err != nil {
		return nil, s.storeError("seal", err)
	}
	return &tokenResponse{
		AccessToken: access, TokenType: "Bearer", ExpiresIn: int64(expires.Sub(now) / time.Second),
		RefreshToken: refresh, Scope: oauth.FormatScope(scopes),
	}, nil
}

// stillAllowed asks the policy of now about facts that were checked lately enough.
// The grant is kept: the configuration may change back, and the guard refuses its
// tokens meanwhile. What the check took away, it has revoked.
func (s *Server) stillAllowed(ctx context.Context, g *storage.Grant) *oauth.Error {
	id, refused := g.Identity, refusedToken{}
	a, err := s.st.currentAccount(ctx, g.Subject)
	if errors.Is(err, storage.ErrNotFound) && s.st.outdated(g) {
		err = errTokenSignIn
	}
	switch {
	case err == nil:
		id = a.Identity
	case errors.As(err, &refused):
		return invalidGrant(refused.description)
	case errors.Is(err, errUpstreamOutage):
		s.log.Warn("token request refused, the account could not be checked for too long", "subject", g.Subject)
		return outage()
	case !errors.Is(err, storage.ErrNotFound):
		return s.storeError("account", err)
	}
	if guard := s.byResource[g.Resource]; guard == nil || !guard.cfg.Policy.Allows(id) {
		s.st.count(EventNotAllowed)
		s.log.Warn("account no longer allowed", "subject", g.Subject, "resource", g.Resource)
		return invalidGrant("the account is not allowed to use this resource")
	}
	if s.forwards(g.Resource) && (!g.ForwardsToken || a == nil || !s.st.canForward(a)) {
		return invalidGrant(errTokenUpstream.description)
	}
	return nil
}

// outage is the answer where the upstream could not be asked for too long.
func outage() *oauth.Error {
	return &oauth.Error{
		Code: oauth.CodeTemporarilyUnavailable, Status: http.StatusServiceUnavailable,
		Description: "the identity provider cannot be asked at the moment, try again later",
	}
}

func invalidGrant(why string) *oauth.Error {
	return oauth.NewError(oauth.CodeInvalidGrant, "%s", fmt.Sprintf("the code or refresh token cannot be used: %s", why))
}
