// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"cmp"
	"context"
	"slices"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// CreateKey implements storage.Store.
func (s *Store) CreateKey(ctx context.Context, k *storage.Key) error {
	_, err := write(ctx, s, "create key", func(w *writeTx) (nothing, error) {
		return nothing{}, signingKeys.insert(w, k)
	})
	return err
}

// Keys implements storage.Store.
func (s *Store) Keys(ctx context.Context, issuer string) ([]*storage.Key, error) {
	keys, err := readGroup(ctx, s, "read keys", signingKeys, keysOfIssuer, keyOf(issuer))
	slices.SortFunc(keys, func(a, b *storage.Key) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return keys, err
}

// ReplaceKey implements storage.Store.
func (s *Store) ReplaceKey(ctx context.Context, k *storage.Key) error {
	_, err := write(ctx, s, "replace key", func(w *writeTx) (nothing, error) {
		if _, err := signingKeys.get(w.tx, signingKeys.key(k), w.now); err != nil {
			return nothing{}, err
		}
		return nothing{}, signingKeys.replace(w, k)
	})
	return err
}
