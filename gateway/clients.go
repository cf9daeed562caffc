// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net/http"
	"slices"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/fetch"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/keyset"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// clientSource is where a client is described, which decides how far what it says
// of itself is believed.
type clientSource int

const (
	// sourceRegistered: it registered itself (RFC 7591). Its name is its own claim.
	sourceRegistered clientSource = iota
	// sourceConfigured: the operator wrote it into the configuration.
	sourceConfigured
	// sourceDocument: its client id is the URL of its description.
	sourceDocument
)

// client is a client as this issuer knows it at the moment of a request. It is
// shared and not to be changed.
type client struct {
	storage.Client
	source clientSource
	// host is where the document of a sourceDocument was fetched from.
	host string
	// keys, or what is found at jwksURI, verify a client whose AuthMethod is
	// private_key_jwt; alg is the only algorithm it uses, or empty.
	keys    *keyset.Set
	jwksURI string
	alg     string
}

// verified reports whether more than the client's own word stands behind its name.
func (c *client) verified() bool { return c.source != sourceRegistered }

// mayRedirect reports whether an error may be sent to an address of the client
// before the user approved anything: to the user's own computer, or where whoever
// runs this server wants it (design decision 9).
func (c *client) mayRedirect(redirectURI string) bool {
	kind, perr := oauth.ParseRedirectURI(redirectURI)
	return perr == nil && (kind == oauth.RedirectLoopback || c.source == sourceConfigured)
}

// fingerprint changes whenever something does that a user decided upon or that
// proves the client: its name, its redirect URIs, how it authenticates (R4.12). A
// decision is good for one fingerprint. Keys at a jwks_uri are rotated by their
// owner and not part of it, the address is.
func (c *client) fingerprint() storage.Hash {
	parts := []string{c.Name, c.AuthMethod, c.host, c.jwksURI, ""}
	if c.keys != nil {
		print := c.keys.Thumbprint()
		parts[4] = string(print[:])
	}
	uris := slices.Clone(c.RedirectURIs)
	slices.Sort(uris)
	parts = append(parts, uris...)
	h := sha256.New()
	for _, p := range parts {
		_ = binary.Write(h, binary.BigEndian, uint32(len(p))) // a hash never fails
		h.Write([]byte(p))
	}
	return storage.Hash(h.Sum(nil))
}

// client finds a client by its id: in the configuration, at the URL that the id
// is, in the store. storage.ErrNotFound says that there is none, a *clientError
// that its document is of no use; anything else is a failure of the store.
func (s *Server) client(ctx context.Context, id string) (*client, error) {
	if c, ok := s.configured[id]; ok {
		return c, nil
	}
	if oauth.IsClientDocumentURL(id) {
		return s.documentClient(ctx, id)
	}
	c, err := s.st.store.Client(ctx, s.cfg.Issuer, id)
	if err != nil {
		return nil, err
	}
	return &client{Client: *c}, nil
}

// withSource is the context in which a client is looked up for a request: what has
// to be fetched for it counts against who sent it.
func (s *Server) withSource(r *http.Request) context.Context {
	return fetch.WithSource(r.Context(), s.clientKey(r))
}

// confirmClient is the last look at a client before it gets a code. What it
// publishes may have changed since the user decided (M-34); a registered client
// cannot change, and from here on it counts as used and is no longer collected.
func (s *Server) confirmClient(ctx context.Context, a storage.Authorization) error {
	if s.configured[a.ClientID] == nil && !oauth.IsClientDocumentURL(a.ClientID) {
		return s.st.store.KeepClient(ctx, s.cfg.Issuer, a.ClientID)
	}
	c, err := s.client(ctx, a.ClientID)
	if err != nil {
		return err
	}
	if !oauth.MatchRedirectURI(c.RedirectURIs, a.RedirectURI) {
		return &clientError{page: problemClientChanged, err: errors.New("the redirect URI was removed")}
	}
	return nil
}

// clientError is a client that cannot be used, although its id could name one.
type clientError struct {
	page problem
	// temporary: it may be usable when it is asked for again.
	temporary bool
	err       error
}

// Error is for the log: it says what strangers must not learn.
func (e *clientError) Error() string { return e.page.reason + ": " + e.err.Error() }

// Unwrap returns the cause.
func (e *clientError) Unwrap() error { return e.err }

// clientProblem is the page for an error of client. There is never a redirect: the
// address to send it to is the client's (R4.9).
func clientProblem(err error) problem {
	unusable := (*clientError)(nil)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return problemUnknownClient
	case errors.As(err, &unusable):
		return unusable.page.withCause(err)
	}
	return problemStore.withCause(err)
}

// clientRefused is the answer of a JSON endpoint to an error of client.
// invalid_client makes SDKs forget the client and its tokens: it is said only
// where that is what the client has to do (R4.22).
func (s *Server) clientRefused(id string, err error) *oauth.Error {
	unusable := (*clientError)(nil)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return oauth.NewError(oauth.CodeInvalidClient, "the client is not registered here, register again")
	case !errors.As(err, &unusable):
		return s.storeError("client", err)
	}
	s.log.Info("client refused", "client_id", id, "cause", err.Error())
	if unusable.temporary {
		return &oauth.Error{
			Code: oauth.CodeTemporarilyUnavailable, Status: http.StatusServiceUnavailable,
			Description: "the document or the keys of the client cannot be fetched, try again later",
		}
	}
	return oauth.NewError(oauth.CodeInvalidClient, "the client cannot be used here")
}

// The pages about clients that describe themselves.
var (
	problemClientDocument = problem{
		status: http.StatusBadRequest, reason: "client_document",
		title: "The program cannot be identified",
		text: "The program that sent you here says that it is described at an address, and the gateway found no description there that it accepts. " +
			"To protect you, it does not go on.",
		hint: "Try again in a few minutes. If it stays like this, the reason is in the log of this server.",
	}
	problemClientNotAccepted = problem{
		status: http.StatusForbidden, reason: "client_not_accepted",
		title: "This program is not accepted here",
		text:  "Whoever runs this server decided which programs may connect, and this one is not among them.",
		hint:  "Ask them to accept it, or connect with another program.",
	}
	problemClientChanged = problem{
		status: http.StatusBadRequest, reason: "client_changed",
		title: "The program has changed",
		text:  "What the program publishes about itself changed while you were signing in. Nothing was sent to it.",
		hint:  hintRestart,
	}
)
