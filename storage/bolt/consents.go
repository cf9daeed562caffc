// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"context"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// SaveConsent implements storage.Store.
func (s *Store) SaveConsent(ctx context.Context, c *storage.Consent) error {
	_, err := write(ctx, s, "save consent", func(w *writeTx) (nothing, error) {
		return nothing{}, consents.replace(w, c)
	})
	return err
}

// Consent implements storage.Store.
func (s *Store) Consent(ctx context.Context, issuer string, id storage.Hash) (*storage.Consent, error) {
	return read(ctx, s, "read consent", consents, keyOf(issuer, string(id[:])))
}

// DeleteConsents implements storage.Store.
func (s *Store) DeleteConsents(ctx context.Context, issuer, subject string) error {
	_, err := write(ctx, s, "delete consents", func(w *writeTx) (nothing, error) {
		return nothing{}, consents.dropGroup(w, consentsOfSubject, keyOf(issuer, subject), func(*storage.Consent) {})
	})
	return err
}
