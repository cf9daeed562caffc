// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// SaveConsent implements storage.Store.
func (s *Store) SaveConsent(ctx context.Context, c *storage.Consent) error {
	return s.perform(ctx, "save consent", func(ctx context.Context) error {
		return consents.update(ctx, s, consents.key(c), func(*storage.Consent, time.Time) (step[storage.Consent], error) {
			return step[storage.Consent]{put: c}, nil
		})
	})
}

// Consent implements storage.Store.
func (s *Store) Consent(ctx context.Context, issuer string, id storage.Hash) (*storage.Consent, error) {
	return consents.get(ctx, s, "read consent", keyOf(issuer, string(id[:])))
}

// DeleteConsents implements storage.Store.
func (s *Store) DeleteConsents(ctx context.Context, issuer, subject string) error {
	return s.perform(ctx, "delete consents", func(ctx context.Context) error {
		return consents.dropGroup(ctx, s, consentsOfSubject, keyOf(issuer, subject), func(string) {})
	})
}
