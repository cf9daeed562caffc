// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// CreateClient implements storage.Store.
func (s *Store) CreateClient(ctx context.Context, c *storage.Client) error {
	_, err := write(ctx, s, "create client", func(w *writeTx) (nothing, error) {
		// Looked up first: a taken id must not cost another client its place.
		switch _, err := clients.get(w.tx, clients.key(c), w.now); {
		case err == nil:
			return nothing{}, storage.ErrExists
		case !errors.Is(err, storage.ErrNotFound):
			return nothing{}, err
		}
		if c.Unused() {
			if err := makeRoom(w, s.maxUnused); err != nil {
				return nothing{}, err
			}
		}
		return nothing{}, clients.insert(w, c)
	})
	return err
}

// makeRoom evicts unused clients until there is place for one more. Past their
// end they go at once, else the oldest first and only beyond the minimum age.
func makeRoom(w *writeTx, limit int) error {
	for clientsByAge.size(w.tx) >= limit {
		k, found := clientsByEnd.oldest(w.tx, w.now)
		if !found {
			// "older than" excludes the very instant.
			k, found = clientsByAge.oldest(w.tx, w.now.Add(-storage.UnusedClientMinAge-time.Nanosecond))
		}
		if !found {
			return storage.ErrFull
		}
		if err := clients.evict(w, k); err != nil {
			return err
		}
	}
	return nil
}

// Client implements storage.Store.
func (s *Store) Client(ctx context.Context, issuer, id string) (*storage.Client, error) {
	return read(ctx, s, "read client", clients, keyOf(issuer, id))
}

// KeepClient implements storage.Store.
func (s *Store) KeepClient(ctx context.Context, issuer, id string) error {
	k := keyOf(issuer, id)
	_, err := write(ctx, s, "keep client", func(w *writeTx) (nothing, error) {
		_, err := clients.edit(w, k, func(c *storage.Client) (bool, error) {
			unused := c.Unused()
			c.ExpiresAt = time.Time{}
			return unused, nil
		})
		return nothing{}, err
	})
	return err
}

// deleteStep is how many grants of a client one transaction deletes. All sign-ins
// wait for it, and a popular client has very many.
const deleteStep = 1000

// DeleteClient implements storage.Store. The client goes first, so that a process
// that dies before all grants have gone leaves nobody who could make new ones. The
// grants that were deleted before an error are named beside it.
func (s *Store) DeleteClient(ctx context.Context, issuer, id string) ([]string, error) {
	k := keyOf(issuer, id)
	var all []string
	for {
		step, err := write(ctx, s, "delete client", func(w *writeTx) (deleted, error) {
			var d deleted
			members := grantsOfClient.members(w.tx, k, deleteStep)
			d.more = len(members) == deleteStep
			err := grants.dropMembers(w, grantsOfClient, k, members, func(g *storage.Grant) { d.ids = append(d.ids, g.ID) })
			if err != nil {
				return deleted{}, err
			}
			return d, clients.drop(w, k)
		})
		all = append(all, step.ids...)
		if err != nil || !step.more {
			return all, err
		}
	}
}

// deleted is one step of DeleteClient.
type deleted struct {
	ids  []string
	more bool
}
