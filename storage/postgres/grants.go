// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"errors"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// CreateGrant implements storage.Store.
func (s *Store) CreateGrant(ctx context.Context, g *storage.Grant) error {
	return create(ctx, s, "create grant", grants, g)
}

// Grant implements storage.Store.
func (s *Store) Grant(ctx context.Context, issuer, id string) (*storage.Grant, error) {
	return read(ctx, s, "read grant", grants, keyOf(issuer, id))
}

// GrantsOf implements storage.Store.
func (s *Store) GrantsOf(ctx context.Context, subject string) ([]*storage.Grant, error) {
	return list(ctx, s, "read grants of subject", grants, s.sql.grantsOfSubject, keyOf(subject))
}

// RedeemCode implements storage.Store.
func (s *Store) RedeemCode(ctx context.Context, issuer, grantID string, r storage.Redemption) (*storage.Grant, error) {
	key := keyOf(issuer, grantID)
	return write(ctx, s, "redeem code", func(w *tx) (*storage.Grant, error) {
		g, err := grants.get(w, key)
		if err != nil {
			return nil, err
		}
		if err := storage.Redeem(g.rec, r, w.now); err != nil {
			return nil, err
		}
		return g.rec, grants.replace(w, g, g.rec)
	})
}

// RotateRefresh implements storage.Store. Of all gateways and clients only those
// that present secrets of this grant wait for each other.
func (s *Store) RotateRefresh(ctx context.Context, issuer, grantID string, r storage.Rotation) (*storage.Rotated, error) {
	key := keyOf(issuer, grantID)
	return write(ctx, s, "rotate refresh token", func(w *tx) (*storage.Rotated, error) {
		g, err := grants.get(w, key)
		if err != nil {
			return nil, err
		}
		rotated, err := storage.Rotate(g.rec, r, w.now)
		if errors.Is(err, storage.ErrReuse) {
			grants.remove(w, key)
			w.announce(storage.ChangeGrant, grantID)
		}
		if err != nil {
			return nil, err
		}
		rotated.Grant = g.rec
		if rotated.Repeat {
			return &rotated, nil
		}
		return &rotated, grants.replace(w, g, g.rec)
	})
}

// RevokeGrant implements storage.Store. The record is deleted: a grant that is
// not found is exactly what every other verb then sees.
func (s *Store) RevokeGrant(ctx context.Context, issuer, grantID string) error {
	key := keyOf(issuer, grantID)
	_, err := write(ctx, s, "revoke grant", func(w *tx) (nothing, error) {
		n, err := w.changeNow(s.sql.tables[grants.name].delete, key)
		// What was not there is no change: repeating it costs the feed nothing.
		if n > 0 {
			w.announce(storage.ChangeGrant, grantID)
		}
		return nothing{}, err
	})
	return err
}
