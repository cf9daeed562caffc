// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"context"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// RememberOnce implements storage.Store.
func (s *Store) RememberOnce(ctx context.Context, issuer string, id storage.Hash, ttl time.Duration) error {
	_, err := write(ctx, s, "remember once", func(w *writeTx) (nothing, error) {
		if ttl <= 0 {
			return nothing{}, storage.ErrExists
		}
		return nothing{}, usedIDs.insert(w, &storage.Once{Issuer: issuer, ID: id, ExpiresAt: w.now.Add(ttl)})
	})
	return err
}
