// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"context"
	"errors"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// CreateGrant implements storage.Store.
func (s *Store) CreateGrant(ctx context.Context, g *storage.Grant) error {
	_, err := write(ctx, s, "create grant", func(w *writeTx) (nothing, error) {
		return nothing{}, grants.insert(w, g)
	})
	return err
}

// Grant implements storage.Store.
func (s *Store) Grant(ctx context.Context, issuer, id string) (*storage.Grant, error) {
	return read(ctx, s, "read grant", grants, keyOf(issuer, id))
}

// GrantsOf implements storage.Store.
func (s *Store) GrantsOf(ctx context.Context, subject string) ([]*storage.Grant, error) {
	return readGroup(ctx, s, "read grants of subject", grants, grantsOfSubject, keyOf(subject))
}

// RedeemCode implements storage.Store.
func (s *Store) RedeemCode(ctx context.Context, issuer, grantID string, r storage.Redemption) (*storage.Grant, error) {
	k := keyOf(issuer, grantID)
	return write(ctx, s, "redeem code", func(w *writeTx) (*storage.Grant, error) {
		return grants.edit(w, k, func(g *storage.Grant) (bool, error) { return true, storage.Redeem(g, r, w.now) })
	})
}

// RotateRefresh implements storage.Store.
func (s *Store) RotateRefresh(ctx context.Context, issuer, grantID string, r storage.Rotation) (*storage.Rotated, error) {
	k := keyOf(issuer, grantID)
	return write(ctx, s, "rotate refresh token", func(w *writeTx) (*storage.Rotated, error) {
		var rotated storage.Rotated
		g, err := grants.edit(w, k, func(g *storage.Grant) (changed bool, err error) {
			rotated, err = storage.Rotate(g, r, w.now)
			return !rotated.Repeat, err
		})
		if errors.Is(err, storage.ErrReuse) {
			if dropErr := grants.drop(w, k); dropErr != nil {
				return nil, dropErr
			}
		}
		if err != nil {
			return nil, err
		}
		rotated.Grant = g
		return &rotated, nil
	})
}

// RevokeGrant implements storage.Store. The record is deleted: a grant that is
// not found is exactly what every other verb then sees.
func (s *Store) RevokeGrant(ctx context.Context, issuer, grantID string) error {
	_, err := write(ctx, s, "revoke grant", func(w *writeTx) (nothing, error) {
		return nothing{}, grants.drop(w, keyOf(issuer, grantID))
	})
	return err
}
