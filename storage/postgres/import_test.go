// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testpostgres"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

// While an import is under way a gateway registers a client, and the sweeper of the
// importing process itself comes by. Both lock the counter of unused clients and then
// wait for the table; an import that wants the counter last would wait for them, and be
// the one whom the server ends, after all of its work.
func TestAnImportThatOthersInterrupt(t *testing.T) {
	t.Parallel()
	source, s := open(t), open(t)
	for _, id := range []string{"a", "b", "c"} {
		live(t, source, id)
	}
	conn := connect(t, testpostgres.Shared(t))
	// Past it, it is not those who wait already that the server takes to task.
	patience := 2 * time.Duration(number(t, conn, "SELECT setting::int FROM pg_settings WHERE name = 'deadlock_timeout'")) * time.Millisecond
	waiting := func(n int64) func() bool {
		return func() bool {
			return n <= number(t, conn, `SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%' || $1 || '%'`,
				in(s, "counters"))+
				number(t, conn, `SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = $1::regclass`, in(s, "clients"))
		}
	}
	others := make(chan error, 2)
	entries := func(yield func(storage.Entry, error) bool) {
		begun := false
		for e, err := range source.Export(t.Context()) {
			if !begun {
				begun = true
				go func() {
					others <- s.CreateClient(t.Context(), storagetest.NewClient(issuer, "new", time.Now()))
				}()
				go func() { _, err := s.sweepClients(t.Context()); others <- err }()
				eventually(t, "both wait", waiting(2))
				time.Sleep(patience)
			}
			if !yield(e, err) {
				return
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ok(t, s.Import(ctx, entries))
	for range 2 {
		ok(t, <-others)
	}
	checkCounter(t, s, conn)
}
