// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/fetch"
	"github.com/caddy-mcp/caddy-mcp-oauth/internal/keyset"
	"github.com/caddy-mcp/caddy-mcp-oauth/oauth"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

const (
	documentCapacity = 1024
	keysCapacity     = 512
)

// remoteClients is what clients publish about themselves: documents at their ids,
// and keys. It belongs to no configuration and to no issuer, so a reload asks
// nobody again.
type remoteClients struct {
	documents *fetch.Cache[*client]
	keys      *fetch.Cache[*keyset.Set]
}

func newRemoteClients(c *fetch.Client, now func() time.Time) *remoteClients {
	if c == nil {
		c = fetch.New(fetch.Options{})
	}
	budget := fetch.NewBudget(now)
	return &remoteClients{
		documents: fetch.NewCache(fetch.CacheOptions[*client]{
			Client: c, Budget: budget, Now: now, Parse: parseDocument,
			Limit: oauth.MaxClientDocumentBytes, Capacity: documentCapacity,
		}),
		keys: fetch.NewCache(fetch.CacheOptions[*keyset.Set]{
			Client: c, Budget: budget, Now: now, Limit: keyset.MaxBytes, Capacity: keysCapacity,
			Parse: func(_ string, body []byte) (*keyset.Set, error) { return keyset.Parse(body) },
		}),
	}
}

// parseDocument makes a client of its document. It has no issuer: it is the same
// at all of them.
func parseDocument(clientID string, body []byte) (*client, error) {
	host, perr := oauth.ClientDocumentHost(clientID)
	if perr != nil {
		return nil, perr
	}
	doc, perr := oauth.ParseClientDocument(clientID, body)
	if perr != nil {
		return nil, perr
	}
	c := &client{source: sourceDocument, host: host, jwksURI: doc.JWKSURI, alg: doc.SigningAlg, Client: storage.Client{
		ID: doc.ClientID, Name: doc.ClientName, URI: doc.ClientURI, RedirectURIs: doc.RedirectURIs,
		AuthMethod: doc.TokenEndpointAuthMethod, GrantTypes: doc.GrantTypes, Scope: doc.Scope,
		ApplicationType: doc.ApplicationType, SoftwareID: doc.SoftwareID, SoftwareVersion: doc.SoftwareVersion,
	}}
	if doc.JWKS != nil {
		var err error
		if c.keys, err = keyset.Parse(doc.JWKS); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// documentClient fetches the client whose id is a URL, if this issuer accepts it.
// Whoever only probes what can be reached from here learns nothing: all that can
// go wrong with a fetch has one page, and one error.
func (s *Server) documentClient(ctx context.Context, id string) (*client, error) {
	if !s.cfg.ClientDocuments.Enabled {
		return nil, storage.ErrNotFound
	}
	host, perr := oauth.ClientDocumentHost(id)
	if perr != nil {
		return nil, &clientError{page: problemClientDocument, err: perr}
	}
	if strings.EqualFold(host, s.ownHost) {
		// Whatever can be put on this site would be shown as published by it.
		return nil, &clientError{page: problemClientDocument, err: errors.New("the document is on the host of this server")}
	}
	if d := s.cfg.ClientDocuments.Domains; len(d) > 0 && !slices.Contains(d, host) {
		return nil, &clientError{page: problemClientNotAccepted, err: errors.New("host " + host + " is not among client_id_documents")}
	}
	c, err := s.st.remote.documents.Get(ctx, id)
	if err != nil {
		return nil, remoteError(err)
	}
	return c, nil
}

// remoteError keeps the cause for the log.
func remoteError(err error) *clientError {
	f := (*fetch.Failure)(nil)
	if !errors.As(err, &f) {
		return &clientError{page: problemClientDocument, err: err, temporary: true}
	}
	return &clientError{page: problemClientDocument, err: errors.New(f.Detail()), temporary: f.Temporary}
}
