// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// SaveAccount implements storage.Store.
func (s *Store) SaveAccount(ctx context.Context, a *storage.Account) error {
	return s.perform(ctx, "save account", func(ctx context.Context) error {
		return accounts.update(ctx, s, accounts.key(a), func(old *storage.Account, _ time.Time) (step[storage.Account], error) {
			revision := uint64(1)
			if old != nil {
				revision = old.Revision + 1
			}
			return putAccount(a, revision), nil
		})
	})
}

// ReplaceAccount implements storage.Store.
func (s *Store) ReplaceAccount(ctx context.Context, a *storage.Account) error {
	return s.perform(ctx, "replace account", func(ctx context.Context) error {
		return accounts.update(ctx, s, accounts.key(a), func(old *storage.Account, _ time.Time) (step[storage.Account], error) {
			switch {
			case old == nil:
				return step[storage.Account]{}, storage.ErrNotFound
			case old.Revision != a.Revision:
				return step[storage.Account]{}, storage.ErrChanged
			}
			return putAccount(a, old.Revision+1), nil
		})
	})
}

// putAccount leaves the caller's record as it is.
func putAccount(a *storage.Account, revision uint64) step[storage.Account] {
	next := *a
	next.Revision = revision
	return step[storage.Account]{put: &next, announce: true}
}

// Account implements storage.Store.
func (s *Store) Account(ctx context.Context, subject string) (*storage.Account, error) {
	return accounts.get(ctx, s, "read account", keyOf(subject))
}

// maxPage bounds what one page holds, whatever its reader asks for.
const maxPage = readBatch

// Accounts implements storage.Store. The cursor is the key of the last account of the
// page. One that cannot be read is left out.
func (s *Store) Accounts(ctx context.Context, cursor string, limit int) (page []*storage.Account, next string, err error) {
	err = s.perform(ctx, "list accounts", func(ctx context.Context) error {
		page, next, err = s.accountPage(ctx, key(cursor), min(max(limit, 1), maxPage))
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return page, next, nil
}

func (s *Store) accountPage(ctx context.Context, after key, limit int) ([]*storage.Account, string, error) {
	if after != "" && !after.valid() {
		return nil, "", errors.New("the cursor is none of ours")
	}
	// One more says whether there is another page.
	names, err := s.do(ctx, scriptPage, string(accounts.kind), string(after), strconv.Itoa(limit+1))
	if err != nil || len(names) == 0 {
		return nil, "", err
	}
	next := ""
	if len(names) > limit {
		names = names[:limit]
		next = names[limit-1]
	}
	all, err := accounts.loadAll(ctx, s, keys(names)...)
	if err != nil {
		return nil, "", err
	}
	var page []*storage.Account
	for _, l := range all {
		if l.err == nil && l.rec != nil {
			page = append(page, l.rec)
		}
	}
	return page, next, nil
}
