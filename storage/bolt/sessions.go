// SPDX-License-Identifier: Apache-2.0

package bolt

import (
	"context"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// CreateSession implements storage.Store.
func (s *Store) CreateSession(ctx context.Context, session *storage.Session) error {
	_, err := write(ctx, s, "create session", func(w *writeTx) (nothing, error) {
		return nothing{}, sessions.insert(w, session)
	})
	return err
}

// Session implements storage.Store.
func (s *Store) Session(ctx context.Context, issuer string, id storage.Hash) (*storage.Session, error) {
	return read(ctx, s, "read session", sessions, keyOf(issuer, string(id[:])))
}

// TouchSession implements storage.Store.
func (s *Store) TouchSession(ctx context.Context, issuer string, id storage.Hash, idle time.Duration) error {
	k := keyOf(issuer, string(id[:]))
	_, err := write(ctx, s, "touch session", func(w *writeTx) (nothing, error) {
		_, err := sessions.edit(w, k, func(session *storage.Session) (bool, error) { return session.Touch(idle, w.now), nil })
		return nothing{}, err
	})
	return err
}

// DeleteSessions implements storage.Store.
func (s *Store) DeleteSessions(ctx context.Context, subject string) error {
	_, err := write(ctx, s, "delete sessions", func(w *writeTx) (nothing, error) {
		return nothing{}, sessions.dropGroup(w, sessionsOfSubject, keyOf(subject), func(*storage.Session) {})
	})
	return err
}

// DeleteSession implements storage.Store.
func (s *Store) DeleteSession(ctx context.Context, issuer string, id storage.Hash) error {
	_, err := write(ctx, s, "delete session", func(w *writeTx) (nothing, error) {
		return nothing{}, sessions.drop(w, keyOf(issuer, string(id[:])))
	})
	return err
}
