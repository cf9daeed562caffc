// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// CreateKey implements storage.Store.
func (s *Store) CreateKey(ctx context.Context, k *storage.Key) error {
	return s.perform(ctx, "create key", func(ctx context.Context) error {
		return signingKeys.insert(ctx, s, k)
	})
}

// Keys implements storage.Store.
func (s *Store) Keys(ctx context.Context, issuer string) ([]*storage.Key, error) {
	return run(ctx, s, "read keys", func(ctx context.Context) ([]*storage.Key, error) {
		found, err := signingKeys.readGroup(ctx, s, keysOfIssuer, keyOf(issuer))
		slices.SortFunc(found, func(a, b *storage.Key) int {
			return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
		})
		return found, err
	})
}

// ReplaceKey implements storage.Store.
func (s *Store) ReplaceKey(ctx context.Context, k *storage.Key) error {
	return s.perform(ctx, "replace key", func(ctx context.Context) error {
		return signingKeys.update(ctx, s, signingKeys.key(k), func(old *storage.Key, _ time.Time) (step[storage.Key], error) {
			if old == nil {
				return step[storage.Key]{}, storage.ErrNotFound
			}
			return step[storage.Key]{put: k}, nil
		})
	})
}
