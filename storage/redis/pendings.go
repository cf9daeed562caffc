// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// CreatePending implements storage.Store.
func (s *Store) CreatePending(ctx context.Context, p *storage.Pending) error {
	return s.perform(ctx, "create pending authorization", func(ctx context.Context) error {
		return pendings.insert(ctx, s, p)
	})
}

// Pending implements storage.Store.
func (s *Store) Pending(ctx context.Context, issuer string, id storage.Hash) (*storage.Pending, error) {
	return pendings.get(ctx, s, "read pending authorization", keyOf(issuer, string(id[:])))
}

// TakePending implements storage.Store. What cannot be read is not taken: a gateway of a
// newer version may be able to.
func (s *Store) TakePending(ctx context.Context, issuer string, id storage.Hash) (*storage.Pending, error) {
	return run(ctx, s, "take pending authorization", func(ctx context.Context) (*storage.Pending, error) {
		var taken *storage.Pending
		err := pendings.update(ctx, s, keyOf(issuer, string(id[:])), func(p *storage.Pending, _ time.Time) (step[storage.Pending], error) {
			if p == nil {
				return step[storage.Pending]{}, storage.ErrNotFound
			}
			taken = p
			return step[storage.Pending]{drop: true}, nil
		})
		if err != nil {
			return nil, err
		}
		return taken, nil
	})
}
