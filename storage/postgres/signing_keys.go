// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"cmp"
	"context"
	"slices"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// CreateKey implements storage.Store.
func (s *Store) CreateKey(ctx context.Context, k *storage.Key) error {
	return create(ctx, s, "create key", signingKeys, k)
}

// Keys implements storage.Store.
func (s *Store) Keys(ctx context.Context, issuer string) ([]*storage.Key, error) {
	keys, err := list(ctx, s, "read keys", signingKeys, s.sql.keysOfIssuer, keyOf(issuer))
	slices.SortFunc(keys, func(a, b *storage.Key) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return keys, err
}

// ReplaceKey implements storage.Store.
func (s *Store) ReplaceKey(ctx context.Context, k *storage.Key) error {
	_, err := write(ctx, s, "replace key", func(w *tx) (nothing, error) {
		old, err := signingKeys.get(w, signingKeys.key(k))
		if err != nil {
			return nothing{}, err
		}
		return nothing{}, signingKeys.replace(w, old, k)
	})
	return err
}
