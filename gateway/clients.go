// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"

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

// client is a client as this issuer knows it at the moment of a request.
type client struct {
	storage.Client
	source clientSource
	// host is where the document of a sourceDocument was fetched from.
	host string
}

// verified reports whether more than the client's own word stands behind its name.
func (c *client) verified() bool { return c.source != sourceRegistered }

// fingerprint changes whenever something does that a user decided upon or that
// proves the client: its name, its redirect URIs, how it authenticates (R4.12). A
// decision is good for one fingerprint.
func (c *client) fingerprint() storage.Hash {
	parts := []string{c.Name, c.AuthMethod, c.host}
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

// client finds a client by its id. storage.ErrNotFound says that there is none.
func (s *Server) client(ctx context.Context, id string) (*client, error) {
	c, err := s.st.store.Client(ctx, s.cfg.Issuer, id)
	if err != nil {
		return nil, err
	}
	return &client{Client: *c}, nil
}
