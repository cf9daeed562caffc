// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testpostgres"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
)

// Every statement of a verb finds its rows by an index: none gets slower the more
// users there are.
func TestStatementsUseIndexes(t *testing.T) {
	t.Parallel()
	s := open(t)
	conn := connect(t, testpostgres.Shared(t))
	exec(t, conn, "SET enable_seqscan = off") // the tables are empty here
	key, now := keyOf("x"), time.Now()
	statements := map[string][]any{
		s.sql.evictEnded: {now, 1}, s.sql.evictOldest: {now, 1}, s.sql.clientUnused: {key},
		s.sql.grantsOfClient: {key}, s.sql.grantsOfSubject: {key}, s.sql.grantsDelete: {[][]byte{key}},
		s.sql.keysOfIssuer: {key}, s.sql.sessionsOfSubject: {key}, s.sql.consentsOfSubject: {key}, s.sql.accountsPage: {key, 10},
		s.sql.counterLock: {unusedClients}, s.sql.counterAdd: {unusedClients, 1}, s.sql.feedHead: nil, s.sql.feedChanges: {1, 10},
		s.sql.feedTrim:   {now, 10, storage.FeedRetention},
		s.sql.feedAppend: {"grant", [][]byte{key}, nil, 1},
	}
	for _, l := range layouts() {
		sql := s.sql.tables[l.name]
		statements[sql.get], statements[sql.lock], statements[sql.delete], statements[sql.take] = []any{key}, []any{key}, []any{key}, []any{key}
		if l.ends() {
			statements[sql.sweep] = []any{nil, sweepStep}
		}
	}
	for sql, args := range statements {
		rows, err := conn.Query(t.Context(), "EXPLAIN "+sql, args...)
		ok(t, err)
		plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
		ok(t, err)
		if text := strings.Join(plan, "\n"); strings.Contains(text, "Seq Scan") {
			t.Errorf("%s\n%s", sql, text)
		}
	}
}
