// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// CreateSession implements storage.Store.
func (s *Store) CreateSession(ctx context.Context, session *storage.Session) error {
	return s.perform(ctx, "create session", func(ctx context.Context) error {
		return sessions.insert(ctx, s, session)
	})
}

// Session implements storage.Store.
func (s *Store) Session(ctx context.Context, issuer string, id storage.Hash) (*storage.Session, error) {
	return sessions.get(ctx, s, "read session", keyOf(issuer, string(id[:])))
}

// TouchSession implements storage.Store.
func (s *Store) TouchSession(ctx context.Context, issuer string, id storage.Hash, idle time.Duration) error {
	return s.perform(ctx, "touch session", func(ctx context.Context) error {
		k := keyOf(issuer, string(id[:]))
		return sessions.update(ctx, s, k, func(session *storage.Session, now time.Time) (step[storage.Session], error) {
			switch {
			case session == nil:
				return step[storage.Session]{}, storage.ErrNotFound
			case !session.Touch(idle, now):
				return step[storage.Session]{}, nil
			}
			return step[storage.Session]{put: session}, nil
		})
	})
}

// DeleteSession implements storage.Store.
func (s *Store) DeleteSession(ctx context.Context, issuer string, id storage.Hash) error {
	return s.perform(ctx, "delete session", func(ctx context.Context) error {
		return sessions.drop(ctx, s, keyOf(issuer, string(id[:])), "")
	})
}

// DeleteSessions implements storage.Store.
func (s *Store) DeleteSessions(ctx context.Context, subject string) error {
	return s.perform(ctx, "delete sessions", func(ctx context.Context) error {
		return sessions.dropGroup(ctx, s, sessionsOfSubject, keyOf(subject), func(string) {})
	})
}
