// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// SaveConsent implements storage.Store.
func (s *Store) SaveConsent(ctx context.Context, c *storage.Consent) error {
	_, err := write(ctx, s, "save consent", func(w *tx) (nothing, error) {
		old := consents.lock(w, consents.key(c))
		if err := w.flush(); err != nil {
			return nothing{}, err
		}
		return nothing{}, consents.replace(w, *old, c)
	})
	return err
}

// Consent implements storage.Store.
func (s *Store) Consent(ctx context.Context, issuer string, id storage.Hash) (*storage.Consent, error) {
	return read(ctx, s, "read consent", consents, keyOf(issuer, string(id[:])))
}

// DeleteConsents implements storage.Store.
func (s *Store) DeleteConsents(ctx context.Context, issuer, subject string) error {
	return s.exec(ctx, "delete consents", s.sql.consentsOfSubject, keyOf(issuer, subject))
}
