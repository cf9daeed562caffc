// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"encoding/hex"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// SaveAccount implements storage.Store.
func (s *Store) SaveAccount(ctx context.Context, a *storage.Account) error {
	_, err := write(ctx, s, "save account", func(w *tx) (nothing, error) {
		old := accounts.lock(w, keyOf(a.Subject))
		if err := w.flush(); err != nil {
			return nothing{}, err
		}
		return nothing{}, putAccount(w, *old, a)
	})
	return err
}

// ReplaceAccount implements storage.Store.
func (s *Store) ReplaceAccount(ctx context.Context, a *storage.Account) error {
	_, err := write(ctx, s, "replace account", func(w *tx) (nothing, error) {
		old, err := accounts.get(w, keyOf(a.Subject))
		switch {
		case err != nil:
			return nothing{}, err
		case old.rec.Revision != a.Revision:
			return nothing{}, storage.ErrChanged
		}
		return nothing{}, putAccount(w, old, a)
	})
	return err
}

// putAccount leaves the caller's record as it is.
func putAccount(w *tx, old row[storage.Account], a *storage.Account) error {
	next := *a
	next.Revision = 1
	if old.rec != nil {
		next.Revision = old.rec.Revision + 1
	}
	if err := accounts.replace(w, old, &next); err != nil {
		return err
	}
	w.announce(storage.ChangeAccount, a.Subject)
	return nil
}

// Account implements storage.Store.
func (s *Store) Account(ctx context.Context, subject string) (*storage.Account, error) {
	return read(ctx, s, "read account", accounts, keyOf(subject))
}

// Accounts implements storage.Store. The cursor is the key of the last record seen.
func (s *Store) Accounts(ctx context.Context, cursor string, limit int) (page []*storage.Account, next string, err error) {
	const verb = "list accounts"
	after, err := hex.DecodeString(cursor)
	if err != nil {
		return nil, "", explain(ctx, verb, advise("the cursor is none of this store"))
	}
	limit = max(limit, 1)
	err = once(ctx, s, verb, true, func(ctx context.Context, conn *pgx.Conn) error {
		page, next = nil, ""
		// One more than is asked for tells whether there is another page.
		rows, err := conn.Query(ctx, s.sql.accountsPage, after, limit+1)
		if err != nil {
			return err
		}
		defer rows.Close()
		var last []byte
		for n := 0; rows.Next(); n++ {
			if n == limit {
				next = hex.EncodeToString(last)
				break
			}
			var raw []byte
			if err := rows.Scan(&last, &raw); err != nil {
				return err
			}
			if a, err := accounts.decode(last, raw); err == nil {
				page = append(page, a.rec)
			}
		}
		rows.Close()
		return rows.Err()
	})
	if err != nil {
		return nil, "", err
	}
	return page, next, nil
}
