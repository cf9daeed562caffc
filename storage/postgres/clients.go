// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// Transactions that change clients lock the counter of unused clients first. So it
// is exact, and nobody who holds it waits for a client that another one holds.

// CreateClient implements storage.Store.
func (s *Store) CreateClient(ctx context.Context, c *storage.Client) error {
	_, err := write(ctx, s, "create client", func(w *tx) (nothing, error) {
		unused := w.lockCounter(unusedClients)
		old := clients.lock(w, clients.key(c))
		if err := w.flush(); err != nil {
			return nothing{}, err
		}
		// A taken id must not cost another client its place.
		if _, err := clients.live(*old, w.now); err == nil {
			return nothing{}, storage.ErrExists
		}
		change := int64(0)  // of the number of unused clients
		if old.rec != nil { // past its end, hence unused
			clients.remove(w, clients.key(c))
			change--
		}
		if c.Unused() {
			evicted, err := makeRoom(w, *unused+change, int64(s.maxUnused))
			change -= evicted
			if err != nil {
				// What was evicted stays so: it had reached its end or its age.
				w.addTo(unusedClients, change)
				return nothing{}, err
			}
			change++
		}
		w.addTo(unusedClients, change)
		return nothing{}, clients.insert(w, c)
	})
	return err
}

// makeRoom evicts unused clients until there is place for one more. Past their end
// they go at once, else the oldest first and only beyond the minimum age.
func makeRoom(w *tx, unused, limit int64) (evicted int64, err error) {
	for _, step := range []struct {
		sql    string
		before time.Time
	}{
		{w.store.sql.evictEnded, w.now},
		{w.store.sql.evictOldest, w.now.Add(-storage.UnusedClientMinAge)},
	} {
		room := unused - evicted - limit + 1
		if room <= 0 {
			return evicted, nil
		}
		n, err := w.changeNow(step.sql, step.before, room)
		evicted += n
		if err != nil {
			return evicted, err
		}
	}
	if unused-evicted >= limit {
		return evicted, storage.ErrFull
	}
	return evicted, nil
}

// Client implements storage.Store.
func (s *Store) Client(ctx context.Context, issuer, id string) (*storage.Client, error) {
	return read(ctx, s, "read client", clients, keyOf(issuer, id))
}

// KeepClient implements storage.Store. Most clients it is called for are kept
// already, which takes no lock to see.
func (s *Store) KeepClient(ctx context.Context, issuer, id string) error {
	const verb = "keep client"
	key := keyOf(issuer, id)
	if c, err := read(ctx, s, verb, clients, key); err != nil || !c.Unused() {
		return err
	}
	_, err := write(ctx, s, verb, func(w *tx) (nothing, error) {
		w.lockCounter(unusedClients)
		old, err := clients.get(w, key)
		if err != nil || !old.rec.Unused() {
			return nothing{}, err
		}
		kept := *old.rec
		kept.ExpiresAt = time.Time{}
		w.addTo(unusedClients, -1)
		return nothing{}, clients.replace(w, old, &kept)
	})
	return err
}

// DeleteClient implements storage.Store.
func (s *Store) DeleteClient(ctx context.Context, issuer, id string) ([]string, error) {
	key := keyOf(issuer, id)
	return write(ctx, s, "delete client", func(w *tx) ([]string, error) {
		w.lockCounter(unusedClients)
		unused := false
		w.read(s.sql.clientUnused, []any{key}, func(rows pgx.Rows) error { return rows.Scan(&unused) })
		doomed := lockGrantsOfClient(w, key)
		if err := w.flush(); err != nil {
			return nil, err
		}
		if unused {
			w.addTo(unusedClients, -1)
		}
		clients.remove(w, key)
		if len(doomed.keys) > 0 {
			w.change(s.sql.grantsDelete, doomed.keys)
			w.announce(storage.ChangeGrant, doomed.ids...)
		}
		return doomed.ids, nil
	})
}

// grantKeys are the grants that a transaction has locked.
type grantKeys struct {
	keys [][]byte
	ids  []string // of those that can be read
}

// lockGrantsOfClient queues the locking of all grants of a client, in an order
// that is the same for everybody, which leaves no room for a deadlock.
func lockGrantsOfClient(w *tx, client []byte) *grantKeys {
	found := new(grantKeys)
	w.read(w.store.sql.grantsOfClient, []any{client}, func(rows pgx.Rows) error {
		var key, raw []byte
		if err := rows.Scan(&key, &raw); err != nil {
			return err
		}
		found.keys = append(found.keys, key)
		if g, err := grants.decode(key, raw); err == nil {
			found.ids = append(found.ids, g.rec.ID)
		}
		return nil
	})
	return found
}
