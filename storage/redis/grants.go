// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// CreateGrant implements storage.Store.
func (s *Store) CreateGrant(ctx context.Context, g *storage.Grant) error {
	return s.perform(ctx, "create grant", func(ctx context.Context) error {
		return grants.insert(ctx, s, g)
	})
}

// Grant implements storage.Store.
func (s *Store) Grant(ctx context.Context, issuer, id string) (*storage.Grant, error) {
	return grants.get(ctx, s, "read grant", keyOf(issuer, id))
}

// GrantsOf implements storage.Store.
func (s *Store) GrantsOf(ctx context.Context, subject string) ([]*storage.Grant, error) {
	return run(ctx, s, "read grants of subject", func(ctx context.Context) ([]*storage.Grant, error) {
		return grants.readGroup(ctx, s, grantsOfSubject, keyOf(subject))
	})
}

// RedeemCode implements storage.Store.
func (s *Store) RedeemCode(ctx context.Context, issuer, grantID string, r storage.Redemption) (*storage.Grant, error) {
	return run(ctx, s, "redeem code", func(ctx context.Context) (*storage.Grant, error) {
		var redeemed *storage.Grant
		err := grants.update(ctx, s, keyOf(issuer, grantID), func(g *storage.Grant, now time.Time) (step[storage.Grant], error) {
			if g == nil {
				return step[storage.Grant]{}, storage.ErrNotFound
			}
			if err := storage.Redeem(g, r, now); err != nil {
				return step[storage.Grant]{}, err
			}
			redeemed = g
			return step[storage.Grant]{put: g}, nil
		})
		if err != nil {
			return nil, err
		}
		return redeemed, nil
	})
}

// RotateRefresh implements storage.Store.
func (s *Store) RotateRefresh(ctx context.Context, issuer, grantID string, r storage.Rotation) (*storage.Rotated, error) {
	return run(ctx, s, "rotate refresh token", func(ctx context.Context) (*storage.Rotated, error) {
		var rotated storage.Rotated
		err := grants.update(ctx, s, keyOf(issuer, grantID), func(g *storage.Grant, now time.Time) (step[storage.Grant], error) {
			if g == nil {
				return step[storage.Grant]{}, storage.ErrNotFound
			}
			var err error
			if rotated, err = storage.Rotate(g, r, now); err != nil {
				reuse := errors.Is(err, storage.ErrReuse)
				return step[storage.Grant]{drop: reuse, announce: reuse}, err
			}
			rotated.Grant = g
			if rotated.Repeat {
				return step[storage.Grant]{}, nil
			}
			return step[storage.Grant]{put: g}, nil
		})
		if err != nil {
			return nil, err
		}
		return &rotated, nil
	})
}

// RevokeGrant implements storage.Store. The record is deleted: a grant that is not found
// is exactly what every other verb then sees.
func (s *Store) RevokeGrant(ctx context.Context, issuer, grantID string) error {
	return s.perform(ctx, "revoke grant", func(ctx context.Context) error {
		return grants.drop(ctx, s, keyOf(issuer, grantID), feedName(grantID))
	})
}
