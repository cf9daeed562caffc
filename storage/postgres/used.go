// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// RememberOnce implements storage.Store.
func (s *Store) RememberOnce(ctx context.Context, issuer string, id storage.Hash, ttl time.Duration) error {
	_, err := write(ctx, s, "remember once", func(w *tx) (nothing, error) {
		if ttl <= 0 {
			return nothing{}, storage.ErrExists
		}
		o := &storage.Once{Issuer: issuer, ID: id}
		old := usedIDs.lock(w, usedIDs.key(o))
		if err := w.flush(); err != nil {
			return nothing{}, err
		}
		if _, err := usedIDs.live(*old, w.now); err == nil {
			return nothing{}, storage.ErrExists
		}
		o.ExpiresAt = w.now.Add(ttl)
		return nothing{}, usedIDs.replace(w, *old, o)
	})
	return err
}
