// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// RememberOnce implements storage.Store. Its end is counted from the time of the server,
// which has to be read before.
func (s *Store) RememberOnce(ctx context.Context, issuer string, id storage.Hash, ttl time.Duration) error {
	return s.perform(ctx, "remember once", func(ctx context.Context) error {
		if ttl <= 0 {
			return storage.ErrExists
		}
		return usedIDs.update(ctx, s, keyOf(issuer, string(id[:])), func(used *storage.Once, now time.Time) (step[storage.Once], error) {
			if used != nil {
				return step[storage.Once]{}, storage.ErrExists
			}
			return step[storage.Once]{put: &storage.Once{Issuer: issuer, ID: id, ExpiresAt: now.Add(ttl)}}, nil
		})
	})
}
