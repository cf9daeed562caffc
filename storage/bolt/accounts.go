// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"context"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// SaveAccount implements storage.Store.
func (s *Store) SaveAccount(ctx context.Context, a *storage.Account) error {
	_, err := write(ctx, s, "save account", func(w *writeTx) (nothing, error) {
		return nothing{}, accounts.replace(w, a)
	})
	return err
}

// Account implements storage.Store.
func (s *Store) Account(ctx context.Context, subject string) (*storage.Account, error) {
	return read(ctx, s, "read account", accounts, keyOf(subject))
}
