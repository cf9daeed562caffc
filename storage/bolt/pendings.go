// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"context"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// CreatePending implements storage.Store.
func (s *Store) CreatePending(ctx context.Context, p *storage.Pending) error {
	_, err := write(ctx, s, "create pending authorization", func(w *writeTx) (nothing, error) {
		return nothing{}, pendings.insert(w, p)
	})
	return err
}

// Pending implements storage.Store.
func (s *Store) Pending(ctx context.Context, issuer string, id storage.Hash) (*storage.Pending, error) {
	return read(ctx, s, "read pending authorization", pendings, keyOf(issuer, string(id[:])))
}

// TakePending implements storage.Store.
func (s *Store) TakePending(ctx context.Context, issuer string, id storage.Hash) (*storage.Pending, error) {
	k := keyOf(issuer, string(id[:]))
	return write(ctx, s, "take pending authorization", func(w *writeTx) (*storage.Pending, error) {
		p, err := pendings.get(w.tx, k, w.now)
		if err != nil {
			return nil, err
		}
		return p, pendings.remove(w, k, p)
	})
}
