// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// CreateSession implements storage.Store.
func (s *Store) CreateSession(ctx context.Context, session *storage.Session) error {
	return create(ctx, s, "create session", sessions, session)
}

// Session implements storage.Store.
func (s *Store) Session(ctx context.Context, issuer string, id storage.Hash) (*storage.Session, error) {
	return read(ctx, s, "read session", sessions, keyOf(issuer, string(id[:])))
}

// TouchSession implements storage.Store. Most page views move the end by little,
// which takes no lock to see.
func (s *Store) TouchSession(ctx context.Context, issuer string, id storage.Hash, idle time.Duration) error {
	const verb = "touch session"
	key := keyOf(issuer, string(id[:]))
	moves, err := s.wouldMove(ctx, verb, key, idle)
	if err != nil || !moves {
		return err
	}
	_, err = write(ctx, s, verb, func(w *tx) (nothing, error) {
		old, err := sessions.get(w, key)
		if err != nil {
			return nothing{}, err
		}
		session := *old.rec
		if !session.Touch(idle, w.now) {
			return nothing{}, nil
		}
		return nothing{}, sessions.replace(w, old, &session)
	})
	return err
}

// wouldMove reports whether a touch of the session, which must be there, would
// change it.
func (s *Store) wouldMove(ctx context.Context, verb string, key []byte, idle time.Duration) (moves bool, err error) {
	session, now, err := fetchWithTime(ctx, s, verb, true, sessions, s.sql.tables[sessions.name].get, key)
	if err != nil {
		return false, err
	}
	return session.Touch(idle, now), nil
}

// DeleteSession implements storage.Store.
func (s *Store) DeleteSession(ctx context.Context, issuer string, id storage.Hash) error {
	return s.exec(ctx, "delete session", s.sql.tables[sessions.name].delete, keyOf(issuer, string(id[:])))
}

// DeleteSessions implements storage.Store.
func (s *Store) DeleteSessions(ctx context.Context, subject string) error {
	return s.exec(ctx, "delete sessions", s.sql.sessionsOfSubject, keyOf(subject))
}
