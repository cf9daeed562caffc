// SPDX-License-Identifier: Apache-2.0

package postgres_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testpostgres"
)

// schemas hands out empty schemas and takes them back. Making one costs much more
// than emptying one, and the suite wants hundreds.
type schemas struct {
	pool *pgxpool.Pool
	mu   sync.Mutex
	free []string
}

func newSchemas(t *testing.T) *schemas {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), testpostgres.Shared(t).DSN())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return &schemas{pool: pool}
}

// take returns a schema that is empty until the end of the test. What is opened on
// it after this is closed before it is given back.
func (s *schemas) take(t *testing.T) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	name := ""
	if n := len(s.free); n > 0 {
		name, s.free = s.free[n-1], s.free[:n-1]
	} else {
		name = testpostgres.NewSchema()
	}
	t.Cleanup(func() { s.giveBack(t, name) })
	return name
}

// emptySQL leaves the schema as a migration does.
const emptySQL = `DELETE FROM %[1]s.clients; DELETE FROM %[1]s.pendings; DELETE FROM %[1]s.accounts; DELETE FROM %[1]s.grants;
	DELETE FROM %[1]s.sessions; DELETE FROM %[1]s.consents; DELETE FROM %[1]s.used_ids; DELETE FROM %[1]s.signing_keys;
	DELETE FROM %[1]s.feed; UPDATE %[1]s.counters SET value = 0`

func (s *schemas) giveBack(t *testing.T, name string) {
	if t.Failed() {
		return // somebody may want to look at it
	}
	conn, err := s.pool.Acquire(context.Background())
	if err != nil {
		t.Errorf("empty schema: %v", err)
		return
	}
	defer conn.Release()
	// What a caller who left had asked for may still be under way on the server.
	for n := 1; n > 0; time.Sleep(time.Millisecond) {
		const sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1"
		if err := conn.QueryRow(context.Background(), sessions, name).Scan(&n); err != nil {
			t.Errorf("sessions of a schema: %v", err)
			return
		}
	}
	if _, err := conn.Conn().PgConn().Exec(context.Background(), fmt.Sprintf(emptySQL, name)).ReadAll(); err != nil {
		t.Errorf("empty schema: %v", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = append(s.free, name)
}
