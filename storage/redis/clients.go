// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// CreateClient implements storage.Store.
func (s *Store) CreateClient(ctx context.Context, c *storage.Client) error {
	return s.perform(ctx, "create client", func(ctx context.Context) error {
		return clients.insert(ctx, s, c)
	})
}

// Client implements storage.Store.
func (s *Store) Client(ctx context.Context, issuer, id string) (*storage.Client, error) {
	return clients.get(ctx, s, "read client", keyOf(issuer, id))
}

// KeepClient implements storage.Store.
func (s *Store) KeepClient(ctx context.Context, issuer, id string) error {
	return s.perform(ctx, "keep client", func(ctx context.Context) error {
		return clients.update(ctx, s, keyOf(issuer, id), func(c *storage.Client, _ time.Time) (step[storage.Client], error) {
			switch {
			case c == nil:
				return step[storage.Client]{}, storage.ErrNotFound
			case !c.Unused():
				return step[storage.Client]{}, nil
			}
			c.ExpiresAt = time.Time{}
			return step[storage.Client]{put: c}, nil
		})
	})
}

// DeleteClient implements storage.Store. The client goes first: from then on nobody
// redeems a code of it, so the grants that are deleted after it come to an end. If that
// is interrupted, the caller hears of an error and the feed of those that went.
func (s *Store) DeleteClient(ctx context.Context, issuer, id string) ([]string, error) {
	return run(ctx, s, "delete client", func(ctx context.Context) ([]string, error) {
		k := keyOf(issuer, id)
		if err := clients.drop(ctx, s, k, ""); err != nil {
			return nil, err
		}
		var ids []string
		err := grants.dropGroup(ctx, s, grantsOfClient, k, func(id string) { ids = append(ids, id) })
		if err != nil {
			return nil, err
		}
		return ids, nil
	})
}
