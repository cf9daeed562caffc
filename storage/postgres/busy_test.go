// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testpostgres"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

// Every connection of the pool is taken by a verb that waits for a lock: a flood of
// registrations, or an import. Revocations must get through all the same: a gateway
// that cannot read the feed lets revoked tokens in, and soon nobody.
func TestTheFeedIsReadWhileAllConnectionsAreTaken(t *testing.T) {
	t.Parallel()
	o := Options{DSN: testpostgres.Shared(t).DSN(), Schema: testpostgres.NewSchema(), MaxConnections: 2}
	s, other := openWith(t, o), openWith(t, o)
	a := storagetest.NewAccount("1", time.Now())
	ok(t, s.SaveAccount(t.Context(), a))
	live(t, s, "grant")
	head, err := s.Head(t.Context())
	ok(t, err)
	conn := connect(t, testpostgres.Shared(t))
	exec(t, conn, "BEGIN")
	exec(t, conn, "LOCK TABLE "+in(s, "accounts")+" IN EXCLUSIVE MODE")
	saved := make(chan error, 20)
	for range cap(saved) {
		go func() { saved <- s.SaveAccount(t.Context(), a) }()
	}
	eventually(t, "all connections are taken", func() bool { return s.pool.Stat().AcquiredConns() == 2 && s.pool.Stat().IdleConns() == 0 })
	ok(t, other.RevokeGrant(t.Context(), issuer, "grant"))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s.Wait(ctx, head, time.Second)
	changes, _, err := s.Changes(ctx, head, 10)
	if err != nil || len(changes) != 1 || changes[0].Kind != storage.ChangeGrant {
		t.Errorf("changes %v, %v", changes, err)
	}
	exec(t, conn, "ROLLBACK")
	for range cap(saved) {
		ok(t, <-saved)
	}
	ok(t, s.Close())
	if _, err := s.Head(t.Context()); !errors.Is(err, storage.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
