// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"context"
	"encoding/hex"
	"errors"

	"go.etcd.io/bbolt"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// SaveAccount implements storage.Store.
func (s *Store) SaveAccount(ctx context.Context, a *storage.Account) error {
	_, err := write(ctx, s, "save account", func(w *writeTx) (nothing, error) {
		switch old, err := accounts.get(w.tx, keyOf(a.Subject), w.now); {
		case err == nil:
			return nothing{}, putAccount(w, a, old.Revision+1)
		case !errors.Is(err, storage.ErrNotFound):
			return nothing{}, err
		}
		return nothing{}, putAccount(w, a, 1)
	})
	return err
}

// ReplaceAccount implements storage.Store.
func (s *Store) ReplaceAccount(ctx context.Context, a *storage.Account) error {
	_, err := write(ctx, s, "replace account", func(w *writeTx) (nothing, error) {
		old, err := accounts.get(w.tx, keyOf(a.Subject), w.now)
		switch {
		case err != nil:
			return nothing{}, err
		case old.Revision != a.Revision:
			return nothing{}, storage.ErrChanged
		}
		return nothing{}, putAccount(w, a, old.Revision+1)
	})
	return err
}

// putAccount leaves the caller's record as it is.
func putAccount(w *writeTx, a *storage.Account, revision uint64) error {
	next := *a
	next.Revision = revision
	return accounts.replace(w, &next)
}

// Account implements storage.Store.
func (s *Store) Account(ctx context.Context, subject string) (*storage.Account, error) {
	return read(ctx, s, "read account", accounts, keyOf(subject))
}

var errCursor = errors.New("not a cursor of this store")

// Accounts implements storage.Store. The cursor is the key of the last record seen.
func (s *Store) Accounts(ctx context.Context, cursor string, limit int) (page []*storage.Account, next string, err error) {
	const verb = "list accounts"
	after, err := hex.DecodeString(cursor)
	if err != nil || len(after) != 0 && len(after) != len(key{}) {
		return nil, "", explain(verb, errCursor)
	}
	if err := ctx.Err(); err != nil {
		return nil, "", explain(verb, err)
	}
	err = s.committer.view(func(tx *bbolt.Tx) error {
		at := tx.Bucket(accounts.bucket).Cursor()
		name, _ := at.Seek(after)
		if len(after) > 0 && string(name) == string(after) {
			name, _ = at.Next()
		}
		for ; name != nil; name, _ = at.Next() {
			if len(page) == max(limit, 1) {
				return nil
			}
			if len(name) != len(key{}) {
				continue // damage, and no cursor
			}
			next = hex.EncodeToString(name)
			if a, _, err := accounts.load(tx, key(name)); err == nil && a != nil {
				page = append(page, a)
			}
		}
		next = ""
		return nil
	})
	if err != nil {
		return nil, "", explain(verb, err)
	}
	return page, next, nil
}
