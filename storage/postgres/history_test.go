// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"fmt"
	"testing"
	"time"

	"github.com/caddy-mcp/caddy-mcp-oauth/internal/testpostgres"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage"
	"github.com/caddy-mcp/caddy-mcp-oauth/storage/storagetest"
)

// A failover to a standby that lagged, or a restored backup, sets the feed back. Before
// a gateway that had seen its end is back, others append as many changes as were lost
// and more: counted alone, its position is a good one again, and the revocations of the
// new history up to there would never reach it.
func TestAnotherHistoryIsNoticed(t *testing.T) {
	t.Parallel()
	for name, trim := range map[string]bool{"young": false, "after a sweep": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, clock := openAt(t)
			conn := connect(t, testpostgres.Shared(t))
			save := func(n int) {
				t.Helper()
				for i := range n {
					ok(t, s.SaveAccount(t.Context(), storagetest.NewAccount(fmt.Sprint(i), clock.Now())))
				}
			}
			save(3)
			exec(t, conn, fmt.Sprintf("CREATE TABLE %s AS SELECT * FROM %s", in(s, "backup_feed"), in(s, "feed")))
			exec(t, conn, fmt.Sprintf("CREATE TABLE %s AS SELECT * FROM %s", in(s, "backup_counters"), in(s, "counters")))
			kept, err := s.Head(t.Context())
			ok(t, err)
			save(2)
			lost, err := s.Head(t.Context())
			ok(t, err)

			exec(t, conn, fmt.Sprintf("DELETE FROM %s", in(s, "feed")))
			exec(t, conn, fmt.Sprintf("INSERT INTO %s SELECT * FROM %s", in(s, "feed"), in(s, "backup_feed")))
			exec(t, conn, fmt.Sprintf("UPDATE %s c SET value = b.value FROM %s b WHERE b.name = c.name", in(s, "counters"), in(s, "backup_counters")))
			save(4)
			if trim {
				clock.Advance(storage.FeedRetention + time.Minute)
				_, err := s.Sweep(t.Context())
				ok(t, err)
				save(1)
			}
			_, _, err = s.Changes(t.Context(), lost, 10)
			wantErr(t, err, storage.ErrMissed)
			changes, _, err := s.Changes(t.Context(), kept, 10)
			switch {
			case trim:
				wantErr(t, err, storage.ErrMissed)
			case err != nil || len(changes) != 4:
				t.Errorf("who stands where both histories were one: %d changes, %v", len(changes), err)
			}
			checkFeed(t, s, conn)
		})
	}
}

// What a gateway holds in memory is of the records that were there before an import.
func TestAfterAnImportEverybodyBeginsAnew(t *testing.T) {
	t.Parallel()
	source, s := open(t), open(t)
	live(t, source, "grant")
	before, err := s.Head(t.Context())
	ok(t, err)
	ok(t, s.Import(t.Context(), source.Export(t.Context())))
	_, _, err = s.Changes(t.Context(), before, 10)
	wantErr(t, err, storage.ErrMissed)
	head, err := s.Head(t.Context())
	ok(t, err)
	changes, position, err := s.Changes(t.Context(), head, 10)
	ok(t, err)
	if len(changes) != 0 || position != head {
		t.Errorf("%d changes after the head, up to %d of %d", len(changes), position, head)
	}
}
