// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// CreatePending implements storage.Store.
func (s *Store) CreatePending(ctx context.Context, p *storage.Pending) error {
	return create(ctx, s, "create pending authorization", pendings, p)
}

// Pending implements storage.Store.
func (s *Store) Pending(ctx context.Context, issuer string, id storage.Hash) (*storage.Pending, error) {
	return read(ctx, s, "read pending authorization", pendings, keyOf(issuer, string(id[:])))
}

// TakePending implements storage.Store. It is one statement, so one that cannot be
// read is gone, too: it was good for minutes and for one browser.
func (s *Store) TakePending(ctx context.Context, issuer string, id storage.Hash) (*storage.Pending, error) {
	const repeatable = false
	return fetch(ctx, s, "take pending authorization", repeatable, pendings, s.sql.tables[pendings.name].take, keyOf(issuer, string(id[:])))
}
